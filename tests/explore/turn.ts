/**
 * One event at one server under way: the core, a driver that does at once what takes no disk, and the invariants that
 * one server can be judged by.
 *
 * @module
 */
import type { Effect } from "../../src/core/effect.ts";
import type { Event } from "../../src/core/event.ts";
import type { CoreState } from "../../src/core/state.ts";
import { termAt } from "../../src/core/term_index.ts";
import type { AppendRequest, CoreMessage, VoteRequest } from "../../src/message.ts";
import type { LogIndex, ServerId } from "../../src/types.ts";
import type { StepCore } from "../core/cluster.ts";
import { runsOf } from "../core/states.ts";
import { cloneState } from "./clone.ts";
import {
  type Acknowledged,
  commandEntry,
  type Disk,
  type Entry,
  firstEntry,
  isPrefix,
  type Local,
  type LocalEvent,
  must,
  now,
  type Packet,
  termOf,
  type Write,
} from "./model.ts";
import { electionMs, heartbeatMs, leaseMs, normalise } from "./time.ts";

/** What an event led to. */
export interface Outcome {
  readonly local: Local;
  readonly packets: readonly Packet[];
  /** Set when the log was cut, for L3. */
  readonly truncatedFrom: LogIndex | undefined;
}

/** One event under way. */
export class Turn {
  readonly #before: Local;
  readonly #event: LocalEvent;
  readonly #stepCore: StepCore;
  readonly #core: CoreState;
  #log: Entry[];
  #disk: Disk;
  readonly #writes: Write[];
  #verified: LogIndex;
  #acknowledged: Acknowledged;
  readonly #packets: Packet[] = [];
  #truncatedFrom: LogIndex | undefined;

  constructor(local: Local, event: LocalEvent, stepCore: StepCore) {
    this.#before = local;
    this.#event = event;
    this.#stepCore = stepCore;
    this.#core = cloneState(local.core);
    this.#log = [...local.log];
    this.#disk = local.disk;
    this.#writes = [...local.writes];
    this.#verified = local.verified;
    this.#acknowledged = local.acknowledged;
  }

  run(): void {
    const event = this.#event;
    switch (event.type) {
      case "timeout":
        return this.#turn({ type: "deadline-reached" }, now + electionMs);
      case "heartbeat":
        return this.#turn({ type: "deadline-reached" }, now + heartbeatMs);
      case "step-down":
        return this.#turn({ type: "deadline-reached" }, now + 10 * leaseMs);
      case "propose":
        return this.#turn({ type: "proposed", count: 1 });
      case "transfer":
        return this.#turn({ type: "transfer-requested", to: event.to });
      case "give-up": {
        const leading = this.#core.leading!;
        leading.transfer = { ...leading.transfer!, deadline: now };
        return this.#turn({ type: "deadline-reached" });
      }
      case "persist":
        this.persist();
        return;
      case "deliver":
        if (event.lapsed) this.#core.leaderHeardAt = -Infinity;
        return this.#turn({ type: "message-received", from: event.packet.from, message: event.packet.message });
    }
  }

  /** An event, and the end of the turn. */
  #turn(event: Event, at: number = now): void {
    this.#step(event, at);
    for (let i = 0; this.#step({ type: "drained" }, at) > 0; i++) {
      must(i < 100, "V6", () => `"${this.#core.id}" always finds something more to do`);
    }
  }

  #step(event: Event, at: number): number {
    const core = this.#core;
    const look = this.#look(event);
    const effects = this.#stepCore(core, event, at);
    const follow: Event[] = [];
    for (const effect of effects) {
      const next = this.#perform(effect, look);
      if (next !== undefined) follow.push(next);
    }
    this.#judge(event, look);
    for (const next of follow) this.#step(next, at);
    return effects.length;
  }

  #look(event: Event): Look {
    const core = this.#core;
    const { term, commitIndex, votedFor, termLeader, role } = core;
    const message = event.type === "message-received" ? event.message : undefined;
    const look = { term, commitIndex, votedFor, termLeader, leads: role === "leader", last: this.#log.length };
    if (message?.type === "append-request" && message.term >= term) this.#verify(message);
    return { ...look, upToDate: message?.type === "vote-request" && isUpToDate(message, this.#log) };
  }

  // The checker's own account of what was verified; the core's is not to be trusted here.
  #verify({ term, prevIndex, prevTerm, end }: AppendRequest): void {
    if (term > this.#core.term) this.#verified = 0;
    const fits = prevIndex === 0 || (prevIndex <= this.#log.length && termOf(this.#log[prevIndex - 1]!) === prevTerm);
    if (fits) this.#verified = Math.max(this.#verified, end - 1);
  }

  #perform(effect: Effect, look: Look): Event | undefined {
    switch (effect.type) {
      case "persist-vote": {
        const { sequence, term, votedFor } = effect;
        this.#writes.push({ type: "vote", sequence, term, votedFor });
        return;
      }
      case "truncate":
        this.#truncate(effect.from, look);
        return;
      case "append":
        return this.#append(effect);
      case "send":
        this.#send(effect.to, effect.message, []);
        return;
      case "replicate":
        return this.#replicate(effect);
      case "apply":
        return { type: "applied", upTo: effect.upTo };
    }
  }

  #truncate(from: LogIndex, look: Look): void {
    const { id, term } = this.#core;
    must(!look.leads || term > look.term, "E9", () => `"${id}" truncates and leads`);
    must(from > look.commitIndex, "L3", () => `"${id}" removes entry ${from}, which it knows to be committed`);
    must(from > this.#kept(), "L6", () => `"${id}" removes entry ${from}, which it acknowledged`);
    this.#log.length = from - 1;
    this.#truncatedFrom = from;
    this.#writes.push({ type: "truncate", from });
  }

  /** What must stay: all that was acknowledged to the leader of this term. */
  #kept(): LogIndex {
    return this.#acknowledged.term === this.#core.term ? this.#acknowledged.index : 0;
  }

  #append({ source, from, end, epoch }: Extract<Effect, { type: "append" }>): undefined {
    const { id, term } = this.#core;
    must(from === this.#log.length + 1, "L2", () => `"${id}" appends at ${from} to a log of ${this.#log.length}`);
    const event = this.#event;
    const entries: Entry[] = [];
    if (source === "message" && event.type === "deliver" && event.packet.message.type === "append-request") {
      const skipped = from - event.packet.message.prevIndex - 1;
      entries.push(...event.packet.entries.slice(skipped, skipped + end - from));
    } else if (event.type === "propose" && source === "proposals") {
      entries.push(commandEntry(term, event.command));
    } else if (source === "noop") {
      entries.push(firstEntry(term, id.charCodeAt(0) - 97));
    }
    must(entries.length === end - from, "L2", () => `"${id}" has ${entries.length} entries for [${from}, ${end})`);
    this.#log.push(...entries);
    this.#writes.push({ type: "entries", from, entries, end, epoch });
  }

  #replicate(effect: Extract<Effect, { type: "replicate" }>): Event | undefined {
    const { to, term, sequence, prevTerm, from, commitIndex, round, isLeased } = effect;
    if (this.#core.role !== "leader" || this.#core.term !== term) return;
    const end = Math.min(effect.end, from + Math.min(effect.entriesMax, Math.max(1, effect.bytesMax)));
    const entries = this.#log.slice(from - 1, end - 1);
    const runs = runsOf(entries.map(termOf), from);
    const about = { term, sequence, prevIndex: from - 1, prevTerm, end, runs, configurations: [] };
    this.#send(to, { type: "append-request", ...about, commitIndex, round, isLeased }, entries);
    return { type: "sent", to, term, sequence, end, bytes: entries.length };
  }

  #send(to: ServerId, message: CoreMessage, entries: readonly Entry[]): void {
    const packet = { from: this.#core.id, to, message, entries };
    this.#packets.push(packet);
    this.#judgePacket(packet);
  }

  #judgePacket({ from, to, message, entries }: Packet): void {
    const disk = this.#disk;
    const log = this.#log;
    if (message.type === "vote-request" && message.pre) return;
    must(message.term <= disk.term, "E4", () => `"${from}" speaks in term ${message.term} before it is durable`);
    if (message.type === "vote-request") {
      const voted = disk.votedFor === from && disk.term === message.term;
      must(voted, "E4", () => `"${from}" campaigns in term ${message.term} without its own durable vote`);
    } else if (message.type === "vote-response") {
      const voted = disk.votedFor === to && disk.term === message.term;
      must(voted || message.pre || !message.granted, "E3", () => `"${from}" votes before its vote is durable`);
    } else if (message.type === "append-request") {
      const { prevIndex, prevTerm, end } = message;
      const fits = prevTerm === (prevIndex === 0 ? 0 : termOf(log[prevIndex - 1] ?? 0));
      must(fits && entries.length === end - prevIndex - 1, "L8", () => `"${from}" sends a malformed append`);
      must(message.commitIndex <= this.#core.commitIndex, "L8", () => `"${from}" tells a commit index too high`);
    } else if (message.type === "append-response" && message.rejected === undefined) {
      const { matchIndex } = message;
      must(matchIndex <= this.#verified, "L5", () => `"${from}" acknowledges ${matchIndex} > ${this.#verified}`);
      must(isPrefix(log, disk.log, matchIndex), "L4", () => `"${from}" acknowledges ${matchIndex} beyond its disk`);
      const { term, index } = this.#acknowledged;
      const isNews = matchIndex > 0 && (message.term > term || matchIndex > index);
      if (isNews) this.#acknowledged = { term: message.term, index: matchIndex };
    }
  }

  #judge(event: Event, look: Look): void {
    const core = this.#core;
    const { id, term, commitIndex } = core;
    if (term !== look.term && !(event.type === "message-received" && event.message.type === "append-request")) {
      this.#verified = 0;
    }
    must(term >= look.term, "E5", () => `"${id}" went back to term ${term}`);
    must(commitIndex >= look.commitIndex, "C1", () => `the commit index of "${id}" goes back to ${commitIndex}`);
    must(core.log.lastIndex === this.#log.length, "L2", () => `"${id}" believes in ${core.log.lastIndex} entries`);
    must(core.appliedIndex <= commitIndex && commitIndex <= this.#log.length, "A1", () => `indexes of "${id}"`);
    if (look.leads && term === look.term) {
      must(this.#log.length >= look.last, "E9", () => `leader "${id}" lost entries of its own log`);
    }
    if (term === look.term) {
      must(look.votedFor === undefined || core.votedFor === look.votedFor, "E10", () => `"${id}" changed its vote`);
      const same = look.termLeader === undefined || core.termLeader === look.termLeader;
      must(same, "E10", () => `"${id}" knows two leaders of term ${term}`);
    }
    if (event.type === "message-received" && event.message.type === "vote-request" && !event.message.pre) {
      const granted = core.votedFor === event.from && (look.votedFor !== event.from || term > look.term);
      must(!granted || look.upToDate, "E7", () => `"${id}" votes for "${event.from}", whose log is behind`);
    }
    const due = dueCommit(core);
    must(commitIndex >= due, "C7", () => `leader "${id}" has not committed ${due}, which a majority has acknowledged`);
    if (commitIndex === look.commitIndex) return;
    if (core.role === "leader") {
      const ownTerm = termOf(this.#log[commitIndex - 1]!) === term;
      must(ownTerm, "C2", () => `"${id}" commits an entry of an earlier term by counting`);
    } else {
      must(commitIndex <= this.#verified, "C6", () => `"${id}" commits ${commitIndex}, verified ${this.#verified}`);
    }
  }

  /** Performs the oldest write and tells the core; false when there was none. */
  persist(): boolean {
    const write = this.#writes.shift();
    if (write === undefined) return false;
    const { id } = this.#core;
    const { log, term, votedFor } = this.#disk;
    if (write.type === "truncate") {
      this.#disk = { ...this.#disk, log: log.slice(0, write.from - 1) };
      return true;
    }
    if (write.type === "vote") {
      const again = write.term === term && (votedFor === undefined || votedFor === write.votedFor);
      must(
        write.term > term || again,
        "E2",
        () => `the disk of "${id}" goes back to term ${write.term} or votes twice`,
      );
      this.#disk = { ...this.#disk, term: write.term, votedFor: write.votedFor };
      this.#turn({ type: "vote-persisted", sequence: write.sequence });
      return true;
    }
    must(log.length === write.from - 1, "L2", () => `the disk of "${id}" would get a hole`);
    this.#disk = { ...this.#disk, log: [...log, ...write.entries] };
    this.#turn({ type: "entries-persisted", end: write.end, epoch: write.epoch });
    return true;
  }

  finish(): Outcome {
    const before = this.#before;
    normalise(this.#core, this.#writes);
    const event = this.#event;
    if (event.type === "deliver" && event.packet.message.type === "vote-request" && event.packet.message.pre) {
      const { core } = before;
      const same = core.term === this.#core.term && core.votedFor === this.#core.votedFor &&
        core.role === this.#core.role && core.leader === this.#core.leader;
      must(same, "E8", () => `a pre-vote changed "${core.id}"`);
    }
    const local: Local = {
      core: this.#core,
      log: same(before.log, this.#log) ? before.log : this.#log,
      disk: this.#disk,
      writes: this.#writes,
      verified: this.#verified,
      acknowledged: this.#acknowledged,
    };
    must(isPrefix(local.log, local.disk.log, this.#kept()), "L6", () => `"${local.core.id}" lost acknowledged entries`);
    return { local, packets: this.#packets, truncatedFrom: this.#truncatedFrom };
  }
}

/** A server just before a step. */
interface Look {
  readonly term: number;
  readonly commitIndex: LogIndex;
  readonly votedFor: ServerId | undefined;
  readonly termLeader: ServerId | undefined;
  readonly leads: boolean;
  readonly last: LogIndex;
  readonly upToDate: boolean;
}

/** Up to here a leader must have committed by what it knows; by hand, as the core's own count is not to be trusted. */
function dueCommit({ leading, log, persistedIndex, term }: CoreState): LogIndex {
  if (leading === undefined) return 0;
  const matches = [persistedIndex, ...[...leading.progress.values()].map(({ matchIndex }) => matchIndex)];
  let due = 0;
  for (const index of matches) {
    const holders = matches.filter((match) => match >= index).length;
    if (2 * holders > matches.length && termAt(log, index) === term) due = Math.max(due, index);
  }
  return due;
}

/** Raft §5.4.1. */
function isUpToDate({ lastIndex, lastTerm }: VoteRequest, log: readonly Entry[]): boolean {
  const ours = log.length === 0 ? 0 : termOf(log[log.length - 1]!);
  return lastTerm > ours || (lastTerm === ours && lastIndex >= log.length);
}

function same(a: readonly Entry[], b: readonly Entry[]): boolean {
  return a.length === b.length && isPrefix(a, b, a.length);
}
