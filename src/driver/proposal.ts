/**
 * One caller's command on its way to a result.
 *
 * @module
 */
import type { EntryType, LogIndex, Term } from "../types.ts";
import type { Applied } from "./applier.ts";

/** How a command became an entry and what came of it. */
export interface ProposalResult {
  readonly index: LogIndex;
  readonly term: Term;
  readonly applied: Applied;
}

/** What becomes of a command in the log. */
export interface ProposalEntry {
  readonly type: EntryType;
  /** Bits of {@linkcode RecordFlag}. */
  readonly flags: number;
  readonly payload: Uint8Array;
  /** Begins with a client block when the flags say so. */
  readonly extensions?: Uint8Array | undefined;
}

/** How a command is to be taken. */
export interface ProposalManner {
  /** See {@linkcode Proposal.caller}; 0 by default. */
  readonly caller?: number;
  /** See {@linkcode Proposal.enqueueTimeoutMs}; 0 by default. */
  readonly enqueueTimeoutMs?: number;
  /** See {@linkcode Proposal.isOwed}; false by default. */
  readonly isOwed?: boolean;
}

/** A command and the caller who waits for it. Settled exactly once; what comes later is ignored. */
export class Proposal {
  readonly type: EntryType;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly extensions: Uint8Array | undefined;
  /** Whose it is: a session's number, or 0 for all others that call this server. */
  readonly caller: number;
  /** How long it may wait for room, milliseconds. */
  readonly enqueueTimeoutMs: number;
  /**
   * Whether it ends what is in the log already, so that the log owes it: it finds room however much is in flight, is not
   * counted there, and waits as long as it takes for a leader.
   */
  readonly isOwed: boolean;
  /** When it came, in the driver's milliseconds. */
  readonly startedAt: number;
  /** When there was room for it: from then on it waits for a leader. */
  queuedAt: number;
  /** Whether it is to be forwarded alone, as those with it were refused for the size of one. */
  isAlone = false;
  /** Set while it waits for room: it does so no longer. */
  onWaitingEnd: (() => void) | undefined;
  /**
   * The caller's ends, until it is settled. They are let go of then: a table that held the proposal, and was replaced by a
   * larger one, may be found to be garbage much later than the caller.
   */
  #resolve: ((result: ProposalResult) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;

  /** Takes what becomes the entry, and the caller's two ends. */
  constructor(
    entry: ProposalEntry,
    startedAt: number,
    resolve: (result: ProposalResult) => void,
    reject: (error: unknown) => void,
    { caller = 0, enqueueTimeoutMs = 0, isOwed = false }: ProposalManner = {},
  ) {
    this.type = entry.type;
    this.flags = entry.flags;
    this.payload = entry.payload;
    this.extensions = entry.extensions;
    this.caller = caller;
    this.enqueueTimeoutMs = enqueueTimeoutMs;
    this.isOwed = isOwed;
    this.startedAt = startedAt;
    this.queuedAt = startedAt;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Whether the caller has its answer (or stopped waiting). */
  get isSettled(): boolean {
    return this.#reject === undefined;
  }

  /** The entry was applied. */
  resolve(result: ProposalResult): boolean {
    const resolve = this.#resolve;
    if (resolve === undefined) return false;
    this.#resolve = this.#reject = undefined;
    resolve(result);
    return true;
  }

  /** It won't be, or nobody knows, or the caller stopped waiting. */
  reject(error: unknown): boolean {
    const reject = this.#reject;
    if (reject === undefined) return false;
    this.#resolve = this.#reject = undefined;
    this.onWaitingEnd?.();
    reject(error);
    return true;
  }
}
