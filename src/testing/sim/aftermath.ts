/**
 * What is demanded when the faults are over: the servers that are well agree, serve, hand over and stop, whatever has
 * become of the others; then all of them do.
 *
 * @module
 */
import type { Server } from "../../types.ts";
import { chooseCore, chooseQuorum, type Core, infirmitiesOf } from "./chosen.ts";
import type { Fault } from "./config.ts";
import { longestDelay } from "./delays.ts";
import { changeThresholds, handOver, takeSnapshots } from "./drill.ts";
import type { Invariant } from "./invariants.ts";
import { asksFor } from "./moves.ts";
import { Patience } from "./patience.ts";
import type { Random } from "./random.ts";
import { restoreSettings } from "./reloading.ts";
import { rest } from "./rest.ts";
import type { SimServer } from "./server.ts";
import type { Simulation } from "./simulation.ts";
import { entriesOf, hasConverged, hasLeader, isPreferred, leaderOf, membersOf, words } from "./standing.ts";
import { canBeLed, mightBeLed } from "./survivors.ts";

/** The last phases of a run. */
export class Aftermath {
  readonly #simulation: Simulation;
  readonly #random: Random;
  readonly #patience: Patience;
  /** The servers that belong to the cluster. */
  #members: readonly SimServer[] = [];
  /** Whether nobody was left who could lead. */
  hasHalted = false;

  /** Takes a simulation whose faults are to end. */
  constructor(simulation: Simulation, random: Random) {
    this.#simulation = simulation;
    this.#random = random;
    this.#patience = new Patience(simulation);
  }

  /** Runs them all; rejects with the first violation. */
  async run(): Promise<void> {
    const core = chooseCore(this.#simulation, this.#random.split("core"));
    await this.#heal(core);
    const mustGoOn = core !== undefined || await this.#mustGoOn();
    if (mustGoOn === true) await this.#recover(core);
    else if (mustGoOn === false) await this.#standStill();
    await this.#shutDown();
    this.#checkHistory();
  }

  /** Everybody who has not lost too much is up, or the core is and the others stay as they are or get worse. */
  async #heal(core?: Core): Promise<void> {
    const { marks, plague } = this.#simulation;
    plague.heal(core?.well);
    if (core !== undefined) marks.onCoreHealed();
    for (const [server, infirmity] of core?.ill ?? []) {
      if (infirmity !== undefined) plague.afflict(server, infirmity);
    }
    // The last reset may not have been noticed.
    await this.#patience.pass(this.#simulation.config.settings.heartbeatMs! * 1000);
    const isUp = (server: SimServer) => {
      const { life } = server;
      return plague.isRetired(server) || (life?.raft !== undefined && !plague.stopping.has(life));
    };
    await this.#patience.within("V1", "start", () => (core?.well ?? this.#simulation.present).every(isUp));
    restoreSettings(this.#simulation.ghost, this.#simulation.lives);
  }

  /**
   * Whether enough is left. Where damage does not go beyond what can be survived, whoever is up is enough. Undefined where
   * that depends on which of several configurations is going to be in force, unless nobody could be elected by any.
   */
  async #mustGoOn(): Promise<boolean | undefined> {
    const { plague: { atlas }, config: { moving, network } } = this.#simulation;
    if (moving !== undefined && !atlas.isExceeded) return atlas.isQuorumSound ? true : undefined;
    if (!atlas.goesBeyond) return atlas.isQuorumLeft;
    // A log may become longer by what is on its way, and another one too short to lead.
    await this.#patience.pass(this.#patience.electionMax + Math.max(network.lateMax, longestDelay(network)));
    if (moving !== undefined) return mightBeLed(this.#simulation) ? undefined : false;
    return canBeLed(this.#simulation, this.#simulation.present);
  }

  /** What is left takes commands again. */
  async #recover(core: Core | undefined): Promise<void> {
    const { config, plague } = this.#simulation;
    await this.#readmit();
    await this.#settle();
    const present = this.#members;
    const well = core?.well ?? chooseQuorum(this.#simulation, present, this.#voters, this.#votersInAll, this.#random);
    if (core === undefined) {
      for (const server of present) {
        if (!well.includes(server)) plague.afflict(server, this.#random.pick(infirmitiesOf(config)));
      }
    }
    if (this.#random.chance(0.5)) await this.#traffic(well);
    await this.#converge(well);
    await this.#stable(well, () => this.#serve(well));
    if (this.#has(["reset"])) await this.#stable(well, () => this.#resetAll(well));
    if (this.#has(["kill", "power", "restart"])) await this.#restartLeader(well);
    await this.#converge(well);
    if (well.length < present.length) await this.#rejoin(well);
    const [simulation, patience] = [this.#simulation, this.#patience];
    await handOver({ simulation, members: this.#members, patience, random: this.#random.split("transfer") });
    await this.#converge(this.#members);
    await this.#move();
    await takeSnapshots({ simulation, members: this.#members, patience });
    const random = this.#random.split("thresholds");
    await changeThresholds({ simulation, members: this.#members, patience, random });
    await rest(simulation, this.#members, patience);
    this.#scan();
  }

  /** V1: the log knows everybody by the disk that they have. */
  async #readmit(): Promise<void> {
    const { config, ghost, plague, present } = this.#simulation;
    const isKnown = () => {
      const members = config.moving === undefined ? present : membersOf(present);
      plague.recall(members);
      return members.length > 0 && members.every(({ id }) => !ghost.forgetful.has(id));
    };
    if (!isKnown()) await this.#patience.within("V1", "re-admit who has another disk", isKnown);
  }

  #has(faults: readonly Fault[]): boolean {
    return faults.some((fault) => this.#simulation.config.faults.includes(fault));
  }

  /** V2: who belongs to the cluster is settled, and everybody who does knows it. From now on this is about them. */
  async #settle(): Promise<void> {
    const { config, plague, present, workload, world } = this.#simulation;
    this.#members = present;
    if (config.moving === undefined) return;
    const areSettled = () => {
      this.#members = membersOf(present);
      plague.recall(this.#members);
      return this.#members.length > 0 && workload.openOn(present) === 0 &&
        hasConverged(this.#simulation, this.#members);
    };
    await this.#patience.within("V2", "settle who its servers are", areSettled, () => entriesOf(present));
    // One that nobody waits for any more may be on its way to the leader yet.
    const until = this.#simulation.changeAskedAt + longestDelay(config.network);
    if (world.time >= until) return;
    await this.#simulation.run(() => world.time >= until);
    await this.#settle();
  }

  /** Those with a vote that are there. */
  get #voters(): readonly SimServer[] {
    if (this.#simulation.config.moving === undefined) return this.#members;
    return this.#members.filter(({ id }) => this.#servers.some((it) => it.id === id && it.suffrage === "voter"));
  }

  /** How many have a vote, also of those that never start again. */
  get #votersInAll(): number {
    const { config, servers } = this.#simulation;
    if (config.moving === undefined) return servers.length;
    return this.#servers.filter(({ suffrage }) => suffrage === "voter").length;
  }

  /** Those that are in force. */
  get #servers(): readonly Server[] {
    return leaderOf(this.#members)!.core.configurations.at(-1)!.configuration.servers;
  }

  /** V3: a healthy cluster takes somebody new, and lets somebody go. */
  async #move(): Promise<void> {
    const { config, plague, present, workload } = this.#simulation;
    // Where one of them never starts again the others may rightly have to stay.
    if (config.moving === undefined || this.#servers.length > this.#members.length) return;
    const asks = this.#random.pick(this.#members);
    const { installs } = asks.life!;
    for (const input of workload.moves?.(present, this.#members, this.#random) ?? []) {
      // Who is removed hands over, which may come before its answer.
      const leader = leaderOf(this.#members);
      const isOfLeader = input.type === "move" && input.changes.some(({ id }) => id === leader?.id);
      // Who stops as it is removed may do so before it is answered.
      const isOwn = config.shutdownOnRemove === true && asksFor(input, "remove-server", asks.id);
      const coming = present.filter(({ id }) => asksFor(input, "add-voter", id));
      plague.recall(coming);
      const areUp = () => coming.every(({ life }) => life?.raft !== undefined);
      await this.#patience.within("V1", "start who is to come", areUp);
      // A leader had told it to campaign at once, and it was away before anybody had heard of that.
      const isOfLaterTerm = coming.some(({ life }) => life!.core.term > (leader?.core.term ?? 0));
      let isDone: boolean | undefined;
      workload.call?.(asks, input, "after")?.then((ok) => isDone = ok);
      await this.#patience.within("V3", `answer a ${input.type}`, () => {
        // Who asks for votes before it hears of that is told once more that it was removed.
        plague.recall(coming);
        return isDone !== undefined;
      }, () => entriesOf(present));
      // Who comes back may come to be of one, when it does not ask before it campaigns.
      const isLate = isOfLaterTerm || config.settings.preVote !== true;
      const isExcused = isOfLeader || isOwn || isLate || asks.life!.installs > installs;
      this.#simulation.ghost.must(isDone! || isExcused, "V3", () => {
        return `"${asks.id}" refuses ${JSON.stringify(input)} in a healthy cluster`;
      });
      this.#patience.judge();
      await this.#settle();
    }
  }

  /**
   * D2: too much is damaged. Nobody guesses what it was: nobody leads, nothing is committed any more, and no read is
   * answered.
   */
  async #standStill(): Promise<void> {
    const { ghost, present } = this.#simulation;
    const [committed, led] = [ghost.commits.last, ghost.leaders.size];
    this.hasHalted = true;
    for (const server of present) {
      if (this.#simulation.plague.isRetired(server)) continue;
      await this.#probe(server, "K4", (what, isAnswered) => {
        ghost.must(!isAnswered, "D2", () => `"${server.id}" answers ${what} although nobody is left who may lead`);
      });
    }
    ghost.must(ghost.commits.last === committed, "D2", () => {
      return `${ghost.commits.last - committed} entries are committed although nobody is left who may lead`;
    });
    ghost.must(ghost.leaders.size === led && leaderOf(present) === undefined, "D2", () => {
      return `somebody leads although nobody is left who may: ${present.map(words).join("; ")}`;
    });
    this.#patience.judge();
    this.#simulation.marks.onHalted();
  }

  /** Calls a server for this and that, one after the other. There is an answer, good or bad, in bounded time. */
  async #probe(
    server: SimServer,
    invariant: Invariant,
    judge: (what: string, isAnswered: boolean) => void,
  ): Promise<void> {
    for (const [what, answer] of this.#simulation.workload.probes(server, this.#random)) {
      judge(what, await this.#patience.answer(invariant, `answer ${what} on ${server.id}`, answer));
    }
    this.#patience.judge();
  }

  /** V1: there is a leader again, and clients go on for a while. Without them nothing may be stuck either (V5). */
  async #traffic(well: readonly SimServer[]): Promise<void> {
    const { world, workload } = this.#simulation;
    workload.progress = 0;
    workload.start();
    await this.#patience.within("V1", "follow one leader", () => hasLeader(this.#simulation, well));
    const until = world.time + this.#patience.electionMax * this.#random.between(1, 3);
    await this.#simulation.run(() => world.time >= until);
    workload.stop();
  }

  /** V2. */
  #converge(well: readonly SimServer[]): Promise<void> {
    return this.#patience.within("V2", "converge", () => hasConverged(this.#simulation, well), () => entriesOf(well));
  }

  /** V4: nobody deposes a healthy leader: not who is ill, nor who comes back. */
  async #stable(well: readonly SimServer[], phase: () => Promise<void>): Promise<void> {
    const { ghost, config } = this.#simulation;
    const present = this.#members;
    await this.#heedTransfers(well);
    const { id, core: { term } } = leaderOf(well)!;
    // Without the question before elections whoever hears nobody campaigns, and is heard at last.
    const isPeaceful = config.settings.preVote === true || well.length === present.length;
    await phase();
    const leader = leaderOf(well);
    ghost.must(!isPeaceful || (leader?.id === id && leader.core.term === term), "V4", () => {
      return `"${id}", a healthy leader of term ${term}, makes way for "${leader?.id}" of term ${leader?.core.term}`;
    });
    this.#patience.judge();
  }

  /** A leader that has given up a transfer leads on, and the last word of it is heeded whenever it comes. */
  async #heedTransfers(well: readonly SimServer[]): Promise<void> {
    const { world, handOverAt, config } = this.#simulation;
    const until = handOverAt + longestDelay(config.network);
    if (world.time >= until) return;
    await this.#simulation.run(() => world.time >= until);
    await this.#patience.within("V1", "have a leader", () => leaderOf(well) !== undefined);
  }

  /** V3: it takes commands and reads on every server. */
  async #serve(well: readonly SimServer[]): Promise<void> {
    for (const server of well) {
      // A command whose answer was lost takes the room of others until that can't come any more.
      const isFree = () => server.life!.raft!.metrics().proposalsPending === 0;
      await this.#patience.within("V3", `answer what ${server.id} was asked before`, isFree);
      let installs = server.life!.installs;
      await this.#probe(server, "V3", (what, isAnswered) => {
        // A snapshot that has overtaken the command has taken its place, and the answer with it.
        const isOvertaken = server.life!.installs > installs;
        installs = server.life!.installs;
        this.#simulation.ghost.must(isAnswered || isOvertaken, "V3", () => {
          return `"${server.id}" refuses ${what} in a healthy cluster`;
        });
      });
    }
  }

  /** V2: connections break one after the other, and are there again. */
  async #resetAll(well: readonly SimServer[]): Promise<void> {
    const { network, config: { settings: { heartbeatMs, reconnectWaitMs } } } = this.#simulation;
    const leader = leaderOf(well)!.index;
    for (const { index } of well) {
      if (index === leader) continue;
      network.reset(leader, index);
      // Both ends notice, and then whoever doubts the leader has time to ask the others.
      await this.#patience.pass((heartbeatMs! + reconnectWaitMs!) * 1000);
      await this.#converge(well);
    }
  }

  /** V3: a leader that is shut down hands over, and comes back as good as any. */
  async #restartLeader(well: readonly SimServer[]): Promise<void> {
    const { world, ghost, config, plague } = this.#simulation;
    const leader = leaderOf(well)!;
    const old = well.find(({ life }) => life === leader)!;
    const voters = this.#voters.filter((server) => well.includes(server) && server !== old);
    const all = this.#votersInAll;
    // Without a quorum nobody could follow, and who never leads can't either.
    const canFollow = voters.length * 2 > all && config.moving?.idlers !== true;
    if (config.moving !== undefined && !canFollow) return;
    const { term } = leader.core;
    let hasStopped = false;
    this.#simulation.stop(old).then(() => hasStopped = true);
    await this.#patience.within("V8", `stop ${old.id}`, () => hasStopped);
    const others = well.filter((server) => server !== old);
    const stoppedAt = world.time;
    if (canFollow) {
      await this.#patience.within("V1", "follow another leader", () => hasLeader(this.#simulation, others));
      const took = (world.time - stoppedAt) / 1000;
      // Without the question before elections another may be of a later term already.
      const isAsked = config.settings.preVote === true && config.settings.shutdownTransferMs! > 0;
      const isLikely = isAsked && config.disk.stallChance === 0;
      ghost.must(!isLikely || took < config.settings.electionMinMs! / 2 || ghost.leaders.has(term + 1), "V3", () => {
        return `"${old.id}" is shut down and hands over to nobody: a leader took ${took} ms`;
      });
    }
    plague.start(old);
    await this.#converge(well);
    await this.#serve(well);
  }

  /** Whoever was ill gets well, and disturbs nobody that is. */
  async #rejoin(well: readonly SimServer[]): Promise<void> {
    const { config, world, handedOver } = this.#simulation;
    const present = this.#members;
    const leader = leaderOf(well)!;
    const heal = async (): Promise<void> => {
      await this.#heal();
      // A disk that nobody has looked at may turn out to be lost.
      this.#members = present.filter((server) => this.#simulation.present.includes(server));
      await this.#converge(this.#members);
    };
    // What was ill may be of a later term: from before, or as it did not ask before it campaigned.
    const latest = Math.max(...present.map(({ life, disk }) => life?.core?.term ?? disk.term));
    const isReplaced = present.some(({ id }) => isPreferred(leader, id));
    // Or has asked before it was paused, and has the answers still before it; or was told to campaign meanwhile.
    const isAsking = present.some(({ index, life }) => {
      return world.isPaused(index) && (handedOver.has(index) || life?.core?.role.endsWith("candidate"));
    });
    const mayDisturb = latest > leader.core.term || isReplaced || isAsking;
    if (mayDisturb || config.settings.preVote !== true) await heal();
    else await this.#stable(present, heal);
    await this.#serve(this.#members);
    await this.#converge(this.#members);
  }

  /** What was ever committed or seen is there, on every server. */
  #scan(): void {
    const { ghost, workload } = this.#simulation;
    const lives = this.#members.flatMap(({ life }) => life?.raft === undefined ? [] : [life]);
    const { last } = ghost.commits;
    for (const life of lives) {
      for (const [where, log] of [["memory", life.log], ["disk", life.disk.log]] as const) {
        ghost.must(last === 0 || log.hashAt(last) === ghost.commits.at(last)!.hash, "C5", () => {
          return `"${life.id}" does not hold the ${last} entries that were committed in its ${where}`;
        });
      }
      workload.endure(life);
    }
    this.#patience.judge();
  }

  /** V8: every server stops in bounded time. Its disk holds what it held, however often that is asked. */
  async #shutDown(): Promise<void> {
    const { present } = this.#simulation;
    let left = present.length;
    for (const server of present) this.#simulation.stop(server).then(() => left--);
    await this.#patience.within("V8", "stop", () => left === 0);
    for (const server of present) {
      await server.recover();
      await server.recover();
    }
    this.#patience.judge();
  }

  /** K4, R4. */
  #checkHistory(): void {
    const { ghost, workload } = this.#simulation;
    ghost.must(workload.open === 0, "K4", () => `${workload.open} calls were never answered`);
    workload.checkHistory();
    this.#patience.judge();
  }
}
