/**
 * Any value as text that is the same for equal values, however they were made.
 *
 * @module
 */

/** Values with the same text are the same to a replica. Knows what JSON does not: maps, sets, bytes, errors, bigints. */
export function textOf(value: unknown): string {
  return write(value, []);
}

function write(value: unknown, within: readonly object[]): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "object":
      return value === null ? "null" : writeObject(value, within);
    case "function":
      return `[function ${value.name}]`;
    default:
      return String(value);
  }
}

function writeObject(value: object, within: readonly object[]): string {
  if (within.includes(value)) return "[itself]";
  const inside = [...within, value];
  const all = (items: Iterable<unknown>) => [...items].map((item) => write(item, inside));
  if (value instanceof Error) return `[${value.name}: ${value.message}]`;
  if (value instanceof Date) return `[${value.getTime()}]`;
  if (ArrayBuffer.isView(value)) return `[${new Uint8Array(value.buffer, value.byteOffset, value.byteLength)}]`;
  if (Array.isArray(value)) return `[${all(value)}]`;
  // The order in which keys were set is a replica's own affair.
  if (value instanceof Set) return `{${all(value).sort()}}`;
  const entries: Iterable<[unknown, unknown]> = value instanceof Map ? value : Object.entries(value);
  return `{${[...entries].map(([key, item]) => `${write(key, inside)}:${write(item, inside)}`).sort()}}`;
}
