/**
 * Whether options are of the type that they must be. Who calls from JavaScript, or with a cast, is told what is wrong, where it
 * would be ignored or taken for something else.
 *
 * @module
 */

/**
 * Checks that the options of a call are an object, and that their signal is one.
 *
 * @param what What can't be done with others, in words: `read`.
 * @throws {TypeError} Names the option, what it must be and what it is.
 */
export function checkOptions(what: string, options: object | undefined): void {
  if (options === undefined) return;
  // A signal in their place has all the looks of options that say nothing.
  if (typeof options !== "object" || options === null || isSignal(options)) {
    throw new TypeError(`Cannot ${what} as the options must be an object, such as { signal }, not ${nameOf(options)}`);
  }
  const { signal } = options as { readonly signal?: unknown };
  if (signal === undefined || isSignal(signal)) return;
  throw new TypeError(`Cannot ${what} as 'signal' must be an AbortSignal, not ${nameOf(signal)}`);
}

/**
 * Checks that what a call is about is an object, and no list: anything else would be ignored, or fail with a message that names
 * nothing.
 *
 * @throws {TypeError} Names it, what it must be and what it is.
 */
export function checkObject(what: string, name: string, value: unknown): void {
  if (typeof value === "object" && value !== null && !(Symbol.iterator in value)) return;
  throw new TypeError(`Cannot ${what} as ${name} must be an object, not ${nameOf(value)}`);
}

/** The signal of options that {@linkcode checkOptions} has nothing against. */
export function signalOf(
  what: string,
  options: { readonly signal?: AbortSignal } | undefined,
): AbortSignal | undefined {
  checkOptions(what, options);
  return options?.signal;
}

/**
 * Checks an option that is a boolean: what merely looks like one, such as `"false"`, would pass for true.
 *
 * @throws {TypeError} Names the option and what it is.
 */
export function checkBoolean(what: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === "boolean") return;
  throw new TypeError(`Cannot ${what} as '${name}' must be a boolean, not ${nameOf(value)}`);
}

/** Likewise, one that is a function. */
export function checkFunction(what: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === "function") return;
  throw new TypeError(`Cannot ${what} as '${name}' must be a function, not ${nameOf(value)}`);
}

/**
 * Likewise, one that is a number.
 *
 * @param max The highest that it may be.
 * @throws {RangeError} Names the option, its bounds and the current value.
 */
export function checkNumber(what: string, name: string, value: unknown, max: number = Infinity): void {
  if (value === undefined || typeof value === "number" && value >= 0 && value <= max) return;
  const bounds = max === Infinity ? "at least 0" : `0 to ${max}`;
  throw new RangeError(`Cannot ${what} as '${name}' must be a number, ${bounds}: current value is ${shown(value)}`);
}

/** Likewise, one that counts things, or names an entry. */
export function checkWhole(what: string, name: string, value: unknown, min: number = 0): void {
  if (value === undefined || isWhole(value) && value >= min) return;
  throw new RangeError(
    `Cannot ${what} as '${name}' must be a whole number, at least ${min}: current value is ${shown(value)}`,
  );
}

/** The most that a timer is asked to wait for, milliseconds: about twice as long, and it would not wait at all. */
export const TIMER_MS_MAX: number = 2 ** 30;

/** Whether it is a count, or an index. */
export function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A value in a message: text in quotes, as a number in quotes is no number; of what is no plain value, what it is. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  return value !== null && (typeof value === "object" || typeof value === "function") ? nameOf(value) : String(value);
}

/** What a value is, for messages: its class, or its type when it has none. */
export function nameOf(value: unknown): string {
  const type = value === null ? "null" : typeof value;
  return type === "object" ? (value as object).constructor?.name ?? type : type;
}

/** Not by its class: a signal may come from another realm. */
function isSignal(value: unknown): value is AbortSignal {
  const { throwIfAborted, addEventListener, removeEventListener } = Object(value) as Partial<AbortSignal>;
  return [throwIfAborted, addEventListener, removeEventListener].every((it) => typeof it === "function");
}
