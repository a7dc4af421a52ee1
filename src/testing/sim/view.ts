/**
 * What checkers see of a server, without going through the library's public face.
 *
 * @module
 */
import { isSound, soundIndex } from "../../core/damage.ts";
import type { Effect } from "../../core/effect.ts";
import type { Event } from "../../core/event.ts";
import type { CoreState } from "../../core/state.ts";
import { lastTerm } from "../../core/term_index.ts";
import type { LogCache } from "../../store/log_cache.ts";
import type { LogIndex, Role, ServerId, Term } from "../../types.ts";
import type { ChainLog } from "./chain.ts";

/** What would be found if the server lost power now, with all that is not synced. */
export interface DiskView {
  term: Term;
  votedFor: ServerId | undefined;
  log: ChainLog;
  /** The last entry that the newest snapshot includes; 0 without one. */
  snapshot: LogIndex;
  /** Hash of the machine's state in it, where somebody has looked. */
  readonly state?: number | undefined;
  /** Entries of the log that can't be had from the disk any more; undefined for none. */
  readonly damaged?: ReadonlySet<LogIndex> | undefined;
  /** The first entry of each repair that is there. */
  readonly repairs?: ReadonlySet<LogIndex> | undefined;
}

/** What a server goes by. */
export interface ClockView {
  /** Its monotonic clock, milliseconds. */
  now(): number;
  /** For how long that has stood still in all. */
  readonly stoppedMs: number;
  /** By how much its wall clock has run ahead of that in all. */
  readonly gainedMs: number;
}

/** A server in one life. */
export interface NodeView {
  readonly id: ServerId;
  /** Its place among the servers. */
  readonly index: number;
  /** Counts its lives. */
  readonly life: number;
  readonly clock: ClockView;
  /** What its core knows. */
  readonly core: Readonly<CoreState>;
  /** The log in memory, complete at the end of every event. */
  readonly log: ChainLog;
  readonly disk: DiskView;
  /** The tail of the log that is held in memory; undefined before there is one. */
  readonly cache?: Pick<LogCache, "durableEnd"> | undefined;
}

/** What a leader knew of one peer. */
export interface PeerBefore {
  readonly matchIndex: LogIndex;
  readonly nextIndex: LogIndex;
  /** Of the next request. */
  readonly sequence: number;
  readonly stateSequence: number;
  /** When it last answered. */
  readonly heardAt: number;
  readonly ackedRound: number;
}

/** What a step may change, as it was before. */
export interface Before {
  readonly term: Term;
  readonly votedFor: ServerId | undefined;
  readonly role: Role;
  readonly leader: ServerId | undefined;
  readonly electionAt: number;
  /** Whether the leader's end has closed the connection since it was heard. */
  readonly isLeaderClosed: boolean;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly commitIndex: LogIndex;
  readonly verifiedIndex: LogIndex;
  readonly persistedIndex: LogIndex;
  /** Up to here nothing is damaged; Infinity where nothing is. */
  readonly soundIndex: LogIndex;
  readonly epoch: number;
  readonly voteAsked: number;
  /** How many had answered the campaign under way. */
  readonly votes: number;
  /** The campaign under way: its term, and whether it only asked. */
  readonly campaign: { readonly term: Term; readonly pre: boolean } | undefined;
  /** The peer that the event is about, when this server leads. */
  readonly peer: PeerBefore | undefined;
}

/** One step of a core, just taken; its effects are not performed yet. */
export interface StepView {
  readonly before: Before;
  readonly event: Event;
  readonly effects: readonly Effect[];
  /** The server's own clock. */
  readonly now: number;
}

/** What a step may change, before it is taken. */
export function beforeOf(state: CoreState, event: Event): Before {
  const { campaign, leading, log } = state;
  const id = event.type === "message-received" ? event.from : "to" in event ? event.to : undefined;
  const progress = id === undefined ? undefined : leading?.progress.get(id);
  return {
    term: state.term,
    votedFor: state.votedFor,
    role: state.role,
    leader: state.leader,
    electionAt: state.electionAt,
    isLeaderClosed: state.leaderClosed !== undefined,
    lastIndex: log.lastIndex,
    lastTerm: lastTerm(log),
    commitIndex: state.commitIndex,
    verifiedIndex: state.verifiedIndex,
    persistedIndex: state.persistedIndex,
    soundIndex: isSound(state) ? Infinity : soundIndex(state),
    epoch: state.epoch,
    voteAsked: state.voteAsked,
    votes: campaign === undefined ? 0 : campaign.votes.size,
    campaign,
    peer: progress === undefined ? undefined : {
      matchIndex: progress.matchIndex,
      nextIndex: progress.nextIndex,
      sequence: progress.sequence,
      stateSequence: progress.stateSequence,
      heardAt: progress.heardAt,
      ackedRound: progress.ackedRound,
    },
  };
}
