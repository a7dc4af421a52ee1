/**
 * Settings that may change while a server runs.
 *
 * @module
 */
import { checkObject } from "./checks.ts";
import type { RaftSettings } from "./options.ts";
import { validateOptions } from "./options_check.ts";

/** What {@linkcode Raft.reloadConfig} can change: hashicorp/raft's five, and our own that need no restart. */
export type ReloadableSettings = Pick<
  RaftSettings,
  | "heartbeatMs"
  | "electionMinMs"
  | "electionMaxMs"
  | "leaseMs"
  | "reconnectWaitMs"
  | "trailingLogs"
  | "snapshotIntervalMs"
  | "snapshotThreshold"
  | "snapshotThresholdBytes"
  | "windowBytesMax"
  | "windowAppendsMax"
  | "inFlightCountMax"
  | "inFlightBytesMax"
  | "enqueueTimeoutMs"
  | "diskStallMs"
  | "shutdownTransferMs"
  | "sessionTtlMs"
  | "sessionsMax"
  | "sessionsBytesMax"
>;

const reloadable: Readonly<Record<keyof ReloadableSettings, true>> = {
  heartbeatMs: true,
  electionMinMs: true,
  electionMaxMs: true,
  leaseMs: true,
  reconnectWaitMs: true,
  trailingLogs: true,
  snapshotIntervalMs: true,
  snapshotThreshold: true,
  snapshotThresholdBytes: true,
  windowBytesMax: true,
  windowAppendsMax: true,
  inFlightCountMax: true,
  inFlightBytesMax: true,
  enqueueTimeoutMs: true,
  diskStallMs: true,
  shutdownTransferMs: true,
  sessionTtlMs: true,
  sessionsMax: true,
  sessionsBytesMax: true,
};

/**
 * These settings with those changes, checked as a whole. What is left out, or undefined, stays as it is.
 *
 * @throws {TypeError} When they are no object, or one of them can't be changed while the server runs, or is none.
 * @throws {RangeError} When a number is out of its bounds.
 */
export function reloaded(settings: RaftSettings, changes: Partial<ReloadableSettings>): RaftSettings {
  checkObject("reload settings", "the changes, such as { heartbeatMs: 50 },", changes);
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  for (const [name] of given) {
    if (Object.hasOwn(reloadable, name)) continue;
    throw new TypeError(
      `Cannot reload '${name}': ${Object.hasOwn(settings, name) ? "it takes a restart" : "there is no such setting"}`,
    );
  }
  return validateOptions({ ...settings, ...Object.fromEntries(given) });
}
