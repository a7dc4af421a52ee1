/**
 * What the checker remembers of all servers and all time.
 *
 * @module
 */
import type { IndexedConfiguration, LogIndex, ServerId, Term } from "../../types.ts";
import type { ChainLog } from "./chain.ts";
import type { Due } from "./check/due.ts";
import type { Heard } from "./check/heard.ts";
import { Committed, type CommittedEntry, type Founding } from "./committed.ts";
import { Eras } from "./eras.ts";
import type { Invariant } from "./invariants.ts";
import type { SimResult } from "./machine.ts";
import type { DiskView, NodeView } from "./view.ts";

/** An invariant that does not hold. Ends the run. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
  /** Its name. */
  readonly invariant: Invariant;

  /** Takes the invariant's name and what is wrong. */
  constructor(invariant: Invariant, detail: string) {
    super(`${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}

/** The leader of a term and its log as it was last seen, while it led. */
export interface Leadership {
  readonly leader: ServerId;
  readonly log: ChainLog;
}

/** What a follower acknowledged in one term. */
export interface Acknowledged {
  readonly index: LogIndex;
  readonly hash: number;
}

/** R2: what a leader has asked its peers for and heard from them, all by the ghost's clock. */
export interface Rounds {
  readonly term: Term;
  /** When each request was sent, by peer and sequence. */
  readonly sent: Map<ServerId, Map<number, number>>;
  /** When the latest request was sent that a peer has answered. */
  readonly answered: Map<ServerId, number>;
  /** When each read was asked for, and what was known to be committed then. */
  readonly asked: Map<number, { readonly at: number; readonly commitIndex: LogIndex }>;
}

/** V7: when a leader heard its peers, by its own clock. */
export interface Contacts {
  readonly term: Term;
  /** Whoever was not heard at all counts from here. */
  since: number;
  /** The configuration that this is about. */
  configuration: LogIndex;
  readonly heard: Map<ServerId, number>;
  creditedAt: number;
}

/** That a machine applied a command. */
export interface Application {
  readonly index: LogIndex;
  /** The event in which the first one did. */
  readonly event: number;
  /** What it answered. */
  readonly result: SimResult;
}

/** M8: a server that has lost its disk, or has an older copy of it, and is not known by it yet. */
export interface Forgetful {
  /** Those it had since it first forgot, as it said when it started. */
  readonly disks: Set<string>;
  /** Those it had since it last did. */
  readonly current: Set<string>;
  /** Those by which it was known after more than one loss: the same old copy came back. */
  readonly doubled: Set<string>;
  /** How many entries were committed when it first forgot. */
  readonly since: LogIndex;
  /** Up to which committed entry it was looked for the one that re-admits it. */
  looked: LogIndex;
  /** Whether it was removed since it forgot: when it is added again it is a new server. */
  isOut?: boolean;
}

/** History. Only checkers write to it. */
export class Ghost {
  /** Every server's disk, also while it is down. */
  readonly disks: Map<ServerId, DiskView> = new Map();
  /** What was on disks that were replaced since, until the server was re-admitted. */
  readonly replaced: Map<ServerId, DiskView[]> = new Map();
  /** M8: who has forgotten. */
  readonly forgetful: Map<ServerId, Forgetful> = new Map();
  /** M8: the disk of each peer that a node has seen last, and its own last entry then. */
  readonly seen: WeakMap<NodeView, Map<ServerId, { readonly disk: string; readonly at: LogIndex }>> = new WeakMap();
  /** M8: votes, as in `votes`, of disks that were replaced since. */
  readonly lostVotes: Map<string, ServerId> = new Map();
  /** M8: those that were given by servers that had forgotten others. */
  readonly forgetfulVotes: Set<string> = new Set();
  /** E5: the latest term that was on each disk. */
  readonly diskTerms: Map<ServerId, Term> = new Map();
  /** E1. */
  readonly leaders: Map<Term, Leadership> = new Map();
  /** E2: `term voter` → candidate. */
  readonly votes: Map<string, ServerId> = new Map();
  /** C3. */
  readonly commits: Committed;
  /** L1: hash by term and index, of every entry that any log ever held. */
  readonly entries: Map<Term, Map<LogIndex, number>> = new Map();
  /** L4, L6: the furthest that a follower acknowledged, by `follower term`. */
  readonly acknowledged: Map<string, Acknowledged> = new Map();
  /** L7: the same of disks that were replaced since. */
  readonly lostAcknowledged: Map<string, LogIndex> = new Map();
  /** L5, C6: the end of what a leader's requests have shown a follower, by `follower life term`. */
  readonly shown: Map<string, LogIndex> = new Map();
  /** L5: the term of the leader's entry where a follower has another one, by `follower life term sequence`. */
  readonly differed: Map<string, Term> = new Map();
  /** L1: up to which index a log was compared. */
  readonly matched: WeakMap<ChainLog, LogIndex> = new WeakMap();
  /** C2: how the leader that commits now came to do so. */
  readonly committing: WeakMap<NodeView, Pick<CommittedEntry, "sets"> & { readonly term: Term }> = new WeakMap();
  /** C3: up to which index a life's committed entries were compared. */
  readonly lastCommitted: WeakMap<NodeView, LogIndex> = new WeakMap();
  /** A2: what a life applied last. */
  readonly lastApplied: WeakMap<NodeView, LogIndex> = new WeakMap();
  /** A3, A4: term, and hashes of the machine's state and result, of every command that was applied. */
  readonly applied: Map<LogIndex, { readonly term: Term; readonly state: number; readonly result: number }> = new Map();
  /** K2: the last snapshot that a life's machine began with, or is about to: its own take the place of nothing. */
  readonly beganWith: WeakMap<NodeView, LogIndex> = new WeakMap();
  /** R2: what each leader has asked and heard in its term. */
  readonly rounds: WeakMap<NodeView, Rounds> = new WeakMap();
  /** Whether all clocks have kept the bound that the servers were told of: R3 is about these runs. */
  keepsTime = true;
  /** R3: every leader, and for how long its clock had stood still when it took its last step. */
  readonly leading: Map<NodeView, number> = new Map();
  /** R3: the shortest that each server has ever promised votes for, milliseconds. */
  readonly promiseMs: Map<ServerId, number> = new Map();
  /** R3: until when each server has promised its vote, by its own clock. */
  readonly promised: WeakMap<NodeView, number> = new WeakMap();
  /** R6: what each server was told by its leaders. */
  readonly heard: WeakMap<NodeView, Heard> = new WeakMap();
  /** K6: when each life is to take a snapshot of itself, and how many it may take as somebody asks for them. */
  readonly due: WeakMap<NodeView, Due> = new WeakMap();
  readonly snapshotsAsked: WeakMap<NodeView, number> = new WeakMap();
  /** K4: by how much each server's wall clock had run ahead when it last looked. */
  readonly gainedMs: WeakMap<NodeView, number> = new WeakMap();
  /** V7: when each leader last heard whom. */
  readonly contacts: WeakMap<NodeView, Contacts> = new WeakMap();
  /** M1: hash of the log up to the configuration that was last compared. */
  readonly configured: WeakMap<NodeView, number> = new WeakMap();
  /** M3, M7: configurations that were compared with those before them. */
  readonly succeeded: WeakSet<IndexedConfiguration> = new WeakSet();
  /** M3: sets of voters that overlap with the next ones. */
  readonly overlapping: Set<string> = new Set();
  /** M6: since when a leader without a vote is not needed any more, and its steps since its time was over. */
  readonly voteless: WeakMap<NodeView, { readonly since: number; late: number; electionMaxMs: number }> = new WeakMap();
  /** V4: the entry that removed a server, as it was told. */
  readonly removed: WeakMap<NodeView, LogIndex> = new WeakMap();
  /** Counts what is sent and asked: tells what came before what. */
  clock = 0;
  /** What is to be checked when the event is over, as other checkers must have seen it first. */
  readonly later: (() => void)[] = [];
  /** R1: no read that begins now may see less. */
  readFloor: LogIndex = 0;
  /** K1, K5: where each command was applied, by its value. */
  readonly appliedAt: Map<string, LogIndex[]> = new Map();
  /** The event in which each command was first applied, and what the machine answered, by its value. */
  readonly appliedFirst: Map<string, Application> = new Map();
  /** The same of commands with a key that were applied again, as a restore had made the servers forget the key. */
  readonly appliedAgain: Map<string, Application[]> = new Map();
  /** Commands with a key, by their value. */
  readonly keyed: Set<string> = new Set();
  /** Commands of sessions, by their value. */
  readonly ofSessions: Set<string> = new Set();
  /** K2: entries of both kinds that some machine has applied. */
  readonly appliedOnce: Set<LogIndex> = new Set();
  /** K2: entries that some machine has not applied before it went on, and whose that is. */
  readonly passedOver: Map<LogIndex, ServerId> = new Map();
  /** What restores have made of the state. */
  readonly eras: Eras = new Eras(this);
  /** The event that happens now, and when that is: microseconds of true time. */
  event = 0;
  time = 0;
  readonly #notApplied = new Set<string>();
  /** The first violation. */
  violation: InvariantViolation | undefined;

  /** Nothing has happened yet. */
  constructor(founding?: Founding) {
    this.commits = new Committed(founding);
  }

  /**
   * Notes a violation, unless there is one. It does not throw: the code under test would catch it.
   *
   * @param detail Called only when the condition does not hold.
   */
  must(condition: boolean, invariant: Invariant, detail: () => string): void {
    if (!condition) this.violation ??= new InvariantViolation(invariant, detail());
  }

  /** Whether an entry is on a server's disk, or was until that was declared lost: no protocol knows of that. */
  holds(id: ServerId, index: LogIndex, hash: number): boolean {
    return this.disks.get(id)?.log.hashAt(index) === hash || this.held(id, index, hash);
  }

  /** Whether an entry was on a server's disk that was declared lost. */
  held(id: ServerId, index: LogIndex, hash: number): boolean {
    return this.replaced.get(id)?.some(({ log }) => log.hashAt(index) === hash) === true;
  }

  /** What every machine is when it has applied all entries up to this one, as far as any has; 0 before the first. */
  stateAt(index: LogIndex): number {
    let last = index;
    const { base } = this.commits;
    while (last > base && !this.applied.has(last)) last--;
    return this.applied.get(last)?.state ?? 0;
  }

  /** K5: the client was told that its command never happens. */
  noteNotApplied(value: string): void {
    this.#notApplied.add(value);
    const at = this.appliedAt.get(value);
    this.must(at === undefined, "K5", () => `"${value}" is said to be not applied and is at ${at}`);
  }

  /** K1, K5: a machine applied a command; each has a value of its own. */
  noteApplied(value: string, index: LogIndex, event: number, result: SimResult): void {
    const at = this.appliedAt.get(value);
    if (at?.includes(index) === true) return;
    const isForgotten = this.keyed.has(value) && this.eras.of(at?.at(-1) ?? index) < this.eras.of(index);
    this.must(at === undefined || isForgotten, "K1", () => `"${value}" is applied at ${at} and again at ${index}`);
    this.must(
      !this.#notApplied.has(value),
      "K5",
      () => `"${value}" is applied at ${index}, its client was told otherwise`,
    );
    if (this.keyed.has(value) || this.ofSessions.has(value)) this.appliedOnce.add(index);
    const application = { index, event, result };
    if (at !== undefined) {
      at.push(index);
      this.appliedAgain.set(value, [...this.appliedAgain.get(value) ?? [], application]);
      return;
    }
    this.appliedAt.set(value, [index]);
    this.appliedFirst.set(value, application);
  }

  /** The vote of a server in a term, if it ever gave one. */
  voteOf(term: Term, voter: ServerId): ServerId | undefined {
    return this.votes.get(`${term} ${voter}`);
  }
}
