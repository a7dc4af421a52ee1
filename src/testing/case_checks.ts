/**
 * What the cases of the conformance suites check with. No assertion library: the suites are exported, and run under any.
 *
 * @module
 */

/** Registers a test: what `Deno.test`, `test` of `node:test` and `test` of `bun:test` have in common. */
export type RegisterTest = (name: string, body: () => Promise<void>) => void;

/** Fails unless it holds. */
export function check(holds: boolean, problem: string): void {
  if (!holds) throw new Error(problem);
}

/** Compares plain data; typed arrays by their bytes. */
export function equal(actual: unknown, expected: unknown, what = ""): void {
  const [found, wanted] = [actual, expected].map((value) => JSON.stringify(value, plain));
  check(found === wanted, `${what === "" ? "" : `${what}: `}Expected ${wanted}, found ${found}`);
}

/** Compares bytes, which may be many. */
export function equalBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  check(actual.length === expected.length, `${what}: Expected ${expected.length} bytes, found ${actual.length}`);
  for (let at = 0; at < expected.length; at++) {
    if (actual[at] === expected[at]) continue;
    throw new Error(`${what}: Byte ${at} of ${expected.length} is ${actual[at]} instead of ${expected[at]}`);
  }
}

/** The error that a call fails with, at once or later. */
export async function rejection(run: () => unknown): Promise<Error> {
  try {
    await run();
  } catch (error) {
    check(error instanceof Error, `It failed with ${String(error)}, which is no Error`);
    return error as Error;
  }
  throw new Error("It did not fail");
}

/** Fails unless a call fails with an error of this kind; returns the error. */
export async function rejects<E extends Error>(
  run: () => unknown,
  // deno-lint-ignore no-explicit-any -- whatever its constructor takes
  kind: new (...args: any[]) => E,
  what: string,
): Promise<E> {
  const error = await rejection(run).catch(({ message }) => {
    throw new Error(`${what}: ${message}`);
  });
  check(error instanceof kind, `${what}: Expected ${kind.name}, found ${error.name}: ${error.message}`);
  return error as E;
}

/** Bytes that look random, but are the same each time. */
export function sampleBytes(length: number, seed: number): Uint8Array {
  let state = seed >>> 0 || 1;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

function plain(_key: string, value: unknown): unknown {
  if (value === undefined) return "undefined";
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  if (value instanceof Uint8Array) return Array.from(value);
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}
