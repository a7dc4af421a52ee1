/**
 * Whether options can be used: each in its bounds, each part what it must be.
 *
 * @module
 */
import { checkBoolean, nameOf, shown, TIMER_MS_MAX } from "./checks.ts";
import { defaultOptions, type RaftOptions, type RaftSettings } from "./options.ts";
import type { ServerId } from "./types.ts";
import { SERVER_ID_PATTERN } from "./wire/configuration.ts";
import { isClusterId } from "./wire/handshake_codec.ts";

/**
 * The settings among the options, with defaults, each checked.
 *
 * @throws {RangeError} When a number is out of its bounds; names the option, the bound and the current value.
 */
export function validateOptions(options: Partial<RaftSettings> & { readonly id?: ServerId }): RaftSettings {
  const settings = defaultOptions() as unknown as Record<string, unknown>;
  for (const key of Object.keys(settings)) {
    const value = (options as Record<string, unknown>)[key];
    if (value !== undefined) settings[key] = value;
  }
  const checked = settings as unknown as RaftSettings;
  if (options.id !== undefined) checkServerId(options.id);
  if (typeof checked.preVote !== "boolean") {
    throw new TypeError(`Cannot use the options as 'preVote' must be a boolean: current value is ${checked.preVote}`);
  }
  atLeast(checked, "heartbeatMs", 1);
  atLeast(checked, "electionMinMs", 5);
  atLeast(checked, "electionMaxMs", checked.electionMinMs + 1, "more than 'electionMinMs'");
  atMost(checked, "electionMaxMs", TIMER_MS_MAX, "a number a timer can wait for");
  atMost(checked, "heartbeatMs", checked.electionMinMs / 2, "at most half of 'electionMinMs'");
  atLeast(checked, "leaseMs", 5);
  atMost(checked, "leaseMs", checked.electionMinMs, "at most 'electionMinMs'");
  atLeast(checked, "clockDriftMax", 0);
  atMost(checked, "clockDriftMax", 0.5, "at most 0.5");
  for (const name of counts) atLeast(checked, name, zeroes.has(name) ? 0 : 1);
  for (const name of counts) {
    if (!Number.isSafeInteger(checked[name])) refuse(checked, name, "a safe integer");
  }
  atMost(checked, "commandBytesMax", 6 * 1024 * 1024, "small enough for one frame of 8 MiB");
  atMost(checked, "appendEntriesMax", 4096, "at most 4096");
  atMost(checked, "appendBytesMax", 6 * 1024 * 1024, "small enough for one frame of 8 MiB");
  atLeast(checked, "snapshotIntervalMs", 5);
  atMost(checked, "snapshotIntervalMs", 2 ** 29, "a number a timer can wait for");
  atLeast(checked, "sessionTtlMs", 1000);
  atMost(checked, "sessionTtlMs", TIMER_MS_MAX, "a number a timer can wait for");
  atLeast(checked, "reconnectWaitMs", 0);
  atMost(checked, "reconnectWaitMs", TIMER_MS_MAX, "a number a timer can wait for");
  atLeast(checked, "leaderWaitMs", 0);
  atLeast(checked, "enqueueTimeoutMs", 0);
  atMost(checked, "enqueueTimeoutMs", TIMER_MS_MAX, "a number a timer can wait for");
  atLeast(checked, "diskStallMs", 1);
  atLeast(checked, "shutdownTransferMs", 0);
  atMost(checked, "shutdownTransferMs", TIMER_MS_MAX, "a number a timer can wait for");
  return checked;
}

/** Whether this can be a server's id. */
export function isServerId(id: unknown): id is ServerId {
  return typeof id === "string" && SERVER_ID_PATTERN.test(id);
}

function checkServerId(id: unknown): void {
  if (!isServerId(id)) throw new TypeError(serverIdProblem(id));
}

/** Why this can't be a server's id. */
export function serverIdProblem(id: unknown): string {
  return `Cannot use the server id ${
    JSON.stringify(id)
  }: an id has 1 to 64 letters, digits, dots, dashes or underscores`;
}

/**
 * Checks what is no number: who calls from JavaScript, or with a cast, is told here what is missing, and not by an error
 * that each server's machine would take for a command's result.
 *
 * @throws {TypeError} Names the option and what it must be.
 */
export function checkParts<C, R>(options: RaftOptions<C, R>): void {
  const { id, machine, store, transport, snapshots, codec, clusterId, bootstrap, shutdownOnRemove, logger } = options;
  checkServerId(id);
  mustHave("machine", machine, [["apply"]], "a state machine");
  mustHave("store", store, [["open"]], "a store or a factory, like fileStore(directory)");
  mustHave("transport", transport, [["attach"], ["open"]], "a transport or a factory, like tcp({ listen })");
  if (snapshots !== undefined) mustHave("snapshots", snapshots, [["open"]], "a snapshot store or a factory");
  if (codec !== undefined) mustHave("codec", codec, [["encode", "decode"]], "a codec");
  if (logger !== undefined) mustHave("logger", logger, [["debug", "info", "warn", "error"]], "a logger, like console");
  checkBoolean("use the options", "shutdownOnRemove", shutdownOnRemove);
  if (bootstrap !== undefined && (typeof bootstrap !== "object" || bootstrap === null || Array.isArray(bootstrap))) {
    throw new TypeError(
      `Cannot use the options as 'bootstrap' must be an object of ids and addresses, not ${nameOf(bootstrap)}`,
    );
  }
  if (clusterId === undefined || isClusterId(clusterId)) return;
  throw new TypeError(
    "Cannot use the options as 'clusterId' must be 1 to 255 bytes of text without control characters",
  );
}

/** Checks that the option has all methods of one of these sets. */
function mustHave(name: string, part: unknown, sets: readonly (readonly string[])[], what: string): void {
  // A class has an apply(), too, like any function: it is a machine's only once that is made.
  const inherited = Function.prototype as unknown as Record<string, unknown>;
  const has = (name: string) => {
    const method = (part as Record<string, unknown> | null | undefined)?.[name];
    return typeof method === "function" && method !== inherited[name];
  };
  if (sets.some((methods) => methods.every(has))) return;
  const methods = sets.map((set) => set.map((method) => `${method}()`).join(" and ")).join(" or ");
  throw new TypeError(`Cannot use the options as '${name}' must be ${what}, with ${methods}`);
}

/** Numbers of things and bytes: a fraction of one is a mistake. */
const counts = [
  "commandBytesMax",
  "appendEntriesMax",
  "appendBytesMax",
  "windowBytesMax",
  "windowAppendsMax",
  "inFlightCountMax",
  "inFlightBytesMax",
  "logCacheBytesMax",
  "logCacheEntriesMax",
  "snapshotThreshold",
  "snapshotThresholdBytes",
  "trailingLogs",
  "snapshotBytesPerSecondMax",
  "sessionTtlMs",
  "sessionsMax",
  "sessionsBytesMax",
  "hashEvery",
] as const;

/** Those of them that may be none. */
const zeroes: ReadonlySet<string> = new Set([
  "logCacheBytesMax",
  "logCacheEntriesMax",
  "trailingLogs",
  "snapshotBytesPerSecondMax",
  "hashEvery",
]);

type NumberSetting = { [K in keyof RaftSettings]: RaftSettings[K] extends number ? K : never }[keyof RaftSettings];

function atLeast(settings: RaftSettings, name: NumberSetting, min: number, words = `at least ${min}`): void {
  const value = settings[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < min) refuse(settings, name, words);
}

function atMost(settings: RaftSettings, name: NumberSetting, max: number, words: string): void {
  if (settings[name] > max) refuse(settings, name, words);
}

function refuse(settings: RaftSettings, name: NumberSetting, words: string): never {
  throw new RangeError(
    `Cannot use the options as '${name}' must be ${words}: current value is ${shown(settings[name])}`,
  );
}
