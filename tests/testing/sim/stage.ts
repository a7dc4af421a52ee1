/**
 * A stage for checkers: servers in states of our choice, which do what a test says instead of what a core would.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Effect } from "../../../src/core/effect.ts";
import type { Event } from "../../../src/core/event.ts";
import type { CoreState } from "../../../src/core/state.ts";
import { appendTerm, truncateTerms } from "../../../src/core/term_index.ts";
import type { AppendRequest, CoreMessage, Message } from "../../../src/message.ts";
import type { ChainLog } from "../../../src/testing/sim/chain.ts";
import { Committed } from "../../../src/testing/sim/committed.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import type { Replacement } from "../../../src/testing/sim/disk/disk_actions.ts";
import type { Invariant } from "../../../src/testing/sim/invariants.ts";
import { CHECKERS } from "../../../src/testing/sim/simulation.ts";
import { beforeOf, type DiskView, type NodeView } from "../../../src/testing/sim/view.ts";
import type { Disk, LogIndex, LogStart, ServerId, Term } from "../../../src/types.ts";
import type { Records } from "../../../src/wire/record.ts";
import { test } from "../../harness.ts";
import { append, configuration, coreOf, type Given, leaderOf, runsOf } from "../../core/states.ts";

/** A server on the stage. */
export interface Actor extends NodeView {
  core: CoreState;
  readonly clock: { now(): number; stoppedMs: number; gainedMs: number };
}

/** Servers, their history, and every checker. */
export class Stage {
  readonly ghost: Ghost;
  #lives = 0;

  /** Where a cluster of a, b and c goes on after this entry, all indexes are so much higher that it is the first one. */
  constructor(indexStart = 0) {
    this.ghost = new Ghost(indexStart === 0 ? undefined : { index: indexStart, configuration: configuration("a b c") });
  }

  /** A server whose log is in memory and on disk; entry 1 is the configuration. By default: a, b and c, term 1. */
  server(id: ServerId, given: Omit<Given, "id"> = {}): Actor {
    const { base } = this.ghost.commits;
    const terms = given.terms ?? [1];
    const core = coreOf({ id, ...given }).state;
    if (base > 0) Object.assign(core, goneOn(core, base + 1, terms));
    const log = logOf(base > 0 ? terms.slice(1) : terms, core, this.ghost.commits.upTo(base > 0 ? base + 1 : 0));
    const disk: DiskView = {
      term: core.term,
      votedFor: core.votedFor,
      log: log.clone(),
      snapshot: core.snapshot.index,
    };
    this.ghost.disks.set(id, disk);
    const life = ++this.#lives;
    const clock = { now: () => 0, stoppedMs: 0, gainedMs: 0 };
    return { id, index: id.charCodeAt(0) - 97, life, clock, core, log, disk };
  }

  /** The server has a core, which has taken no step. */
  begin(actor: Actor): void {
    for (const checker of CHECKERS) checker.onStart?.(this.ghost, actor);
  }

  /** A server loses its disk: as it comes back with another, or with an older copy. Its log is that of a new one. */
  replace(actor: Actor, now: Disk, by: Replacement): Actor {
    const before = actor.disk;
    const other = this.server(actor.id, { state: { disk: now } });
    for (const checker of CHECKERS) checker.onReplaced?.(this.ghost, actor.id, before, other.disk, by);
    this.begin(other);
    return other;
  }

  /** A server sees by which disk a peer makes itself known. */
  connect(actor: Actor, peer: ServerId, disk: Disk): void {
    this.step(actor, { type: "peer-connected", peer, disk });
  }

  /** A step that changes the core like this. */
  step(
    actor: Actor,
    event: Event = { type: "drained" },
    change: (core: CoreState) => void = () => {},
    effects: readonly Effect[] = [],
    now = 0,
  ): void {
    const before = beforeOf(actor.core, event);
    change(actor.core);
    for (const checker of CHECKERS) checker.onStep?.(this.ghost, actor, { before, event, effects, now });
  }

  /** A step upon a message. */
  receive(
    actor: Actor,
    from: ServerId,
    message: CoreMessage,
    change: (core: CoreState) => void = () => {},
    effects: readonly Effect[] = [],
    now = 0,
  ): void {
    this.step(actor, { type: "message-received", from, message }, change, effects, now);
  }

  /** A frame leaves. */
  send(actor: Actor, to: ServerId, message: Message, records?: Records): void {
    for (const checker of CHECKERS) {
      checker.onSend?.(this.ghost, actor, to, { message, ...(records === undefined ? {} : { records }) });
    }
  }

  /** An event is over. */
  end(...actors: Actor[]): void {
    for (const actor of actors) for (const checker of CHECKERS) checker.onEvent?.(this.ghost, actor);
  }

  /** The server is about to read entries from its disk. */
  read(actor: Actor, from: LogIndex, end: LogIndex): void {
    for (const checker of CHECKERS) checker.onRead?.(this.ghost, actor, from, end);
  }

  /** A write is durable, after which the disk is like this. */
  persist(actor: Actor, change: (disk: DiskView) => void, truncateFrom?: LogIndex, compactTo?: LogStart): void {
    change(actor.disk);
    const write = { records: [], truncateFrom, compactTo };
    for (const checker of CHECKERS) checker.onPersisted?.(this.ghost, actor, write);
  }

  /** A disk was read again. */
  recover(id: ServerId, found: DiskView, possible: readonly DiskView[] = [found]): void {
    for (const checker of CHECKERS) {
      checker.onRecovered?.(this.ghost, id, { possible, found, isDurable: true, isDamaged: false });
    }
  }

  /** A machine applied an entry. */
  apply(actor: Actor, index: LogIndex, state = 1, result = 1, term: Term = 1, before?: number): void {
    const applied = { index, term, state, result, ...before === undefined ? {} : { before } };
    for (const checker of CHECKERS) checker.onApplied?.(this.ghost, actor, applied);
  }

  /** Entries of a term at the end of the log, in memory and, unless told otherwise, on disk. */
  append(actor: Actor, term: Term, count = 1, options: { durable?: boolean; content?: number } = {}): void {
    const { durable = true, content = 0 } = options;
    appendTerm(actor.core.log, term, count);
    for (let i = 0; i < count; i++) {
      actor.log.add(term, content);
      if (durable) actor.disk.log.add(term, content);
    }
    if (durable) actor.core.persistedIndex = actor.core.log.lastIndex;
  }

  /** Nobody has committed anything after this entry. */
  uncommit(last: LogIndex): void {
    const { commits } = this.ghost;
    const fewer = new Committed();
    for (const [index, entry] of commits) if (index <= last) fewer.push(entry);
    Object.assign(this.ghost, { commits: fewer });
  }

  /** Removes entries from memory and disk. */
  truncate(actor: Actor, from: LogIndex): void {
    truncateTerms(actor.core.log, from);
    actor.log.truncateFrom(from);
    actor.disk.log.truncateFrom(from);
  }

  /** A server enters a term and votes in it, durably. */
  vote(actor: Actor, term: Term, votedFor: ServerId | undefined): void {
    Object.assign(actor.core, { term, votedFor });
    this.persist(actor, (disk) => Object.assign(disk, { term, votedFor }));
  }

  /** A server tells a candidate of its vote. */
  grant(voter: Actor, term: Term, candidate: Actor): void {
    this.vote(voter, term, candidate.id);
    this.send(voter, candidate.id, { type: "vote-response", term, pre: false, campaign: term, granted: true });
  }

  /** Wins an election with these votes and its own. Its log is left as it is: without an entry of its own term. */
  lead(actor: Actor, term: Term, ...voters: Actor[]): void {
    this.vote(actor, term, actor.id);
    for (const voter of voters) this.grant(voter, term, actor);
    const { base } = this.ghost.commits;
    const terms = Array.from({ length: actor.log.last - base }, (_, i) => actor.log.termAt(base + i + 1));
    const servers = actor.core.configurations[0]!.configuration.servers.map(({ id }) => id).join(" ");
    const { leading: first } = leaderOf({ id: actor.id, servers, terms, term }).state;
    const leading = { ...first!, firstIndex: first!.firstIndex + base };
    for (const progress of leading.progress.values()) progress.nextIndex += base;
    this.step(actor, { type: "drained" }, (core) => Object.assign(core, { role: "leader", leader: actor.id, leading }));
  }

  /** A leader that has appended an entry of its own term, which all of these hold on disk and have acknowledged. */
  reign(leader: Actor, term: Term, ...followers: Actor[]): LogIndex {
    this.lead(leader, term, ...followers);
    this.append(leader, term);
    for (const follower of followers) this.follow(leader, follower);
    return leader.log.last;
  }

  /** A follower gets all that its leader has, keeps it and acknowledges it. */
  follow(leader: Actor, follower: Actor): void {
    const { term } = leader.core;
    const prevIndex = follower.log.last;
    const end = leader.log.last + 1;
    const message = {
      ...request(term, prevIndex, leader.log.termAt(prevIndex)),
      end,
      runs: prevIndex + 1 === end ? [] : [{ term, from: prevIndex + 1 }],
    };
    this.send(leader, follower.id, message);
    this.receive(follower, leader.id, message, (core) => {
      Object.assign(core, { leader: leader.id, term });
      this.append(follower, term, end - 1 - prevIndex);
    });
    const response = { type: "append-response", term, sequence: 1, round: 0, rejected: undefined } as const;
    this.send(follower, leader.id, { ...response, matchIndex: end - 1 });
    this.receive(leader, follower.id, { ...response, matchIndex: end - 1 }, (core) => {
      core.leading!.progress.get(follower.id)!.matchIndex = end - 1;
      core.leading!.progress.get(follower.id)!.nextIndex = end;
      // A leader commits as soon as it may.
      if (core.log.runs.at(-1)!.term === term) core.commitIndex = end - 1;
    });
  }
}

/** An append without entries. */
export function request(term: Term, prevIndex: LogIndex, prevTerm: Term, commitIndex: LogIndex = 0): AppendRequest {
  return append({ term, prevIndex, prevTerm, commitIndex });
}

/** A core whose log goes on after a snapshot up to this entry, the first of those with these terms. */
function goneOn(
  { configurations }: CoreState,
  index: LogIndex,
  [term = 1, ...terms]: readonly Term[],
): Partial<CoreState> {
  const lastIndex = index + terms.length;
  return {
    log: { firstIndex: index + 1, lastIndex, prevTerm: term, runs: runsOf(terms, index + 1) },
    configurations: configurations.map((it) => ({ ...it, index })),
    snapshot: { index, term },
    commitIndex: index,
    appliedIndex: index,
    persistedIndex: lastIndex,
  };
}

function logOf(terms: readonly Term[], core: CoreState, log: ChainLog): ChainLog {
  const begun = log.last;
  terms.forEach((term) => log.add(term, 0));
  for (const { index, configuration } of core.configurations) if (index > begun) log.configure(index, configuration);
  return log;
}

/**
 * A test: the checkers accept the good course of events and reject the bad one, by this very invariant.
 *
 * @param indexStart See {@linkcode Stage}.
 */
export function rule(
  invariant: Invariant,
  what: string,
  play: (stage: Stage, isBad: boolean) => void,
  indexStart = 0,
): void {
  test(`sim checkers: ${invariant}: ${what}`, () => {
    for (const isBad of [false, true]) {
      const stage = new Stage(indexStart);
      play(stage, isBad);
      for (const check of stage.ghost.later.splice(0)) check();
      const { violation } = stage.ghost;
      assertEquals(violation?.invariant, isBad ? invariant : undefined, violation?.message);
    }
  });
}
