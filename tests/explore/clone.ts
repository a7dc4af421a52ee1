/**
 * Copies of a core's state, whatever fields it has. `structuredClone` takes ten times as long.
 *
 * @module
 */

/** What is never changed in place: these are shared. */
const shared: ReadonlySet<string> = new Set(["settings", "configuration", "message"]);

/** A copy that shares only what is never changed in place. */
export function cloneState<T>(state: T): T {
  return copy(state) as T;
}

function copy(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copy);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, copy(item)]));
  const fields: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) fields[key] = shared.has(key) ? item : copy(item);
  return fields;
}
