/**
 * Waiting for a server to be in some state.
 *
 * @module
 */
import { checkBoolean, checkWhole, shown, signalOf } from "./checks.ts";
import type { Environment } from "./driver/environment.ts";
import { ShutdownError } from "./errors.ts";
import type { WaitOptions } from "./raft.ts";
import type { RaftStatus } from "./status.ts";
import type { LogIndex, Role, Term } from "./types.ts";

/** What {@linkcode Raft.wait} waits for: all that is given, or a function of the status that gives true. */
export type WaitCondition = ((status: RaftStatus) => boolean) | {
  /** The machine has applied this entry, and all before it. */
  readonly appliedIndex?: LogIndex;
  /** This entry is known to be committed. */
  readonly commitIndex?: LogIndex;
  /** The server's term is at least this one. */
  readonly term?: Term;
  /** The server is this. */
  readonly role?: Role;
  /** `true`: a leader is known, this server or another; `false`: none is. */
  readonly leader?: boolean;
};

const ROLES: readonly Role[] = ["follower", "pre-candidate", "candidate", "leader"];

const indexes = ["appliedIndex", "commitIndex", "term"] as const;

/** The condition as a function. */
function predicateOf(condition: WaitCondition): (status: RaftStatus) => boolean {
  if (typeof condition === "function") return condition;
  const wanted = { ...condition };
  const { role, leader } = wanted;
  const least = indexes.filter((name) => wanted[name] !== undefined);
  for (const name of least) checkWhole("wait", name, wanted[name]);
  if (role !== undefined && !ROLES.includes(role)) {
    throw new TypeError(`Cannot wait as 'role' must be one of ${ROLES.join(", ")}: current value is ${shown(role)}`);
  }
  checkBoolean("wait", "leader", leader);
  if (least.length === 0 && role === undefined && leader === undefined) {
    throw new TypeError(
      "Cannot wait for nothing: give a function, or one of appliedIndex, commitIndex, term, role, leader",
    );
  }
  return (status) =>
    least.every((name) => status[name] >= wanted[name]!) &&
    (role === undefined || status.role === role) &&
    (leader === undefined || (status.leader !== undefined) === leader);
}

interface Waiting {
  /** Looks, and is done when it holds, or when looking fails. */
  look(status: RaftStatus): void;
  fail(error: unknown): void;
}

/** All who wait at one server. */
export class Waits {
  readonly #status: () => RaftStatus;
  readonly #waiting = new Set<Waiting>();
  #closed = false;

  /** Takes where to look. */
  constructor(status: () => RaftStatus) {
    this.#status = status;
  }

  /** See {@linkcode Raft.wait}. */
  async until(condition: WaitCondition, options?: WaitOptions): Promise<RaftStatus> {
    const signal = signalOf("wait", options);
    const predicate = predicateOf(condition);
    signal?.throwIfAborted();
    if (this.#closed) throw new ShutdownError();
    const { promise, resolve, reject } = Promise.withResolvers<RaftStatus>();
    const waiting: Waiting = {
      look: (status) => {
        try {
          if (!predicate(status)) return;
          this.#waiting.delete(waiting);
          resolve(status);
        } catch (error) {
          waiting.fail(error);
        }
      },
      fail: (error) => {
        this.#waiting.delete(waiting);
        reject(error);
      },
    };
    const onAbort = () => waiting.fail(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(waiting);
    waiting.look(this.#status());
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Waits until it holds, so many milliseconds have passed, or the server ends; rejects only by the signal. */
  async within(
    holds: () => boolean,
    ms: number,
    environment: Pick<Environment, "setTimeout" | "clearTimeout">,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    let isOver = false;
    const timer = environment.setTimeout(() => {
      isOver = true;
      this.look();
    }, ms);
    try {
      await this.until(() => isOver || holds(), signal === undefined ? {} : { signal });
    } catch (error) {
      if (!(error instanceof ShutdownError)) throw error;
    } finally {
      environment.clearTimeout(timer);
    }
  }

  /** Something may have changed. Costs nothing while nobody waits. */
  look(): void {
    if (this.#waiting.size === 0) return;
    const status = this.#status();
    for (const waiting of [...this.#waiting]) waiting.look(status);
  }

  /** Nothing changes any more: who waits is told. */
  close(): void {
    this.#closed = true;
    for (const waiting of [...this.#waiting]) waiting.fail(new ShutdownError());
  }
}
