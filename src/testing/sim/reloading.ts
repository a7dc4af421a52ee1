/**
 * Settings that an operator changes while servers run: how they are drawn, given to a server, and judged.
 *
 * @module
 */
import { ShutdownError } from "../../errors.ts";
import type { ReloadableSettings } from "../../reload.ts";
import { NEVER_BYTES, noteDue } from "./check/due.ts";
import type { SimConfig } from "./config.ts";
import type { Ghost } from "./ghost.ts";
import type { Random } from "./random.ts";
import { beginRoom, hasRoom } from "./room.ts";
import type { Life } from "./server.ts";

/** The longest wait for a leader is at most so many of the shortest ones that servers begin with. */
const LONGEST = 4;

/** Which settings; `value` is one of its own. */
export interface ReloadInput {
  readonly type: "reload-other";
  readonly value: string;
  readonly changes: Partial<ReloadableSettings>;
  /** Whether one of them is out of its bounds, so that none may be taken. */
  readonly isWrong?: boolean;
}

/**
 * Draws some: such as are in bounds whatever else was drawn before, in whatever order they come. Elections may take longer
 * on one server than on others, but nobody promises a vote for less than anybody's lease.
 */
export function drawReload(
  random: Random,
  value: string,
  { settings, disk, client }: Pick<SimConfig, "settings" | "disk" | "client">,
): ReloadInput {
  const kinds = random.shuffle(drawKinds(random, settings.heartbeatMs!, settings.electionMinMs!));
  const others: readonly Partial<ReloadableSettings>[] = [
    ...disk.keepsSnapshots === true ? [drawSnapshots(random, settings.heartbeatMs!)] : [],
    // A key may be forgotten with a session, and what comes again under it would rightly be applied again.
    ...(client.keyed ?? 0) === 0 ? [drawSessions(random)] : [],
    // Where disks stall of themselves, a leader might give up for that at any moment.
    ...settings.diskStallMs === undefined ? [] : [{ diskStallMs: settings.heartbeatMs! * random.pick([10, 40, 200]) }],
  ];
  const changes = Object.assign(
    {},
    ...random.shuffle([...kinds.slice(0, 3), ...others]).slice(0, random.between(1, 3)),
  );
  const own = random.split(`elections ${value}`);
  const drawn = { ...changes, ...drawElections(own, changes, boundsOf(settings)) };
  if (!random.chance(0.1)) return { type: "reload-other", value, changes: drawn };
  return { type: "reload-other", value, changes: { ...drawn, ...drawWrong(own, boundsOf(settings)) }, isWrong: true };
}

/** What elections and leases may be like in a run, milliseconds. */
interface Bounds {
  readonly leaseMin: number;
  readonly leaseMax: number;
  /** What servers begin with. */
  readonly electionMin: number;
}

function boundsOf({ heartbeatMs, electionMinMs, leaseMs }: SimConfig["settings"]): Bounds {
  const leaseMin = shortLease(heartbeatMs!, electionMinMs!);
  // Only where no server begins with a longer lease may others wait for less than they began with.
  const leaseMax = leaseMs! <= leaseMin ? leaseMin : electionMinMs!;
  return { leaseMin, leaseMax, electionMin: electionMinMs! };
}

/** The shortest wait for a leader goes with the longest one, or the one might be out of bounds by the other. */
function drawElections(
  random: Random,
  { electionMaxMs, leaseMs }: Partial<ReloadableSettings>,
  { leaseMax, electionMin }: Bounds,
): Partial<ReloadableSettings> {
  return {
    ...leaseMs === undefined ? {} : { leaseMs: Math.min(leaseMs, leaseMax) },
    ...electionMaxMs === undefined
      ? {}
      : { electionMinMs: random.pick([leaseMax, electionMin, Math.max(electionMin, Math.floor(electionMaxMs * 0.8))]) },
  };
}

/** What is out of bounds beside whatever else is in force. */
function drawWrong(random: Random, { leaseMin, electionMin }: Bounds): Partial<ReloadableSettings> {
  return random.pick([
    { leaseMs: electionMin * LONGEST + 1 },
    { electionMinMs: leaseMin - 1, electionMaxMs: electionMin },
    { electionMinMs: electionMin, electionMaxMs: electionMin },
    { electionMinMs: 4 },
  ]);
}

/** A leader hears its followers at least three times in a lease, whichever of them is in force with which. */
function shortLease(heartbeatMs: number, electionMinMs: number): number {
  return Math.max(heartbeatMs * 3, electionMinMs / 2);
}

function drawKinds(random: Random, heartbeatMs: number, electionMinMs: number): Partial<ReloadableSettings>[] {
  const leaseMs = shortLease(heartbeatMs, electionMinMs);
  return [
    { heartbeatMs: random.pick([Math.ceil(heartbeatMs / 2), Math.max(heartbeatMs, Math.floor(electionMinMs / 8))]) },
    { electionMaxMs: Math.ceil(electionMinMs * random.pick([1.25, 2, LONGEST])) },
    { leaseMs: random.pick([leaseMs, electionMinMs]) },
    { reconnectWaitMs: random.pick([0, Math.ceil(electionMinMs / 10), electionMinMs]) },
    { windowAppendsMax: random.pick([1, 2, 64]), windowBytesMax: random.pick([1, 400, 2 ** 22]) },
    { inFlightCountMax: random.pick([1, 4, 65_536]), enqueueTimeoutMs: random.pick([0, electionMinMs * 20]) },
    { inFlightBytesMax: random.pick([1, 400, 2 ** 26]) },
    { shutdownTransferMs: random.pick([0, electionMinMs * 2]) },
  ];
}

function drawSnapshots(random: Random, heartbeatMs: number): Partial<ReloadableSettings> {
  return {
    snapshotThreshold: random.pick([1, 5, 50]),
    snapshotThresholdBytes: random.pick([500, NEVER_BYTES]),
    snapshotIntervalMs: heartbeatMs * random.pick([1, 4, 20]),
    trailingLogs: random.pick([0, 3, 20]),
  };
}

function drawSessions(random: Random): Partial<ReloadableSettings> {
  return {
    sessionTtlMs: random.pick([1000, 3_600_000]),
    sessionsMax: random.pick([1, 2, 100_000]),
    sessionsBytesMax: random.pick([1, 500, 2 ** 26]),
  };
}

/** Makes the call and judges its answer; true when they are in force, or refused as they are out of bounds. */
export function reload(ghost: Ghost, life: Life, { changes, isWrong = false }: ReloadInput): boolean {
  // By those that were in force until now.
  hasRoom(ghost, life);
  noteDue(ghost, life);
  try {
    life.raft!.reloadConfig(changes);
    ghost.must(!isWrong, "K4", () => `"${life.id}" takes ${JSON.stringify(changes)}, which is out of bounds`);
    life.reloaded = { ...life.reloaded, ...changes };
    noteDue(ghost, life);
    if ("inFlightCountMax" in changes || "inFlightBytesMax" in changes) beginRoom(life);
    return true;
  } catch (error) {
    const isRight = error instanceof ShutdownError || (isWrong && error instanceof RangeError);
    ghost.must(isRight, "K4", () => `"${life.id}" is given ${JSON.stringify(changes)} and answers ${error}`);
    return error instanceof RangeError;
  } finally {
    // The core is told in a turn of its own.
    ghost.later.push(() => life.isOver || life.raft?.state === "shutdown" || goesBy(ghost, life));
  }
}

/** K6: a server's core goes by the settings that it was started with, and by all that it was given since. */
export function goesBy(ghost: Ghost, { id, core, configured, reloaded }: Life): void {
  const expected = { ...configured, ...reloaded } as Readonly<Record<string, unknown>>;
  const settings: Readonly<Record<string, unknown>> = { ...core.settings };
  for (const name of new Set([...Object.keys(settings), ...Object.keys(reloaded)])) {
    const value = settings[name];
    ghost.must(
      value === expected[name],
      "K6",
      () => `"${id}" goes by ${name} ${value}, it was given ${expected[name]}`,
    );
  }
}

/** Gives every server the settings again that it was started with, where it has others. */
export function restoreSettings(ghost: Ghost, lives: readonly Life[]): void {
  for (const life of lives) {
    const { configured } = life;
    const names = Object.keys(life.reloaded) as (keyof ReloadableSettings)[];
    if (names.length === 0) continue;
    const changes = Object.fromEntries(names.map((name) => [name, configured[name]]));
    if (reload(ghost, life, { type: "reload-other", value: "restored", changes })) life.reloaded = {};
  }
}
