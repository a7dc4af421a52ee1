/**
 * What one run is like: drawn from its seed, printed with every failure.
 *
 * @module
 */
import { defaultOptions, type RaftSettings } from "../../options.ts";
import type { Point } from "../../points.ts";
import type { ClockBehaviour } from "./clock.ts";
import { DELAY_SHAPES } from "./delays.ts";
import type { NetworkBehaviour } from "./lines.ts";
import type { MovingBehaviour } from "./moves.ts";
import { drawPoints } from "./points.ts";
import type { Random } from "./random.ts";
import { drawIndexStart, drawRareSettings, drawRetain } from "./rare_settings.ts";
import { DISK_FAULTS, type DiskFault, SURVIVABLE } from "./survivable.ts";
import { DISK_POINTS, type DiskBehaviour } from "./storage.ts";
import { commandBytesMax } from "./touches.ts";
import type { ClientBehaviour } from "./workload.ts";

/** Faults of everything but disks, by name. */
const WORLD_FAULTS = [
  "loss",
  "delay",
  "late",
  "duplicate",
  "replay",
  "reorder",
  "refuse",
  "refuse-dial",
  "narrow",
  "reset",
  "partition",
  "clog",
  "swizzle",
  "kill",
  "power",
  "restart",
  "pause",
  "suspend",
  "clock",
  "stall",
] as const;

/** One of {@linkcode FAULTS}. */
export type Fault = (typeof WORLD_FAULTS)[number] | DiskFault;

/** Faults that a run may inject, by name. */
export const FAULTS: readonly Fault[] = [...WORLD_FAULTS, ...DISK_FAULTS];

/** Everything about a run but its chance. */
export interface SimConfig {
  readonly servers: number;
  readonly settings: Partial<RaftSettings>;
  readonly network: NetworkBehaviour;
  readonly disk: DiskBehaviour;
  readonly clocks: readonly ClockBehaviour[];
  /** Whether clocks keep the bound that servers are told of, `clockDriftMax`; not by default. */
  readonly keepsTime?: boolean;
  readonly faults: readonly Fault[];
  /** Mean time between faults, microseconds. */
  readonly faultEvery: number;
  /** The shortest a fault lasts, microseconds. */
  readonly faultMin: number;
  /** The longest a fault lasts, microseconds. */
  readonly faultMax: number;
  /** Faults in all. */
  readonly faultsMax: number;
  /** Faults at a time. */
  readonly faultsAtOnce: number;
  /** Chance of a fault right after what it hurts most, see ambush.ts. */
  readonly ambush: number;
  /** Chance that a server which is restarted is drained first, in `[0, 1]`; 0 by default. */
  readonly drains?: number;
  readonly client: ClientBehaviour;
  /** Steps of all cores after the first leader, until the faults end. */
  readonly steps: number;
  /** How long the faults go on when the clients have ceased, microseconds. */
  readonly quietTail: number;
  /** The term that every disk holds at first: terms beyond 32 bits must be as good as any. */
  readonly termStart: number;
  /**
   * The last entry of the snapshot that every founder begins with, as if so many had been let go: indexes beyond 32 bits
   * must be as good as any. Undefined or 0 where logs begin with entry 1.
   */
  readonly indexStart?: number;
  /** Servers that come, go and hand over; undefined where they stay who they are. */
  readonly moving?: MovingBehaviour;
  /** Servers start empty and are told within so many microseconds to begin; undefined where each begins at its start. */
  readonly foundedLate?: number;
  /** Whether servers stop by themselves when they learn that they were removed; not by default. */
  readonly shutdownOnRemove?: boolean;
  /** Where the servers' own code does what is unusual now and then; nowhere by default. */
  readonly points?: readonly Point[] | undefined;
}

/** What a caller may fix; the rest is drawn. */
export interface ConfigRequest {
  readonly servers?: number | undefined;
  readonly faults?: readonly Fault[] | undefined;
  readonly steps?: number | undefined;
  readonly store?: DiskBehaviour["store"] | undefined;
  /** See {@linkcode SimConfig.indexStart}. */
  readonly indexStart?: number | undefined;
  /** False where the servers must stay who they are; else how they change. */
  readonly moving?: false | Partial<MovingBehaviour> | undefined;
  /** See {@linkcode SimConfig.ambush}. */
  readonly ambush?: number | undefined;
  /** See {@linkcode SimConfig.drains}. */
  readonly drains?: number | undefined;
  /** What is fixed of the clients. */
  readonly client?: Partial<ClientBehaviour> | undefined;
}

/** How often a call is a read by lease, where there are any, unless something else is drawn. */
export const LEASE_SHARE = 0.3;

/** By how much clocks may run fast or slow where they keep their bound. */
const DRIFT_MAX = 0.1;

/** The slowest and the fastest that a clock may run to keep the bound that servers are told of. */
export function timelyRates({ settings }: Pick<SimConfig, "settings">): readonly [slowest: number, fastest: number] {
  const { clockDriftMax } = { ...defaultOptions(), ...settings };
  return [1 - clockDriftMax, 1 + clockDriftMax];
}

/** Whether a clock that runs at this rate keeps that bound. */
export function isInTime(config: Pick<SimConfig, "settings">, rate: number): boolean {
  const [slowest, fastest] = timelyRates(config);
  return rate >= slowest && rate <= fastest;
}

/** A configuration: each fault and feature on or off, so that each is also met without the others. */
export function drawConfig(random: Random, request: ConfigRequest = {}): SimConfig {
  const most = random.weighted<number>([[1, 1], [2, 2], [3, 8], [4, 2], [5, 6], [7, 1]]);
  const drawn = most === 7 && random.split("six").chance(0.5) ? 6 : most;
  const faults = request.faults ?? drawFaults(random);
  const moving = request.moving !== false &&
    movingOf(random.split("moving"), request.servers ?? drawn, faults, request);
  const founders = (request.moving !== false ? request.moving?.voters : undefined) ?? drawn;
  const servers = request.servers ?? (moving === false ? founders : founders + random.split("spares").between(1, 3));
  const timing = random.split("timing");
  const heartbeat = timing.pick([10, 50, 50, 100]);
  const election = heartbeat * timing.pick([4, 10, 10]);
  const disk = diskOf(random.split("disk"), new Set(faults), heartbeat * 1000, request);
  // A log that nothing is taken from is met more often than chance would have it.
  const compacts = disk.store === "memory" || random.split("wal snapshots").chance(0.6);
  const snapshots = compacts ? snapshotsOf(random.split("snapshots"), heartbeat) : undefined;
  const points = random.split("points");
  const rare = random.split("rare settings");
  const indexStart = request.indexStart ?? (snapshots === undefined ? 0 : drawIndexStart(random.split("index start")));
  return {
    servers,
    settings: {
      ...settingsOf(random.split("settings"), heartbeat, election),
      ...snapshots,
      ...drawRareSettings(rare, {
        heartbeatMs: heartbeat,
        electionMinMs: election,
        snapshots: snapshots !== undefined,
      }),
      // Where disks stall of themselves, a leader might give up for that in a healthy cluster.
      ...disk.stallChance > 0 ? {} : { diskStallMs: heartbeat * points.pick([10, 40, 200]) },
    },
    network: {
      ...withBulk(
        random.split("bulk"),
        networkOf(random.split("network"), new Set(faults), heartbeat * 1000, election * 1000),
      ),
      ...oldServersOf(random.split("old servers"), servers),
    },
    disk: {
      ...disk,
      ...snapshots === undefined && indexStart === 0
        ? {}
        : { keepsSnapshots: true, retain: drawRetain(rare.split("retain")) },
      points: DISK_POINTS.filter(() => points.chance(0.25)),
    },
    clocks: clocksOf(random.split("clocks"), servers, faults.includes("clock")),
    keepsTime: random.split("time").chance(0.75),
    faults,
    faultEvery: election * 1000 * timing.pick([1, 2, 5]),
    faultMin: heartbeat * 1000,
    faultMax: election * 1000 * timing.pick([2, 4, 10, 50]),
    faultsMax: 40,
    faultsAtOnce: timing.pick([1, 1, 2, 4]),
    // Few changes of the servers meet a fault by chance.
    ambush: request.ambush ?? random.split("ambush").pick(moving === false ? [0, 0, 0.02, 0.2] : [0, 0.02, 0.2, 0.2]),
    drains: request.drains ?? random.split("drains").pick([0, 0, 0.3, 1]),
    client: { ...clientsOf(random.split("clients"), heartbeat * 1000, election * 1000), ...request.client },
    steps: request.steps ?? 20_000,
    quietTail: timing.chance(0.3) ? election * 1000 * timing.between(1, 10) : 0,
    termStart: random.weighted([[0, 6], [2 ** 31 - 3, 1], [2 ** 32 - 3, 1], [
      moving === false ? 2 ** 53 - 1_000_000 : 0,
      1,
    ]]),
    ...indexStart === 0 ? {} : { indexStart },
    ...moving === false ? {} : { moving },
    ...points.chance(0.2) ? { foundedLate: election * 1000 } : {},
    ...moving !== false && rare.split("removal").chance(0.4) ? { shutdownOnRemove: true } : {},
    points: drawPoints(random.split("buggify")),
  };
}

/** Each fault or none of it; those of disks are left out of half of the runs. */
function drawFaults(random: Random): readonly Fault[] {
  const on = FAULTS.filter(() => random.chance(0.5));
  const disk = random.split("disk faults");
  const [hasTrouble, isBeyond] = [disk.chance(0.5), disk.chance(0.1)];
  return on.filter((fault) => {
    const ofDisk = DISK_FAULTS.find((name) => name === fault);
    if (ofDisk === undefined) return true;
    return hasTrouble && SURVIVABLE[ofDisk].outcome !== "off" && (isBeyond || ofDisk !== "rot-beyond");
  });
}

/**
 * Not where disks are replaced by such as can't be survived. A new server believes in no term that is far from its own, so those
 * don't begin with one.
 */
function movingOf(
  random: Random,
  drawn: number,
  faults: readonly Fault[],
  { servers, faults: asked, moving }: ConfigRequest,
): MovingBehaviour | false {
  const isDrawn = random.chance(0.35) || moving !== undefined;
  if (!isDrawn || servers === 1) return false;
  if (faults.some(excludesMoves)) return false;
  // Whoever asks for these alone asks for servers that stay who they are.
  if (moving === undefined && asked?.some((fault) => /^rot|^wipe|^old-copy/.test(fault)) === true) return false;
  const voters = servers === undefined ? drawn : random.between(1, servers - 1);
  const [chance, idlers] = [random.pick([0.02, 0.1, 0.3]), random.chance(0.4)];
  const swaps = idlers ? 0 : random.split("swaps").pick([0, 0, 0.3, 0.8]);
  const peers = random.split("peers").pick([0, 0.3]);
  return { voters, chance, idlers, swaps, peers, ...moving === false ? {} : moving };
}

/** Whether servers stay who they are when this is asked for, or drawn: nothing could say what is left of a quorum. */
export function excludesMoves(fault: Fault): boolean {
  return ["rot-above-mark", "lost-tail", "replace-beyond"].includes(fault);
}

function settingsOf(random: Random, heartbeatMs: number, electionMinMs: number): Partial<RaftSettings> {
  const small = random.chance(0.5);
  return {
    heartbeatMs,
    electionMinMs,
    electionMaxMs: electionMinMs * 2,
    leaseMs: electionMinMs,
    clockDriftMax: DRIFT_MAX,
    leaderWaitMs: electionMinMs * 6,
    preVote: random.chance(0.75),
    reconnectWaitMs: Math.floor(electionMinMs / random.split("reconnect").pick([10, 10, 4, 100, Infinity])),
    shutdownTransferMs: electionMinMs * 2,
    commandBytesMax,
    hashEvery: random.pick([0, 1, 7, 50]),
    ...sessionsOf(random.split("limits of sessions")),
    // So few that callers wait for room, and for longer than a leader is waited for.
    ...random.split("room").chance(0.2) ? { inFlightCountMax: 2, enqueueTimeoutMs: electionMinMs * 20 } : {},
    ...(small
      ? {
        appendEntriesMax: random.pick([1, 2, 8]),
        appendBytesMax: random.pick([1, 200, 4096]),
        windowAppendsMax: random.pick([1, 2, 4]),
        windowBytesMax: random.pick([1, 400, 8192]),
        logCacheBytesMax: random.pick([0, 512, 8192]),
      }
      : {}),
  };
}

/** Sessions that are forgotten while they are in use: as nobody hears of them for long, or as there are too many. */
function sessionsOf(random: Random): Partial<RaftSettings> {
  const sessionTtlMs = random.pick([undefined, undefined, 1000, 3000]);
  const sessionsMax = random.pick([undefined, undefined, undefined, 1, 2]);
  return {
    ...sessionTtlMs === undefined ? {} : { sessionTtlMs },
    ...sessionsMax === undefined ? {} : { sessionsMax },
  };
}

/** Also so many that the log is hardly ever longer than what is on its way. */
function snapshotsOf(random: Random, heartbeatMs: number): Partial<RaftSettings> | undefined {
  const snapshotThreshold = random.pick([1, 2, 5, 50, undefined]);
  if (snapshotThreshold === undefined) return undefined;
  return {
    snapshotThreshold,
    snapshotIntervalMs: heartbeatMs * random.pick([1, 4, 20]),
    trailingLogs: random.pick([0, 0, 1, 3, 20]),
    snapshotBytesPerSecondMax: random.pick([0, 0, 20_000]),
  };
}

/** What is long has connections of its own, as in production, unless a transport does without. Faults strike one kind or both. */
function withBulk(random: Random, network: NetworkBehaviour): NetworkBehaviour {
  if (random.chance(0.15)) return network;
  const strikes = (chance: number) => random.pick([[chance, chance], [chance, 0], [0, chance]] as const);
  const [refuse, bulkRefuse] = strikes(network.refuse);
  const [refuseDial, bulkRefuseDial] = strikes(network.refuseDial);
  const narrow = random.pick([20, 100, 1000]);
  const bytesPerMs = network.bytesPerMs === 0 ? 0 : narrow;
  return { ...network, refuse, refuseDial, bulk: { refuse: bulkRefuse, refuseDial: bulkRefuseDial, bytesPerMs } };
}

/** Some servers are not upgraded yet. */
function oldServersOf(random: Random, servers: number): Pick<NetworkBehaviour, "oldServers"> {
  if (!random.chance(0.15)) return {};
  return { oldServers: Array.from({ length: servers }, (_, i) => i).filter(() => random.chance(0.5)) };
}

function clientsOf(random: Random, heartbeat: number, election: number): ClientBehaviour {
  const some = (chance: number) => random.chance(0.5) ? chance : 0;
  return {
    clients: random.between(1, 6),
    keys: random.spread(1, 32),
    callsPerKeyMax: 400,
    thinkTime: heartbeat * random.pick([1, 2, 4]) / 2,
    burstChance: some(0.05),
    burstMax: random.pick([4, 16, 64]),
    quietChance: some(0.01),
    quietMax: election * random.pick([2, 10]),
    isSticky: random.chance(0.3),
    tailsOff: random.chance(0.3),
    staleReads: random.chance(0.5),
    lists: random.chance(0.5),
    touchChance: some(0.05),
    workChance: some(0.05),
    workMax: heartbeat * random.pick([1, 4]),
    leaseReads: random.chance(0.6),
    // Where next to nothing is written a server that was cut off is not behind, and may be elected later.
    leaseShare: random.split("lease share").pick([LEASE_SHARE, LEASE_SHARE, LEASE_SHARE, 0.98]),
    sessions: random.split("sessions").pick([0, 0, 0.2, 0.8]),
    keyed: random.split("keyed").pick([0, 0.3]),
    asks: random.split("asks").pick([0, 0, 0.02, 0.1]),
    restores: random.split("restores").pick([0, 0, 0, 0.01]),
    rareAsks: random.split("rare asks").pick([0, 0, 0.01, 0.05]),
    bounded: random.split("bounded").pick([0, 0, 0.02, 0.1]),
    reloads: random.split("reloads").pick([0, 0, 0.005, 0.05]),
  };
}

function networkOf(
  random: Random,
  faults: ReadonlySet<Fault>,
  heartbeat: number,
  election: number,
): NetworkBehaviour {
  const some = (fault: Fault, max: number) => {
    const chance = max / random.pick([1, 4, 16]);
    return faults.has(fault) ? chance : 0;
  };
  const shape = random.pick(DELAY_SHAPES);
  const bytesPerMs = random.pick([20, 100, 1000]);
  return {
    delayShape: faults.has("delay") ? shape : "uniform",
    delayMin: Math.floor(heartbeat / 100),
    delayMax: Math.floor(heartbeat / random.pick([4, 10, 20])),
    tailChance: some("delay", 0.1),
    tailMax: heartbeat * 20,
    late: some("late", 0.05),
    lateMax: election * 10,
    loss: some("loss", 0.2),
    duplicate: some("duplicate", 0.2),
    replay: some("replay", 0.05),
    ...faults.has("replay") && random.split("hostile").chance(0.5) ? { hostile: 0.02 } : {},
    reorder: faults.has("reorder"),
    refuse: some("refuse", 0.05),
    refuseDial: some("refuse-dial", 0.5),
    bytesPerMs: faults.has("narrow") ? bytesPerMs : 0,
    queueBytesMax: random.pick([500, 2000, 20_000]),
    silence: heartbeat * random.pick([10, 40]),
  };
}

function diskOf(
  random: Random,
  faults: ReadonlySet<Fault>,
  heartbeat: number,
  { store }: ConfigRequest,
): DiskBehaviour {
  const drawn = random.pick(["wal", "memory"] as const);
  return {
    store: store ?? drawn,
    latencyMin: Math.floor(heartbeat / 200),
    latencyMax: Math.floor(heartbeat / random.pick([4, 10, 50])),
    stallChance: faults.has("stall") ? random.pick([0.001, 0.01]) : 0,
    stallMax: heartbeat * 40,
    segmentBytes: random.pick([8192, 65_536]),
    keepsCopies: faults.has("old-copy") || faults.has("replace-beyond"),
  };
}

function clocksOf(random: Random, servers: number, areFaulty: boolean): readonly ClockBehaviour[] {
  // Milliseconds until a clock passes what fits into 31 and 32 bits: after 25 and 50 days.
  const base = random.weighted([[0, 4], [2 ** 31, 1], [2 ** 32, 1]]);
  return Array.from({ length: servers }, () => {
    // Parts per thousand.
    const drift = random.between(-1000 * DRIFT_MAX, 1000 * DRIFT_MAX);
    const timerLateMax = random.pick([0, 1000, 5000]);
    const start = Math.max(0, base - random.below(10_000));
    return areFaulty ? { rate: (1000 + drift) / 1000, start, timerLateMax } : { rate: 1, start, timerLateMax: 0 };
  });
}
