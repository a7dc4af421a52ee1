/**
 * Faults at the moments at which they hurt most: right after a leader appended, the servers changed, a log was shortened, a
 * vote was given, a transfer began. Faults at random times hardly ever meet them.
 *
 * @module
 */
import type { ServerId } from "../../types.ts";
import type { Fault, SimConfig } from "./config.ts";
import type { Action } from "./nemesis.ts";
import { type Direction, PARTITIONS } from "./partitions.ts";
import type { Random } from "./random.ts";
import type { NodeView, StepView } from "./view.ts";

/** Draws a fault for the moment after a step; undefined for none, which is what it mostly is. */
export function drawAmbush(random: Random, config: SimConfig, node: NodeView, step: StepView): Action | undefined {
  const { ambush, servers, faults } = config;
  if (ambush === 0 || servers === 1) return undefined;
  const { core, index } = node;
  const moment = momentOf(node, step);
  const isUsual = moment === "appended" || moment === "compacted";
  const chance = isUsual ? ambush / 50 : moment === "jumped" ? Math.min(1, ambush * 4) : ambush;
  if (moment === undefined || !random.chance(chance)) return undefined;
  const duration = random.spread(config.faultMin, config.faultMax);
  const crashes = (["kill", "power"] as const).filter((kind) => faults.includes(kind));
  const crash = (server: number): Action | undefined =>
    crashes.length === 0 ? undefined : { type: "crash", server, kind: random.pick(crashes), for: duration };
  // Once more before the lease is over: what was credited once is not again.
  if (moment === "jumped") {
    return faults.includes("clock")
      ? { type: "step-monotonic", server: index, ms: Math.floor(config.settings.leaseMs! * 0.9) }
      : undefined;
  }
  const lags = moment === "changed" && random.chance(0.4) ? drawLag(random, config, node) : undefined;
  if (lags !== undefined) return lags;
  if (moment === "transferring") {
    // A leader without a vote has made way when it has told its successor.
    const told = step.effects.find((effect) => effect.type === "send" && effect.message.type === "timeout-now");
    const to = core.leading?.transfer?.to ?? (told as { readonly to: ServerId } | undefined)?.to;
    return to === undefined ? undefined : crash(indexOf(to));
  }
  // Whoever sends or sent a snapshot must not be needed any more.
  const isLeaderMeant = moment === "receiving" || (moment === "installed" && random.chance(0.5));
  if (isLeaderMeant) return core.leader === undefined ? undefined : crash(indexOf(core.leader));
  // The snapshot is durable, and what is to follow it in the log is not.
  if (moment === "installed" || moment === "compacted") return crash(index);
  // A vote that takes longer to be written than an election may last.
  const stalls = moment === "voted" && faults.includes("disk-stall") && random.chance(0.5);
  if (stalls) return { type: "disk-stall", server: index, for: duration };
  if (moment === "voted" || moment === "truncated" || !faults.includes("partition") || random.chance(0.3)) {
    return crash(index);
  }
  // What it has just appended reaches one server at most: the beginning of figure 8.
  const friend = (index + random.between(1, servers - 1)) % servers;
  const others = config.clocks.map((_, i) => i).filter((i) => i !== index && i !== friend);
  if (others.length === 0) return undefined;
  const directions = others.flatMap((other) => [[index, other], [other, index]] as const);
  const resets = faults.includes("reset") && random.chance(0.75);
  // Long enough for the others to go on without it.
  const long = config.settings.electionMaxMs! * 1000 * 3;
  return { type: "cut", shape: "leader and minority", directions, for: duration + long, ...resets ? { resets } : {} };
}

/**
 * Draws what befalls a leader that has just entered a joint configuration, and when, microseconds after that: it is gone
 * before it has left it, and those that go on without it have to. Undefined for nothing.
 */
export function drawTrap(
  random: Random,
  config: SimConfig,
  { index }: NodeView,
  { effects }: StepView,
): { readonly action: Action; readonly after: number } | undefined {
  const { ambush, faults, settings } = config;
  if (ambush === 0) return undefined;
  const isEntered = effects.some((effect) => effect.type === "append" && effect.configuration?.outgoing !== undefined);
  if (!isEntered || !random.chance(ambush * 4)) return undefined;
  const after = random.spread(1, settings.heartbeatMs! * 1000);
  // Long enough for the others to go on without it.
  const duration = settings.electionMaxMs! * 1000 * 3 + random.spread(config.faultMin, config.faultMax);
  const others = config.clocks.map((_, i) => i).filter((i) => i !== index);
  const directions = others.flatMap((other) => [[index, other], [other, index]] as const);
  const choices: readonly (readonly [Fault, Action])[] = [
    ["partition", { type: "cut", shape: "isolate", directions, for: duration }],
    ["pause", { type: "pause", server: index, for: duration }],
    ["kill", { type: "crash", server: index, kind: "kill", for: duration }],
    ["power", { type: "crash", server: index, kind: "power", for: duration }],
  ];
  const possible = choices.filter(([fault]) => faults.includes(fault));
  return possible.length === 0 ? undefined : { action: random.pick(possible)[1], after };
}

/**
 * Draws what befalls a leader to which commands are on their way, from `to`: its answer comes when another leads and nobody
 * else has those commands. Undefined for nothing.
 */
export function drawLateAnswer(
  random: Random,
  config: SimConfig,
  leader: number,
  to: number,
): readonly [Action, Action] | undefined {
  const { ambush, faults, settings } = config;
  if (!faults.includes("clog") || !faults.includes("partition") || !random.chance(ambush / 20)) return undefined;
  // Long enough for the others to go on without it, and no longer than an answer is waited for.
  const election = settings.electionMaxMs! * 1000;
  const late = random.between(election * 3 / 2, Math.min(election * 5 / 2, settings.leaderWaitMs! * 900));
  const others = config.clocks.map((_, i) => i).filter((i) => i !== leader && i !== to);
  const directions = others.flatMap((other) => [[leader, other], [other, leader]] as const);
  return [
    { type: "clog", from: leader, to, for: late },
    { type: "cut", shape: "isolate", directions, for: election * 3 },
  ];
}

/** Chance that who forwards a command loses its leader, in every run with partitions: there are many such moments. */
const LOST_CALL = 1 / 200;

/**
 * Draws what befalls a server that forwards a command: it and its leader lose one another, alone, and clients go on calling
 * it. Undefined for nothing.
 */
export function drawLostCall(
  random: Random,
  config: SimConfig,
  leader: number,
  from: number,
): { readonly action: Action; readonly calls: number; readonly after: number } | undefined {
  const { ambush, faults, network } = config;
  if (!faults.includes("partition") || !random.chance(Math.max(LOST_CALL, ambush / 20))) return undefined;
  const shape = "client and leader";
  const directions = PARTITIONS[shape]([leader, from], random);
  const resets = faults.includes("reset") && random.chance(0.5);
  const duration = random.spread(config.faultMin, config.faultMax);
  return {
    action: { type: "cut", shape, directions, for: duration, ...resets ? { resets } : {} },
    calls: random.pick([1, 4]),
    // The command is on its way, or its answer.
    after: random.between(1, network.delayMax * 2),
  };
}

/**
 * Draws what befalls a snapshot of which a server has just heard, and when, microseconds after that: the connection over which
 * it comes ends before all is there, or messages overtake it or are overtaken by it. Undefined for nothing.
 */
export function drawBreak(
  random: Random,
  config: SimConfig,
  { core, index }: NodeView,
  { effects }: StepView,
): { readonly action: Action; readonly after: number } | undefined {
  const { ambush, faults, network, settings } = config;
  if (ambush === 0 || network.bulk === undefined) return undefined;
  if (!effects.some(({ type }) => type === "receive-snapshot") || core.leader === undefined) return undefined;
  if (!random.chance(ambush * 4)) return undefined;
  const leader = indexOf(core.leader);
  const channel = random.pick(["consensus", "bulk"] as const);
  const late = random.spread(network.delayMax, settings.electionMinMs! * 500);
  const choices: readonly (readonly [Fault, Action])[] = [
    ["reset", { type: "reset", a: leader, b: index, channel: "bulk" }],
    ["clog", { type: "clog", from: leader, to: index, for: late, channel }],
  ];
  const possible = choices.filter(([fault]) => faults.includes(fault));
  if (possible.length === 0) return undefined;
  // As long as it takes until it has asked for the bytes, and got some.
  return { action: random.pick(possible)[1], after: random.between(1, network.delayMax * 4) };
}

/** A cut around a leader, and what comes along with it so that more comes of it. */
export interface Company {
  /** The cut itself, perhaps a longer one, and a disk that stalls. */
  readonly actions: readonly Action[];
  /** Writes that only this leader hears of. */
  readonly writes: number;
}

/**
 * Draws what comes along with a fault that cuts off this leader; undefined where it does no such thing. A disk that stalls
 * has not done with what the leader wrote when it is back and others' entries take the place of that.
 */
export function drawCompany(random: Random, config: SimConfig, action: Action, leader: number): Company | undefined {
  if (action.type !== "cut" || !isCutOff(config, action.directions, leader)) return undefined;
  const { faults, settings } = config;
  const stalls = (faults.includes("stall") || faults.includes("disk-stall")) && random.chance(0.5);
  if (!stalls) return { actions: [action], writes: random.pick([0, 1, 4]) };
  const election = settings.electionMaxMs! * 1000;
  // Long enough for the others to go on without it.
  const cut = { ...action, for: Math.max(action.for, election * 3) };
  const stall = { type: "disk-stall", server: leader, for: cut.for + election * random.between(1, 5) } as const;
  return { actions: [cut, stall], writes: random.pick([1, 4]) };
}

/**
 * Draws that such a leader is asked for so much at once that others have to remove a long tail from its log when it is
 * back; undefined where it stays as it is.
 */
export function drawCrowd(random: Random, { settings }: SimConfig, company: Company): Company | undefined {
  // Whoever has to wait for room brings nothing into the log.
  const hasRoom = settings.inFlightCountMax === undefined && settings.inFlightBytesMax === undefined;
  if (!hasRoom || !random.chance(0.15)) return undefined;
  const [cut, ...rest] = company.actions;
  if (cut?.type !== "cut") return undefined;
  // Long enough for the others to go on without it.
  const lasting = { ...cut, for: Math.max(cut.for, settings.electionMaxMs! * 1000 * 3) };
  return { actions: [lasting, ...rest], writes: random.between(100, 200) };
}

/** Draws that a server whose disk has just become full dies, and has to start on that. */
export function drawFullStart(random: Random, { faults }: SimConfig, action: Action): Action | undefined {
  const crashes = (["kill", "power"] as const).filter((kind) => faults.includes(kind));
  if (action.type !== "disk-full" || crashes.length === 0 || !random.chance(0.3)) return undefined;
  return { type: "crash", server: action.server, kind: random.pick(crashes), for: Math.floor(action.for / 4) };
}

/** Whether too few are left that hear this server and are heard by it. */
function isCutOff({ servers }: SimConfig, directions: readonly Direction[], server: number): boolean {
  const lost = new Set(directions.filter((direction) => direction.includes(server)).flat());
  lost.delete(server);
  return (servers - lost.size) * 2 <= servers;
}

/** A change that takes longer than anybody waits: who comes can't catch up, or who stays does not agree. */
function drawLag(
  random: Random,
  { settings, faults, servers }: SimConfig,
  { core, index }: NodeView,
): Action | undefined {
  const staging = core.configurations.at(-1)?.configuration.servers.find(({ suffrage }) => suffrage === "staging");
  const [electionMin, electionMax] = [settings.electionMinMs! * 1000, settings.electionMaxMs! * 1000];
  if (staging !== undefined && faults.includes("disk-slow")) {
    return { type: "disk-slow", server: indexOf(staging.id), by: electionMin, for: electionMin * 20 };
  }
  const other = (index + random.between(1, servers - 1)) % servers;
  return faults.includes("disk-stall") ? { type: "disk-stall", server: other, for: electionMax * 3 } : undefined;
}

type Moment =
  | "led"
  | "changed"
  | "appended"
  | "truncated"
  | "voted"
  | "transferring"
  | "jumped"
  | "receiving"
  | "installed"
  | "compacted";

function momentOf(
  { core }: NodeView,
  { before, effects, event }: StepView,
): Moment | undefined {
  if (event.type === "clock-jumped" && core.role === "leader") return "jumped";
  for (const effect of effects) {
    if (effect.type === "receive-snapshot") return "receiving";
    if (effect.type === "append" && effect.source === "noop") return "led";
    if (effect.type === "append" && effect.source === "configuration") return "changed";
    if (effect.type === "append" && effect.source === "proposals") return "appended";
    if (effect.type === "truncate") return "truncated";
    if (effect.type === "persist-vote" && effect.votedFor !== undefined) return "voted";
    if (effect.type === "send" && effect.message.type === "timeout-now") return "transferring";
    if (effect.type === "install-snapshot") return "installed";
    if (effect.type === "compact") return "compacted";
  }
  return before.role === "leader" && core.leading?.transfer !== undefined ? "transferring" : undefined;
}

function indexOf(id: string): number {
  return Number(id.slice(1));
}
