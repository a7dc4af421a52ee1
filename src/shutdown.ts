/**
 * How a server ends: as its user says, after its callers have their answers or at once, or as it can't go on.
 *
 * @module
 */
import { signalOf } from "./checks.ts";
import type { Driver } from "./driver/driver.ts";
import type { Environment } from "./driver/environment.ts";
import { type LeaderHint, type RaftError, ShutdownError } from "./errors.ts";
import type { EventHub } from "./events.ts";
import type { Operator } from "./operator.ts";
import type { RaftSettings } from "./options.ts";
import { closeAll, type Closers } from "./parts.ts";
import type { WaitOptions } from "./raft.ts";
import type { Sessions } from "./session.ts";
import { hasOtherVoters } from "./survey.ts";
import type { Waits } from "./wait.ts";

/** What ends with a server. */
export interface ShutdownParts {
  readonly driver: Pick<Driver<never, never>, "calls" | "configuration" | "leader" | "state" | "stop" | "transfer">;
  readonly operator: Operator;
  readonly sessions: Pick<Sessions<never, never>, "close">;
  readonly waits: Waits;
  readonly events: EventHub;
  readonly closers: Closers;
  readonly settings: RaftSettings;
  readonly environment: Environment;
}

/** The end of one server, which comes once, for whatever reason. */
export class Shutdown {
  readonly #parts: ShutdownParts;
  /** See {@linkcode Raft.closed}. */
  readonly closed: Promise<RaftError | undefined>;
  #resolveClosed: (error: RaftError | undefined) => void = () => {};
  /** Set when it was asked for, or has begun. */
  #asked: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  /** While any of these is under way it takes no more commands and reads, and those under way end. */
  #drains = 0;
  /** Who led when it stopped. */
  #lastLeader: LeaderHint | undefined;
  #leftOver: (() => void) | undefined;
  readonly #end = new AbortController();

  /** Takes what is to end. */
  constructor(parts: ShutdownParts) {
    this.#parts = parts;
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
  }

  /** Aborted when the server stops, with what those calls are told that have done nothing yet. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** Whether the server does nothing any more. */
  get hasStopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** The leader that is followed now; nobody's when the server has stopped. */
  get leader(): LeaderHint | undefined {
    return this.hasStopped ? undefined : this.#parts.driver.leader;
  }

  /** Whether other servers are without a leader when this one goes. */
  get #isMissed(): boolean {
    const { driver } = this.#parts;
    return !this.hasStopped && driver.state.role === "leader" && hasOtherVoters(driver);
  }

  /** For calls that a server answers until it is told to end. */
  throwIfAsked(): void {
    if (this.#asked !== undefined) throw new ShutdownError();
  }

  /** For calls that it takes no more when it drains, either; names who takes them. */
  throwIfDraining(): void {
    if (this.#asked === undefined && this.#drains === 0) return;
    throw new ShutdownError("not-applied", undefined, this.leader ?? this.#lastLeader);
  }

  /** See {@linkcode Raft.drain}. */
  async drain(options?: WaitOptions): Promise<void> {
    const signal = signalOf("drain", options);
    const { driver, operator, waits, settings, environment } = this.#parts;
    if (this.#isMissed) await operator.transfer(undefined, options);
    this.#drains++;
    try {
      const { calls: { pending } } = driver;
      await waits.within(() => pending.count === 0, settings.leaderWaitMs, environment, signal);
    } catch (error) {
      this.#drains--;
      throw error;
    }
    await this.ask();
  }

  /** See {@linkcode Raft.shutdown}. */
  ask(): Promise<void> {
    this.#asked ??= this.#handOver().then(() => this.stop(undefined));
    return this.#asked;
  }

  /** A leader that goes tells another one to lead, so that nobody has to wait for an election timeout. */
  async #handOver(): Promise<void> {
    if (!this.#isMissed) return;
    const { driver, settings, environment } = this.#parts;
    await new Promise<void>((resolve) => {
      const timer = environment.setTimeout(resolve, settings.shutdownTransferMs);
      this.#leftOver = () => {
        environment.clearTimeout(timer);
        resolve();
      };
      driver.transfer();
    });
    this.#leftOver = undefined;
  }

  /** This server leads no more, or nobody takes over. */
  onTransferOver(): void {
    this.#leftOver?.();
  }

  /** Stops everything, once, for whatever reason. */
  stop(error: RaftError | undefined): Promise<void> {
    this.#stopped ??= this.#close(error);
    return this.#stopped;
  }

  async #close(error: RaftError | undefined): Promise<void> {
    const { driver, sessions, waits, events, closers } = this.#parts;
    sessions.close();
    waits.close();
    this.#end.abort(error === undefined ? new ShutdownError() : new ShutdownError("not-applied", error));
    this.#asked ??= this.closed.then(() => {});
    this.#lastLeader = driver.leader?.id === driver.state.id ? undefined : driver.leader;
    const role = { type: "role", role: "shutdown", term: driver.state.term } as const;
    const stopped = driver.stop(error ?? new ShutdownError());
    this.#leftOver?.();
    if (error !== undefined) events.emit({ type: "fatal", error });
    events.emit({ ...role, reason: error === undefined ? "shutdown" : error.code });
    await stopped;
    await closeAll(closers);
    events.close();
    this.#resolveClosed(error);
  }
}
