/**
 * What a command must not look at, as it differs from server to server: looking throws while one runs.
 *
 * @module
 */

/** A command called something whose answer differs from server to server. Use what the message says instead. */
export class NondeterminismError extends Error {
  /** Its name. */
  override readonly name = "NondeterminismError";
  /** What was called: `Date.now`, `fetch`, … */
  readonly call: string;

  /** Takes the command, the call and what to use instead. */
  constructor(command: string, call: string, instead: string) {
    super(`Cannot call ${call} in the command "${command}" as every server would see something else: ${instead}`);
    this.call = call;
  }
}

const time = "use this.ctx.timeMs, the leader's clock";
const chance = "use this.ctx.random() or this.ctx.uuid(), which are equal everywhere";
const later = "do it before the command, and give it what came of it";

/** Where what is forbidden is found, and what to use instead. */
const forbidden: readonly (readonly [holder: string, name: string, instead: string])[] = [
  ["", "Date", time],
  ["performance", "now", time],
  ["Math", "random", chance],
  ["crypto", "randomUUID", chance],
  ["crypto", "getRandomValues", chance],
  // Not all of it is chance, but all of it is async.
  ["crypto", "subtle", later],
  ["Temporal", "Now", time],
  ["process", "hrtime", time],
  ["process", "uptime", time],
  ["process", "nextTick", later],
  ["", "setTimeout", later],
  ["", "setInterval", later],
  ["", "setImmediate", later],
  ["", "queueMicrotask", later],
  ["", "fetch", later],
];

/**
 * Runs a command during which the clock, chance, timers and the network throw. Only what runs within this call is
 * affected, as nothing else can run meanwhile.
 */
export function guarded<T>(command: string, run: () => T): T {
  const undo: (() => void)[] = [];
  try {
    for (const [holder, name, instead] of forbidden) forbid(command, holder, name, instead, undo);
    return run();
  } finally {
    for (const restore of undo.reverse()) restore();
  }
}

function forbid(command: string, holder: string, name: string, instead: string, undo: (() => void)[]): void {
  const scope = globalThis as unknown as Record<string, Record<string, unknown> | undefined>;
  const object = (holder === "" ? scope : scope[holder]) as Record<string, unknown> | undefined;
  const original = object?.[name];
  if (object === undefined || original === undefined) return;
  const before = Object.getOwnPropertyDescriptor(object, name);
  if (before?.configurable === false && before.writable !== true) return;
  const refuse = (call: string): never => {
    throw new NondeterminismError(command, call, instead);
  };
  const path = holder === "" ? name : `${holder}.${name}`;
  const value = name === "Date"
    ? guardedDate(original as DateConstructor, refuse)
    : typeof original === "function"
    ? guardedFunction(original as () => unknown, path, refuse)
    : guardedObject(original as object, path, refuse);
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
  undo.push(() => {
    if (before === undefined) delete object[name];
    else Object.defineProperty(object, name, before);
  });
}

/** A date of a given time is the same everywhere; only that of now is not. */
function guardedDate(original: DateConstructor, refuse: (call: string) => never): DateConstructor {
  return new Proxy(original, {
    get: (target, name, receiver) => name === "now" ? () => refuse("Date.now") : Reflect.get(target, name, receiver),
    construct: (target, args, newTarget) =>
      args.length === 0 ? refuse("new Date") : Reflect.construct(target, args, newTarget),
    apply: () => refuse("Date"),
  });
}

/** Throws when it is called, and what it has besides, such as `hrtime.bigint`, is no way around that. */
function guardedFunction(original: () => unknown, path: string, refuse: (call: string) => never): () => unknown {
  return new Proxy(original, { apply: () => refuse(path), get: (_, name) => refuse(`${path}.${String(name)}`) });
}

/** Whatever is taken from it throws. */
function guardedObject(original: object, path: string, refuse: (call: string) => never): object {
  return new Proxy(original, { get: (_, name) => refuse(`${path}.${String(name)}`) });
}
