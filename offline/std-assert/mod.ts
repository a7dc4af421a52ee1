/**
 * Stand-in for `@std/assert` on machines that reach npm but not JSR: the functions this repository's tests call, over
 * `node:assert/strict`. Where it differs it is the stricter one (`0` and `-0` are not equal), so that a test passing
 * here passes with the real package too.
 *
 * @module
 */
import nodeAssert from "node:assert/strict";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = new (...args: any[]) => E;
// deno-lint-ignore no-explicit-any
type AnyConstructor = abstract new (...args: any[]) => any;

/** Thrown by every assertion here. */
export class AssertionError extends Error {
  /** An assertion that failed. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

/** Fails. */
export function fail(msg?: string): never {
  throw new AssertionError(msg === undefined ? "Failed assertion." : `Failed assertion: ${msg}`);
}

/** Fails where the code must never come. */
export function unreachable(msg?: string): never {
  throw new AssertionError(msg === undefined ? "Unreachable." : `Unreachable: ${msg}`);
}

/** Asserts a truthy value. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Asserts a falsy value. */
export function assertFalse(expr: unknown, msg = ""): void {
  if (expr) throw new AssertionError(msg);
}

/** Asserts deep equality. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (actual instanceof Uint8Array && expected instanceof Uint8Array && actual.length + expected.length > 4096) {
    return assertBytesEqual(actual, expected, msg);
  }
  run(() => nodeAssert.deepStrictEqual(actual, expected), msg);
}

/** Asserts deep inequality. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  run(() => nodeAssert.notDeepStrictEqual(actual, expected), msg);
}

/** Asserts `Object.is`. */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  run(() => nodeAssert.strictEqual(actual, expected), msg);
}

/** Asserts not `Object.is`. */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  run(() => nodeAssert.notStrictEqual(actual, expected), msg);
}

/** Asserts that two numbers are nearly equal. */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  if (Object.is(actual, expected) || Math.abs(actual - expected) <= allowed) return;
  throw failure(`Expected ${actual} to be within ${allowed} of ${expected}`, msg);
}

/** Asserts neither null nor undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) throw failure(`Expected a value, got ${actual}`, msg);
}

/** Asserts `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) throw failure(`Expected ${actual} > ${expected}`, msg);
}

/** Asserts `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) throw failure(`Expected ${actual} >= ${expected}`, msg);
}

/** Asserts `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) throw failure(`Expected ${actual} < ${expected}`, msg);
}

/** Asserts `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) throw failure(`Expected ${actual} <= ${expected}`, msg);
}

/** Asserts a substring. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  throw failure(`Expected ${JSON.stringify(actual)} to contain ${JSON.stringify(expected)}`, msg);
}

/** Asserts that every expected element is in the array, compared deeply. */
export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, msg?: string): void {
  const missing = Array.from(expected).filter((wanted) => !Array.from(actual).some((have) => isEqual(have, wanted)));
  if (missing.length > 0) throw failure(`Expected the array to include ${JSON.stringify(missing)}`, msg);
}

/** Asserts that what `expected` names is in `actual`. */
export function assertObjectMatch(
  actual: Record<PropertyKey, unknown>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  run(() => nodeAssert.deepStrictEqual(pick(actual, expected), expected), msg);
}

/** Asserts a match. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) throw failure(`Expected ${JSON.stringify(actual)} to match ${expected}`, msg);
}

/** Asserts no match. */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) throw failure(`Expected ${JSON.stringify(actual)} not to match ${expected}`, msg);
}

/** Asserts a class. */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  expectedType: T,
  msg?: string,
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  throw failure(`Expected an instance of ${expectedType.name}, got ${describe(actual)}`, msg);
}

/** Asserts an error of a class, with a message that includes a text. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) throw failure(`Expected an Error, got ${describe(error)}`, msg);
  if (errorClass && !(error instanceof errorClass)) {
    throw failure(`Expected error to be ${errorClass.name}, but was ${describe(error)}`, msg, error);
  }
  if (msgIncludes === undefined) return;
  const found = typeof msgIncludes === "string" ? error.message.includes(msgIncludes) : msgIncludes.test(error.message);
  if (!found) throw failure(`Expected error message to include ${msgIncludes}, but was ${error.message}`, msg, error);
}

/** Asserts that `fn` throws. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E {
  try {
    fn();
  } catch (error) {
    assertIsError(error, errorClass, msgIncludes, msg);
    return error;
  }
  throw failure("Expected function to throw", msg);
}

/** Asserts that `fn` rejects; throwing synchronously is a failure, as in the real package. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (cause) {
    throw failure("Function throws when expected to reject", msg, cause);
  }
  try {
    await promise;
  } catch (error) {
    assertIsError(error, errorClass, msgIncludes, msg);
    return error;
  }
  throw failure("Expected function to reject", msg);
}

// node:assert drops its own explanation when it is given a message, so the two are joined here.
function run(check: () => void, msg: string | undefined): void {
  try {
    check();
  } catch (error) {
    throw failure((error as Error).message, msg);
  }
}

function failure(what: string, msg: string | undefined, cause?: unknown): AssertionError {
  return new AssertionError(msg ? `${msg}: ${what}` : what, cause === undefined ? undefined : { cause });
}

// A generic diff of two long byte arrays takes minutes; where they part is what one wants to know anyway.
function assertBytesEqual(actual: Uint8Array, expected: Uint8Array, msg: string | undefined): void {
  if (actual.length !== expected.length) {
    throw failure(`Expected ${expected.length} bytes, got ${actual.length}`, msg);
  }
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  if (at >= 0) throw failure(`Byte ${at} of ${actual.length} is ${actual[at]}, expected ${expected[at]}`, msg);
}

function isEqual(a: unknown, b: unknown): boolean {
  try {
    nodeAssert.deepStrictEqual(a, b);
    return true;
  } catch {
    return false;
  }
}

function pick(actual: unknown, expected: unknown): unknown {
  if (!isPlainObject(actual) || !isPlainObject(expected)) return actual;
  const picked: Record<PropertyKey, unknown> = {};
  for (const key of Reflect.ownKeys(expected)) {
    if (key in actual) picked[key] = pick(actual[key], expected[key]);
  }
  return picked;
}

function isPlainObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

function describe(value: unknown): string {
  return value instanceof Error ? `${value.constructor.name}: ${value.message}` : String(value);
}
