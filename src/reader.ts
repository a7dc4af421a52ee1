/**
 * Reads: what a caller may see, and from when on.
 *
 * @module
 */
import { checkNumber, checkOptions, checkWhole, isWhole, nameOf, shown } from "./checks.ts";
import type { Calls } from "./driver/calls.ts";
import type { Environment } from "./driver/environment.ts";
import type { Heard } from "./driver/leader_contact.ts";
import type { Read } from "./driver/reads.ts";
import { StaleReadError } from "./errors.ts";
import { mark } from "./marks.ts";
import type { ReadOptions, WaitOptions } from "./raft.ts";
import type { LogIndex } from "./types.ts";
import { Waiter } from "./waiter.ts";

/** What reads need of their server. */
export interface ReaderHost {
  readonly calls: Calls;
  readonly environment: Environment;
  /** What the leader has said is committed, and when. */
  heard(): Heard;
  /** The last entry that the machine has applied. */
  appliedIndex(): LogIndex;
  /** Throws what a caller of a server that is shut down gets. */
  throwIfShutdown(): void;
}

/** How old what a read sees may be, and what this server knew when the read came. */
interface Bound {
  readonly heard: Heard;
  readonly maxStalenessMs: number;
}

const CONSISTENCIES = ["linearizable", "lease", "session", "stale"] as const;

/** One server's. */
export class Reader {
  readonly #host: ReaderHost;
  /** The latest entry whose result, or effect, a caller of this server was shown. */
  #seenIndex: LogIndex = 0;

  /** Takes what it needs. */
  constructor(host: ReaderHost) {
    this.#host = host;
  }

  /** A caller of this server was shown what this entry came to. */
  saw(index: LogIndex): void {
    if (index > this.#seenIndex) this.#seenIndex = index;
  }

  /** See {@linkcode Raft.read}. */
  read<T>(query: () => T, options: ReadOptions = {}): Promise<T> {
    if (typeof query === "function") return this.#read(() => query(), options);
    return Promise.reject(new TypeError(`Cannot read as the query must be a function, not ${nameOf(query)}`));
  }

  /** See {@linkcode Raft.readIndex}. */
  index(options: WaitOptions = {}): Promise<LogIndex> {
    return this.#read((index) => index, options);
  }

  #read<T>(answer: (index: LogIndex) => T, options: ReadOptions): Promise<T> {
    const { calls, environment } = this.#host;
    return new Promise((resolve, reject) => {
      checkOptions("read", options);
      const { signal, consistency = "linearizable" } = options;
      signal?.throwIfAborted();
      this.#host.throwIfShutdown();
      checkSeen(options);
      const isLease = consistency === "lease";
      const bound = this.#bound(options);
      if (bound !== undefined) this.#checkAge(bound);
      const read = new QueryRead({ startedAt: environment.now(), isLease }, signal, resolve, reject, (index) => {
        // It may have waited.
        if (bound !== undefined) this.#checkAge(bound);
        const result = answer(index);
        // What it saw, later reads of the session are to see too.
        if (consistency === "session") this.saw(index);
        return result;
      });
      if (isLease || consistency === "linearizable") calls.read(read, undefined);
      else calls.read(read, this.#floor(options, bound));
    });
  }

  /** The entry that the machine must have reached. */
  #floor({ consistency, session, minIndex = 0 }: ReadOptions, bound: Bound | undefined): LogIndex {
    if (consistency === "session") {
      return Math.max(minIndex, session === undefined ? this.#seenIndex : session.seenIndex);
    }
    // What was committed when the leader was heard is to be seen, also when it has not come yet.
    return bound === undefined ? minIndex : Math.max(minIndex, bound.heard.index);
  }

  #bound({ maxStalenessMs }: ReadOptions): Bound | undefined {
    return maxStalenessMs === undefined ? undefined : { heard: this.#host.heard(), maxStalenessMs };
  }

  /** Refuses what is too old at this moment, when a read with this bound comes and again when it is answered. */
  #checkAge({ heard, maxStalenessMs }: Bound): void {
    const latest = this.#host.heard();
    // What the leader has said since makes what is there younger, where all of that is there.
    const isComplete = this.#host.appliedIndex() >= latest.index;
    const { heardAt, hasLed } = isComplete && latest.heardAt > heard.heardAt ? latest : heard;
    const agoMs = latest.now - heardAt;
    if (agoMs <= maxStalenessMs) return;
    mark("stale-read-refused");
    throw new StaleReadError(agoMs === Infinity ? undefined : agoMs, maxStalenessMs, hasLed && latest.hasLed);
  }
}

/** Whether what is to be seen can be asked for like this. */
function checkSeen({ consistency = "linearizable", session, minIndex, maxStalenessMs }: ReadOptions): void {
  if (!CONSISTENCIES.includes(consistency)) {
    throw new TypeError(`Cannot read with consistency ${shown(consistency)}: use one of ${CONSISTENCIES.join(", ")}`);
  }
  if (session !== undefined && consistency !== "session") {
    throw new TypeError(`Cannot read with a session as the consistency is "${consistency}": use "session"`);
  }
  if (session !== undefined && !isWhole(session?.seenIndex)) {
    throw new TypeError(`Cannot read as 'session' must be one that raft.session() gave, not ${nameOf(session)}`);
  }
  checkWhole("read", "minIndex", minIndex);
  if (minIndex !== undefined && consistency !== "session" && consistency !== "stale") {
    throw new RangeError(
      `Cannot read with 'minIndex' as the consistency is "${consistency}": use "session" or "stale"`,
    );
  }
  checkNumber("read", "maxStalenessMs", maxStalenessMs);
  if (maxStalenessMs !== undefined && consistency !== "stale") {
    throw new RangeError(`Cannot read with 'maxStalenessMs' as the consistency is "${consistency}": use "stale"`);
  }
}

/** A query and the caller who waits for its answer. */
class QueryRead<T> extends Waiter<T> implements Read {
  readonly isLease: boolean;
  readonly #answer: (index: LogIndex) => T;

  constructor(
    { startedAt, isLease }: Required<Pick<Read, "startedAt" | "isLease">>,
    signal: AbortSignal | undefined,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
    answer: (index: LogIndex) => T,
  ) {
    super(startedAt, signal, resolve, reject);
    this.isLease = isLease;
    this.#answer = answer;
  }

  answer(index: LogIndex): void {
    // A caller who stopped waiting must not have the query run.
    if (this.isSettled) return;
    try {
      this.resolve(this.#answer(index));
    } catch (error) {
      this.reject(error);
    }
  }
}
