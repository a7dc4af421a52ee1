/**
 * Clients: they call servers, often learn nothing of what came of it, and remember what they learnt.
 *
 * @module
 */
import { checkLinearizability, type Operation } from "../linearizability.ts";
import { ASKS, SNAPSHOT_ASKS } from "./asks.ts";
import { Calls, type KeyInput, type SimInput, type SimOperation } from "./calls.ts";
import type { Clients } from "./clients.ts";
import { LEASE_SHARE, type SimConfig } from "./config.ts";
import type { Ghost } from "./ghost.ts";
import type { SimCommand, SimResult } from "./machine.ts";
import { drawBounded } from "./local_reads.ts";
import { missed, type ModelInput, simModel } from "./model.ts";
import { drawMoveOf, type MoveInput, movesAfter } from "./moves.ts";
import { Port } from "./queue.ts";
import { RARE_ASKS } from "./rare_asks.ts";
import { drawReload } from "./reloading.ts";
import { drawRestore } from "./restoring.ts";
import type { Random } from "./random.ts";
import { burstsOf, type ScriptedCall } from "./script.ts";
import type { Life, SimServer } from "./server.ts";
import { TOUCHES } from "./touches.ts";
import type { World } from "./world.ts";

export type { KeyInput, SimInput, SimOperation } from "./calls.ts";

/** What clients are like; chances in `[0, 1]`, times in microseconds. */
export interface ClientBehaviour {
  readonly clients: number;
  readonly keys: number;
  /** Calls of a key after which another key takes its place: histories are checked key by key. */
  readonly callsPerKeyMax: number;
  /** Mean time between the calls of a client. */
  readonly thinkTime: number;
  /** Many calls at once. */
  readonly burstChance: number;
  readonly burstMax: number;
  /** No call of anybody for up to this long. */
  readonly quietChance: number;
  readonly quietMax: number;
  /** Each client asks one server only. */
  readonly isSticky: boolean;
  /** Fewer and fewer calls before the faults end. */
  readonly tailsOff: boolean;
  /** Reads that any state will do for. */
  readonly staleReads: boolean;
  /** Reads that a lease will do for. */
  readonly leaseReads?: boolean;
  /** Chance that a call is one of them, in `[0, 1]`; {@linkcode LEASE_SHARE} by default. */
  readonly leaseShare?: number;
  /** Chance that a command is one of a session, or a read one of what a session has seen; 0 by default. */
  readonly sessions?: number;
  /** Chance that a command is known by a key, under which clients send it again, answered or not; 0 by default. */
  readonly keyed?: number;
  /** Keys that hold lists. */
  readonly lists: boolean;
  /** A call of something else; see {@linkcode TOUCHES}. */
  readonly touchChance: number;
  /** Chance that a call is one of {@linkcode ASKS}, or of {@linkcode SNAPSHOT_ASKS}; 0 by default. */
  readonly asks?: number;
  /** Chance that a call is a read that is to see some entry, or nothing too old; 0 by default. */
  readonly bounded?: number;
  /** Chance that a call is one of an operator who changes settings; 0 by default. */
  readonly reloads?: number;
  /** Chance that a call is one of {@linkcode RARE_ASKS}; 0 by default. */
  readonly rareAsks?: number;
  /** Chance that a call is one of a user who restores a snapshot, in `[0, 1]`; 0 by default. */
  readonly restores?: number;
  /** A machine that works at a command for up to this long. */
  readonly workChance: number;
  readonly workMax: number;
}

/** How many of the last commands that are known by a key are sent again, and how often instead of another one. */
const KEYED_RECENT = 8;
const KEYED_AGAIN = 0.5;

/** How often a call of a client is instead an operator's, who lets a machine begin anew. */
const INSTALL_CHANCE = 0.01;

/** How often who restores a snapshot knows who leads: others are told that they asked the wrong one. */
const KNOWS_LEADER = 0.7;

/** All clients of a run, who call for keys. */
export class Workload implements Clients {
  readonly #world: World;
  readonly #servers: readonly SimServer[];
  readonly #config: SimConfig;
  readonly #ghost: Ghost;
  readonly #random: readonly Random[];
  readonly #swaps: Random;
  readonly #peers: Random;
  readonly #sessions: Random;
  readonly #installs: Random;
  readonly #keyed: Random;
  readonly #keyedRecent: SimCommand[] = [];
  readonly #asks: Random;
  readonly #restores: Random;
  readonly #bounded: Random;
  readonly #reloads: Random;
  readonly #rareAsks: Random;
  readonly #calls: Calls;
  /** Calls of each key so far, of which each so many make a new one. */
  readonly #ofKey: number[];
  #values = 0;
  #stopped = true;
  #isSettled = false;
  #quietUntil = 0;
  /** How far the run has come, from 0 to 1. */
  progress = 0;
  /** Every call that the clients made, in order. */
  readonly calls: ScriptedCall[] = [];

  /** Clients that don't call yet. */
  constructor(world: World, servers: readonly SimServer[], config: SimConfig, ghost: Ghost, random: Random) {
    this.#world = world;
    this.#servers = servers;
    this.#config = config;
    this.#ghost = ghost;
    this.#calls = new Calls(world, ghost);
    this.#random = Array.from({ length: config.client.clients }, (_, i) => random.split(`client ${i}`));
    this.#swaps = random.split("swaps");
    this.#peers = random.split("peers");
    this.#sessions = random.split("sessions");
    this.#installs = random.split("installs");
    this.#keyed = random.split("keyed");
    this.#asks = random.split("asks");
    this.#restores = random.split("restores");
    this.#bounded = random.split("bounded");
    this.#reloads = random.split("reloads");
    this.#rareAsks = random.split("rare asks");
    this.#ofKey = new Array(config.client.keys).fill(0);
  }

  /** Calls without an answer. */
  get open(): number {
    return this.#calls.open;
  }

  /** See {@linkcode Clients.isMoving}. */
  get isMoving(): boolean {
    return this.#calls.isMoving;
  }

  /** See {@linkcode Clients.takesSnapshots}. */
  get takesSnapshots(): boolean {
    return this.#config.disk.keepsSnapshots === true;
  }

  /** See {@linkcode Clients.ended}. */
  get ended(): number {
    return this.history.length;
  }

  /** See {@linkcode Clients.openOn}. */
  openOn(servers: readonly SimServer[]): number {
    return this.#calls.openOn((life) => servers.some((server) => server.life === life));
  }

  /** Every call of a key that has ended. */
  get history(): readonly SimOperation[] {
    return this.#calls.history;
  }

  /**
   * The history, once nothing can happen any more: what nobody knew then is known now. A command that is in no log never
   * happened; one that was applied had happened, with that answer, when it was first applied. So had every restore that is in
   * the log, to every key.
   */
  settledHistory(): readonly Operation<ModelInput, SimResult>[] {
    const asked = [...this.history, ...this.#calls.unanswered()].map((operation) => missed(this.#settled(operation)));
    return [...asked, ...this.#restored(new Set(asked.map(({ key }) => key)))];
  }

  #restored(keys: ReadonlySet<string>): readonly Operation<ModelInput, SimResult>[] {
    const { eras } = this.#ghost;
    return eras.restored.flatMap((era) => {
      const all = {
        outcome: "ok",
        // Nobody sees it before it is committed, and everybody from then on: long after somebody gave that state first.
        called: Math.max(eras.givenAt(era), era.event - 1),
        returned: era.event,
        client: `as of ${era.from}`,
      } as const;
      return [...keys].map((key) => {
        return { ...all, key, input: { type: "restore", key, state: era.states.get(key) ?? null } } as const;
      });
    });
  }

  #settled(operation: SimOperation): SimOperation {
    const { input, outcome } = operation;
    if (outcome !== "unknown" || input.type === "get") return operation;
    const applied = this.#ghost.appliedFirst.get(input.value);
    if (applied === undefined) return { ...operation, outcome: "failed" };
    // What machines answered keeps the search short: without it many unknown writes may stand in any order.
    return { ...operation, outcome: "ok", returned: applied.event, output: applied.result };
  }

  /** Lets every client call, one call after the other. */
  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    for (let client = 0; client < this.#random.length; client++) this.#think(client);
  }

  /** Makes exactly these calls, in the place of what clients would draw. */
  play(calls: readonly ScriptedCall[]): void {
    this.#stopped = false;
    // What later phases draw must not have the values of these.
    this.#values = 1_000_000;
    for (const together of burstsOf(calls)) {
      const { at, client } = together[0]!;
      this.#world.schedule(-1, Port.client, at - this.#world.time, client, () => {
        if (this.#stopped) return;
        for (const { server, input } of together) this.#make(server, input, client);
      });
    }
  }

  /** See {@linkcode Clients.stop}. */
  stop(isIdle = false): void {
    this.#isSettled = true;
    this.#stopped = true;
    if (!isIdle) this.#calls.stop();
  }

  /** What waits at a life that is over gets no answer. */
  onOver(life: Life): void {
    this.#calls.onOver(life);
  }

  /** O4: every machine holds what clients have seen. */
  endure({ id, machine, raft }: Life): void {
    this.#calls.oracle.endure(id, (key) => machine.get(key), raft!.appliedIndex);
  }

  /** One call to a server that is up; undefined when it is not. For phases that need an answer. */
  call(server: SimServer, input: SimInput, client: string): Promise<boolean> | undefined {
    const { life } = server;
    return life?.raft === undefined ? undefined : this.#calls.make(life, input, client);
  }

  /** See {@linkcode Clients.probes}. */
  *probes(server: SimServer, random: Random): Iterable<readonly [what: string, answer: Promise<boolean> | undefined]> {
    const write = this.drawWrite(random);
    const inputs: readonly SimInput[] = [
      write,
      { type: "get", key: write.key },
      { type: "lease", key: write.key },
      { type: "barrier", value: "", after: 0 },
    ];
    for (const input of inputs) yield [`a ${input.type}`, this.call(server, input, "after")];
  }

  /** See {@linkcode Clients.moves}. */
  moves(present: readonly SimServer[], members: readonly SimServer[], random: Random): Iterable<MoveInput> {
    return movesAfter(present, members, random);
  }

  /** R4. */
  checkHistory(): void {
    const { verdict, failure } = checkLinearizability(simModel, this.settledHistory(), { stepsMax: 5_000_000 });
    // Given up is not passed.
    this.#ghost.must(verdict === "linearizable", "R4", () => {
      return `the history of "${failure!.key}" is ${verdict}: ${JSON.stringify(failure!.stuck.slice(0, 4))}`;
    });
  }

  /** A call with a value of its own. */
  draw(random: Random): SimInput {
    const { client, settings } = this.#config;
    const { staleReads, leaseReads, leaseShare = LEASE_SHARE, lists, touchChance, asks = 0, restores = 0, quietMax } =
      client;
    const value = `v${++this.#values}`;
    const { moving } = this.#config;
    // The moves end with the faults: what follows is about the servers that there are then.
    if (moving !== undefined && !this.#isSettled && random.chance(moving.chance)) {
      return drawMoveOf(this.#servers, random, { swaps: this.#swaps, peers: this.#peers }, value, moving);
    }
    if (!this.#isSettled && this.#installs.chance(this.takesSnapshots ? INSTALL_CHANCE : 0)) {
      return { type: "install-snapshot", value, after: 0 };
    }
    if (!this.#isSettled && this.#restores.chance(restores)) {
      return drawRestore(this.#restores, value, settings.leaderWaitMs! * 1000);
    }
    if (!this.#isSettled && this.#reloads.chance(client.reloads ?? 0)) {
      return drawReload(this.#reloads, value, this.#config);
    }
    if (this.#bounded.chance(client.bounded ?? 0)) {
      const { key } = this.#drawKey(this.#bounded, lists);
      return drawBounded(this.#bounded, key, settings.heartbeatMs!, settings.electionMinMs!);
    }
    const after = Math.max(1, quietMax);
    if (this.#rareAsks.chance(client.rareAsks ?? 0)) {
      return { type: this.#rareAsks.pick(RARE_ASKS), value, after: this.#rareAsks.spread(1, after) };
    }
    if (this.#asks.chance(asks)) {
      const types = this.takesSnapshots ? [...ASKS, ...SNAPSHOT_ASKS] : ASKS;
      return { type: this.#asks.pick(types), value, after: this.#asks.spread(1, after) };
    }
    if (random.chance(touchChance)) return { type: random.pick(TOUCHES), value, after: random.spread(1, after) };
    const { key, isList } = this.#drawKey(random, lists);
    if (staleReads && random.chance(0.1)) return { type: "stale", key };
    if (leaseReads === true && random.chance(leaseShare)) return { type: "lease", key };
    const input = random.weighted<KeyInput>([
      [{ type: "get", key }, 40],
      [isList ? { type: "append", key, value } : this.#drawWrite(random, key, value), 59],
      [{ type: "fail", key, value }, 1],
    ]);
    if (input.type !== "get" && input.type !== "fail" && this.#keyed.chance(this.#keyedChance())) {
      return this.#drawKeyed(input);
    }
    const isOfSession = this.#sessions.chance(this.#config.client.sessions ?? 0) && input.type !== "fail";
    if (!isOfSession) return input;
    if (input.type === "get") return { type: "own", key };
    return { type: "once", command: input, after: this.#drawPatience(this.#sessions) };
  }

  /** Longer than a leader is waited for, and not for ever: who was removed never hears of one. */
  #drawPatience(random: Random): number {
    const patience = this.#config.settings.leaderWaitMs! * 1000;
    return random.spread(patience, patience * 8);
  }

  /** None where keys are forgotten so soon that what is sent again may rightly be applied again. */
  #keyedChance(): number {
    const { settings: { sessionTtlMs, sessionsMax, sessionsBytesMax }, client: { keyed = 0 } } = this.#config;
    return [sessionTtlMs, sessionsMax, sessionsBytesMax].every((limit) => limit === undefined) ? keyed : 0;
  }

  #drawKeyed(fresh: SimCommand): SimInput {
    const recent = this.#keyedRecent;
    const isAgain = recent.length > 0 && this.#keyed.chance(KEYED_AGAIN);
    const command = isAgain ? this.#keyed.pick(recent) : fresh;
    if (!isAgain) recent.push(command);
    if (recent.length > KEYED_RECENT) recent.shift();
    return { type: "keyed", command, after: this.#drawPatience(this.#keyed) };
  }

  /** A write whose answer is not a boolean, on a key of its own kind. */
  drawWrite(random: Random): SimCommand {
    return { type: "put", key: this.#drawKey(random, false).key, value: `v${++this.#values}` };
  }

  /** See {@linkcode Clients.rush}. */
  rush({ index }: SimServer, count: number, random: Random): void {
    if (this.#stopped) return;
    for (let i = 0; i < count; i++) void this.#make(index, this.drawWrite(random), `r${i}`);
  }

  #drawKey(random: Random, lists: boolean): { readonly key: string; readonly isList: boolean } {
    const { keys, callsPerKeyMax } = this.#config.client;
    // Some keys are asked for much more often than others.
    const at = random.chance(0.5) ? random.below(keys) : random.below(Math.min(2, keys));
    const generation = Math.floor(this.#ofKey[at]!++ / callsPerKeyMax);
    const isList = lists && at % 2 === 1;
    return { key: `${isList ? "l" : "r"}${at}.${generation}`, isList };
  }

  #drawWrite(random: Random, key: string, value: string): SimCommand {
    if (random.chance(0.75)) return { type: "put", key, value };
    const expect = random.chance(0.2) ? null : this.#calls.seen.get(key) ?? null;
    return { type: "cas", key, expect, value };
  }

  #think(client: number): void {
    const random = this.#random[client]!;
    const { thinkTime, quietChance, quietMax, tailsOff } = this.#config.client;
    const { time } = this.#world;
    if (random.chance(quietChance)) this.#quietUntil = time + random.spread(1, quietMax);
    const pace = tailsOff && this.progress > 0.7 ? 8 : 1;
    const delay = random.spread(1, thinkTime * 2) * pace + Math.max(0, this.#quietUntil - time);
    this.#world.schedule(-1, Port.client, delay, `client ${client}`, () => this.#act(client, random));
  }

  #act(client: number, random: Random): void {
    const { burstChance, burstMax, isSticky } = this.#config.client;
    if (this.#stopped) return;
    const server = isSticky ? client % this.#servers.length : random.below(this.#servers.length);
    const count = random.chance(burstChance) ? random.between(2, burstMax) : 1;
    const calls: Promise<boolean>[] = [];
    for (let i = 0; i < count; i++) {
      const input = this.draw(random);
      const asked = input.type === "restore" ? this.#restorer() ?? server : server;
      const done = this.#make(asked, input, `c${client}`);
      if (done !== undefined) calls.push(done);
    }
    if (calls.length === 0) this.#think(client);
    else Promise.all(calls).then(() => this.#think(client));
  }

  /** Who leads, as far as whoever restores a snapshot knows. */
  #restorer(): number | undefined {
    if (!this.#restores.chance(KNOWS_LEADER)) return undefined;
    const leaders = this.#servers.flatMap(({ life }) => life?.raft?.state === "leader" ? [life] : []);
    return leaders.sort((a, b) => b.core.term - a.core.term)[0]?.index;
  }

  /** A call that goes down in the script. */
  #make(server: number, input: SimInput, client: string): Promise<boolean> | undefined {
    this.calls.push({ at: this.#world.time, client, server, input });
    return this.call(this.#servers[server]!, input, client);
  }
}
