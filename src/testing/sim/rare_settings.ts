/**
 * Settings that few runs have other than they are by default, each drawn from a stream of its own: the rest of a run is
 * what it would be without them.
 *
 * @module
 */
import type { RaftSettings } from "../../options.ts";
import { INDEX_MAX } from "../../wire/items.ts";
import type { Random } from "./random.ts";

/** What they are drawn for, milliseconds. */
export interface RareSettingsParts {
  readonly heartbeatMs: number;
  readonly electionMinMs: number;
  /** Whether there are snapshots. */
  readonly snapshots: boolean;
}

/** How many snapshots a disk keeps, unless something else is drawn. */
export const RETAIN = 2;

/** Those that servers know. */
export function drawRareSettings(random: Random, parts: RareSettingsParts): Partial<RaftSettings> {
  const { heartbeatMs, electionMinMs, snapshots } = parts;
  const sometimes = (name: string, chance: number, draw: (random: Random) => Partial<RaftSettings>) => {
    const own = random.split(name);
    return own.chance(chance) ? draw(own) : {};
  };
  return {
    // Elections that are often split, and such as take long.
    ...sometimes("election", 0.2, (own) => ({ electionMaxMs: Math.ceil(electionMinMs * own.pick([1.25, 1.5, 3])) })),
    // A leader that gives up before anybody else would; it hears its peers once in a heartbeat.
    ...sometimes("lease", 0.2, () => ({ leaseMs: Math.max(heartbeatMs * 3, electionMinMs / 2) })),
    ...sometimes("transfer", 0.1, () => ({ shutdownTransferMs: 0 })),
    ...sometimes("cache", 0.2, (own) => ({ logCacheEntriesMax: own.pick([1, 10, 100]) })),
    // So few that one command fills it; who waits for room does so for longer than a leader is waited for.
    ...sometimes("room", 0.15, (own) => ({
      inFlightBytesMax: own.pick([1, 100, 400]),
      enqueueTimeoutMs: electionMinMs * 20,
    })),
    ...sometimes("sessions", 0.2, (own) => ({ sessionsBytesMax: own.pick([1, 500, 5000]) })),
    ...snapshots ? sometimes("snapshots", 0.3, (own) => ({ snapshotThresholdBytes: own.pick([1, 500, 5000]) })) : {},
  };
}

/** How many snapshots a disk keeps. */
export function drawRetain(random: Random): number {
  return random.weighted([[RETAIN, 6], [1, 1], [3, 1]]);
}

/**
 * After which entry logs begin, where there are snapshots: just below where 31 and 32 bits end, and below where no frame has
 * room for an index any more. One run of eight has one.
 */
export function drawIndexStart(random: Random): number {
  return random.weighted([[0, 12], [2 ** 31 - 10, 1], [2 ** 32 - 10, 1], [INDEX_MAX + 1 - 1_000_000, 1]]);
}
