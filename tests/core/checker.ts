/**
 * What must hold whatever happens, looked at after each step of a {@linkcode Cluster}. It remembers what the cluster
 * itself forgets: leaders of past terms, votes, what was ever committed.
 *
 * @module
 */
import type { Effect } from "../../src/core/effect.ts";
import type { Event } from "../../src/core/event.ts";
import type { AppendResponse, VoteRequest } from "../../src/message.ts";
import type { Configuration, LogIndex, ServerId, Term } from "../../src/types.ts";
import { majority, voterSets } from "../../src/core/quorum.ts";
import type { Cluster, Member, Packet } from "./cluster.ts";
import type { Entry } from "./disk.ts";

/** A server just before a step. */
interface Look {
  readonly term: Term;
  readonly leads: boolean;
  readonly commitIndex: LogIndex;
  readonly last: LogIndex;
  readonly verified: LogIndex;
  readonly pure: string | undefined;
  readonly votedFor: ServerId | undefined;
  /** Whether the candidate that asks now may have this server's vote by its log. */
  readonly upToDate: boolean;
  /** The log, when it may be cut. */
  readonly log: readonly Entry[];
}

/** The invariants, by the names that Raft implementations give them: election, log, commit, read. */
export class Checker {
  readonly #cluster: Cluster;
  readonly #leaders: Map<Term, ServerId> = new Map();
  /** The log of each term's leader, which only grows. */
  readonly #leaderLogs: Map<Term, readonly Entry[]> = new Map();
  readonly #votes: Map<string, ServerId> = new Map();
  readonly #commits: { readonly entry: Entry; readonly term: Term }[] = [];
  readonly #verified: Map<ServerId, { term: Term; index: LogIndex }> = new Map();
  readonly #readFloors: Map<number, LogIndex> = new Map();
  /** Whether other servers were ever asked for. */
  #hasChanged = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** How many entries were ever committed. */
  get committed(): LogIndex {
    return this.#commits.length;
  }

  onRead(id: number): void {
    this.#readFloors.set(id, this.committed);
  }

  onRestart(id: ServerId): void {
    this.#verified.delete(id);
  }

  before(member: Member, event: Event): Look {
    const { state } = member.core;
    const message = event.type === "message-received" ? event.message : undefined;
    const isQuestion = message?.type === "vote-request" && message.pre;
    let verified = this.#verifiedOf(member);
    if (message?.type === "append-request" && message.term >= state.term) {
      if (message.term > state.term) verified = 0;
      const { prevIndex, prevTerm, end } = message;
      const fits = prevIndex === 0 || member.log[prevIndex - 1]?.term === prevTerm;
      if (fits) verified = Math.max(verified, end - 1);
      this.#verified.set(member.id, { term: message.term, index: verified });
    }
    // What a leader has in a snapshot is committed.
    if (event.type === "snapshot-received") verified = Math.max(verified, event.index);
    return {
      term: state.term,
      leads: state.role === "leader",
      commitIndex: state.commitIndex,
      last: member.log.length,
      verified,
      pure: isQuestion ? JSON.stringify({ ...state, withheld: [] }) : undefined,
      votedFor: state.votedFor,
      upToDate: message?.type === "vote-request" && isUpToDate(message, member.log),
      log: message?.type === "append-request" ? [...member.log] : [],
    };
  }

  #verifiedOf({ id, core }: Member): LogIndex {
    const known = this.#verified.get(id);
    return known?.term === core.state.term ? known.index : 0;
  }

  after(member: Member, event: Event, effects: readonly Effect[], look: Look): void {
    const { id, core: { state } } = member;
    this.#verified.set(id, { term: state.term, index: look.verified });
    must(state.term >= look.term, "E5", `"${id}" went back to term ${state.term}`);
    if (look.pure !== undefined) {
      must(JSON.stringify({ ...state, withheld: [] }) === look.pure, "E8", `a pre-vote changed "${id}"`);
    }
    if (state.role === "leader") this.#onLeader(member, look);
    if (event.type === "message-received" && event.message.type === "vote-request") {
      const granted = state.votedFor === event.from && (look.votedFor !== event.from || state.term > look.term);
      must(!granted || look.upToDate, "E7", `"${id}" votes for "${event.from}", whose log is behind`);
    }
    for (const effect of effects) {
      if (effect.type === "append" && effect.source === "configuration") this.#hasChanged = true;
      if (effect.type === "truncate") {
        must(!look.leads || state.term > look.term, "E9", `"${id}" truncates and leads`);
        this.#onTruncate(member, look, effect.from);
      }
      if (effect.type === "answer-read") {
        must(effect.index >= this.#readFloors.get(effect.id)!, "R1", `read ${effect.id} is answered with the past`);
      }
    }
    this.#shape(member);
    if (state.commitIndex !== look.commitIndex) this.#onCommit(member, look);
    if (event.type === "message-received" || event.type === "entries-persisted") this.#logsMatch(member);
    this.#staysDurable();
  }

  #onLeader(member: Member, look: Look): void {
    const { id, log, core: { state } } = member;
    if (!look.leads || look.term !== state.term) {
      must((this.#leaders.get(state.term) ?? id) === id, "E1", `term ${state.term} has a second leader "${id}"`);
      this.#leaders.set(state.term, id);
      for (const voters of voterSets(state.configurations[state.configurations.length - 1]!.configuration)) {
        const votes = voters.filter((voter) => this.#voteOf(state.term, voter) === id);
        must(votes.length >= majority(voters.length), "E6", `"${id}" leads with ${votes.length} votes`);
      }
      for (const [i, { entry, term }] of this.#commits.entries()) {
        must(
          term >= state.term || log[i]?.value === entry.value,
          "C4",
          `leader "${id}" lacks committed entry ${i + 1}`,
        );
      }
    }
    this.#leaderLogs.set(state.term, [...log]);
    for (const [peer, progress] of state.leading!.progress) {
      const { disk } = this.#cluster.of(peer);
      must(progress.nextIndex > progress.matchIndex, "L7", `next index of "${peer}" is at most its match index`);
      const bytes = progress.inFlight.reduce((sum, it) => sum + it.bytes, 0);
      must(bytes === progress.inFlightBytes, "V6", `bytes in flight to "${peer}" don't add up`);
      if (disk.vote.term !== state.term) continue;
      must(isPrefix(log, disk.log, progress.matchIndex), "L6", `"${peer}" lost what it acknowledged`);
    }
  }

  /** L3, but a delayed append of an older leader may remove what a newer one has committed elsewhere meanwhile. */
  #onTruncate({ id, core: { state } }: Member, look: Look, from: LogIndex): void {
    must(from > look.commitIndex, "L3", `"${id}" removes entry ${from}, which it knows to be committed`);
    for (let i = from - 1; i < look.log.length; i++) {
      const commit = this.#commits[i];
      if (commit === undefined || commit.entry.value !== look.log[i]!.value) continue;
      must(state.term < commit.term, "L3", `"${id}" removes committed entry ${i + 1}`);
    }
  }

  #voteOf(term: Term, voter: ServerId): ServerId | undefined {
    const { vote } = this.#cluster.of(voter).disk;
    return vote.term === term ? vote.votedFor : this.#votes.get(`${term} ${voter}`);
  }

  /** The core's own view of its log is the log's. */
  #shape({ id, log, core: { state } }: Member): void {
    must(
      state.log.lastIndex === log.length,
      "L2",
      `"${id}" believes in ${state.log.lastIndex} of ${log.length} entries`,
    );
    const { runs } = state.log;
    const ends = runs.map((_, i) => runs[i + 1]?.from ?? log.length + 1);
    for (const [i, { term, from }] of runs.entries()) {
      must(log[from - 1]!.term === term && log[ends[i]! - 2]!.term === term, "L2", `runs of "${id}" are wrong`);
    }
    must(log.length === 0 || log[log.length - 1]!.term <= state.term, "L2", `the log of "${id}" is ahead of its term`);
    must(state.appliedIndex <= state.commitIndex && state.commitIndex <= log.length, "A1", `indexes of "${id}"`);
  }

  #onCommit({ id, log, core: { state } }: Member, look: Look): void {
    const { commitIndex, term } = state;
    must(commitIndex > look.commitIndex, "C1", `the commit index of "${id}" goes back to ${commitIndex}`);
    if (state.role === "leader") {
      must(log[commitIndex - 1]!.term === term, "C2", `"${id}" commits an entry of an earlier term by counting`);
      // What is appended in the same step is no part of it.
      const { configuration } = state.configurations.findLast(({ index }) => index <= look.last)!;
      must(
        this.#isDurable(log, commitIndex, configuration),
        "C2",
        `"${id}" commits entry ${commitIndex} that few have`,
      );
    } else {
      must(commitIndex <= look.verified, "C6", `"${id}" commits ${commitIndex}, verified up to ${look.verified}`);
    }
    for (let i = look.commitIndex; i < commitIndex; i++) {
      this.#commits[i] ??= { entry: log[i]!, term };
      must(this.#commits[i]!.entry.value === log[i]!.value, "C3", `"${id}" commits another entry ${i + 1}`);
    }
  }

  #isDurable(log: readonly Entry[], index: LogIndex, configuration: Configuration): boolean {
    return voterSets(configuration).every((voters) => {
      const have = voters.filter((voter) => isPrefix(log, this.#cluster.of(voter).disk.log, index));
      return have.length >= majority(voters.length);
    });
  }

  /**
   * C5: what is committed stays on a quorum of disks. Where the servers have changed it depends on whom one asks which
   * quorum that is; what must never be is that somebody without it could be elected.
   */
  #staysDurable(): void {
    const log = this.#commits.map(({ entry }) => entry);
    if (!this.#hasChanged) {
      const { configurations } = [...this.#cluster.members.values()][0]!.core.state;
      const { configuration } = configurations[configurations.length - 1]!;
      must(this.#isDurable(log, log.length, configuration), "C5", `committed entry ${log.length} is no longer durable`);
    } else {
      for (const { id, disk } of this.#cluster.members.values()) {
        if (isPrefix(log, disk.log, log.length)) continue;
        must(!this.#canBeElected(id), "C4", `"${id}" could be elected without committed entry ${log.length}`);
      }
    }
  }

  /** By the logs on the disks and the configuration on its own, whatever anybody voted so far. */
  #canBeElected(id: ServerId): boolean {
    const { log } = this.#cluster.of(id).disk;
    const configuration = log.findLast((entry) => entry.configuration !== undefined)?.configuration;
    if (configuration === undefined) return false;
    const [lastIndex, lastTerm] = [log.length, log[log.length - 1]!.term];
    return voterSets(configuration).every((voters) => {
      const would = voters.filter((voter) => isUpToDate({ lastIndex, lastTerm }, this.#cluster.of(voter).disk.log));
      return would.length >= majority(voters.length);
    });
  }

  /** L1: where two logs have the same term at an index, they are the same up to it. */
  #logsMatch({ id, log }: Member): void {
    for (const other of this.#cluster.members.values()) {
      let at = Math.min(log.length, other.log.length);
      while (at > 0 && log[at - 1]!.term !== other.log[at - 1]!.term) at--;
      must(isPrefix(log, other.log, at), "L1", `logs of "${id}" and "${other.id}" differ below ${at}`);
    }
  }

  onPacket({ from, to, message, entries }: Packet): void {
    const { disk, log, core: { state } } = this.#cluster.of(from);
    if (message.type === "vote-request" && message.pre) return;
    must(message.term <= disk.vote.term, "E4", `"${from}" speaks in term ${message.term} before it is durable`);
    if (message.type === "vote-request") {
      must(
        disk.vote.votedFor === from && disk.vote.term === message.term,
        "E4",
        `"${from}" campaigns without its vote`,
      );
    } else if (message.type === "vote-response" && message.granted && !message.pre) {
      const key = `${message.term} ${from}`;
      must(disk.vote.term === message.term && disk.vote.votedFor === to, "E3", `"${from}" votes without its disk`);
      must((this.#votes.get(key) ?? to) === to, "E2", `"${from}" votes twice in term ${message.term}`);
      this.#votes.set(key, to);
    } else if (message.type === "append-request") {
      must((this.#leaders.get(message.term) ?? from) === from, "E1", `"${from}" leads the term of another`);
      must(message.prevTerm === (log[message.prevIndex - 1]?.term ?? 0), "L8", `"${from}" sends a wrong prevTerm`);
      must(entries.length === message.end - message.prevIndex - 1, "L8", `"${from}" sends too many entries`);
      must(message.commitIndex <= state.commitIndex, "L8", `"${from}" tells a commit index too high`);
    } else if (message.type === "append-response" && message.rejected === undefined) {
      this.#onAcknowledged(from, message);
    }
  }

  #onAcknowledged(from: ServerId, { term, matchIndex }: AppendResponse): void {
    const { disk } = this.#cluster.of(from);
    const verified = this.#verified.get(from);
    const bound = verified?.term === term ? verified.index : 0;
    must(matchIndex <= bound, "L5", `"${from}" acknowledges ${matchIndex}, verified up to ${bound}`);
    const leaderLog = this.#leaderLogs.get(term) ?? [];
    must(isPrefix(leaderLog, disk.log, matchIndex), "L4", `"${from}" acknowledges ${matchIndex} beyond its disk`);
  }
}

/** Raft §5.4.1. */
function isUpToDate(
  { lastIndex, lastTerm }: Pick<VoteRequest, "lastIndex" | "lastTerm">,
  log: readonly Entry[],
): boolean {
  const ours = log[log.length - 1]?.term ?? 0;
  return lastTerm > ours || (lastTerm === ours && lastIndex >= log.length);
}

function isPrefix(a: readonly Entry[], b: readonly Entry[], length: LogIndex): boolean {
  if (a.length < length || b.length < length) return false;
  for (let i = 0; i < length; i++) if (a[i]!.value !== b[i]!.value || a[i]!.term !== b[i]!.term) return false;
  return true;
}

function must(condition: boolean, name: string, detail: string): void {
  if (!condition) throw new Error(`${name}: ${detail}`);
}
