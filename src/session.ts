/**
 * A client's session: every command is applied exactly once, however often it has to be sent (thesis §6.3).
 *
 * @module
 */
import type { Environment } from "./driver/environment.ts";
import type { ProposalResult } from "./driver/proposal.ts";
import { SESSION_WINDOW } from "./driver/session_table.ts";
import { OverloadedError, RaftError, SessionExpiredError, ShutdownError } from "./errors.ts";
import type { ApplyOptions, Session } from "./raft.ts";
import { EntryType } from "./types.ts";
import { encodeClientBlock } from "./wire/client_block.ts";

/** What a session proposes. */
export interface SessionEntry {
  readonly type: EntryType;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly extensions?: Uint8Array;
}

/** What a session needs of its server. */
export interface SessionHost<Command> {
  readonly environment: Environment;
  /** Encodes a command. */
  encode(command: Command): SessionEntry;
  /** Proposes an entry; rejects as `apply` does. */
  propose(entry: SessionEntry, signal: AbortSignal | undefined): Promise<ProposalResult>;
  /** The session is closed. */
  forget(session: ClientSession<Command, unknown>): void;
}

/** The entry carries a client block; see RecordFlag. */
const clientFlag = 2;

/** Waits between attempts, milliseconds. */
const backoffMinMs = 10;
const backoffMaxMs = 1_000;

/** One open session. */
export class ClientSession<Command, Result> implements Session<Command, Result> {
  readonly id: number;
  readonly #host: SessionHost<Command>;
  readonly #keepAliveMs: number;
  #next = 1;
  /** Sequences that have no answer yet, ascending. */
  readonly #open = new Set<number>();
  #usedAt: number;
  #timer: unknown;
  #ended: "no" | "closed" | "shutdown" = "no";

  /** Takes the number under which it was opened. */
  constructor(id: number, ttlMs: number, host: SessionHost<Command>) {
    this.id = id;
    this.#host = host;
    this.#keepAliveMs = Math.max(1, Math.floor(ttlMs / 3));
    this.#usedAt = host.environment.now();
    this.#arm();
  }

  async apply(command: Command, { signal }: ApplyOptions = {}): Promise<Result> {
    signal?.throwIfAborted();
    this.#throwIfEnded();
    const entry = this.#host.encode(command);
    const [oldest = this.#next] = this.#open;
    // An answer is kept for so many commands: an older one may still be asked for.
    if (this.#next - oldest >= SESSION_WINDOW / 2) throw new OverloadedError(this.#open.size, 0);
    const sequence = this.#next++;
    this.#open.add(sequence);
    try {
      return await this.#untilAnswered({ ...entry, ...this.#mark(entry.flags, sequence) }, signal);
    } finally {
      this.#open.delete(sequence);
    }
  }

  /** Sends it again as long as nobody knows what became of it: it is applied once. */
  async #untilAnswered(entry: SessionEntry, signal: AbortSignal | undefined): Promise<Result> {
    let backoffMs = backoffMinMs;
    let isSentAgain = false;
    while (true) {
      this.#usedAt = this.#host.environment.now();
      try {
        const { applied } = await this.#host.propose(entry, signal);
        if (applied.ok) return applied.value as Result;
        if (!(applied.error instanceof SessionExpiredError) || !isSentAgain) throw applied.error;
        throw new SessionExpiredError(this.id, "unknown");
      } catch (error) {
        if (!isWorthAnother(error) || this.#ended !== "no") throw error;
        // A failed attempt that is known to have left nothing is as if it had not been made.
        isSentAgain ||= (error as RaftError).outcome === "unknown";
      }
      await this.#wait(backoffMs, signal);
      backoffMs = Math.min(backoffMaxMs, backoffMs * 2);
    }
  }

  #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { environment } = this.#host;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        environment.clearTimeout(timer);
        reject(signal!.reason);
      };
      const timer = environment.setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
    });
  }

  #mark(flags: number, sequence: number): Pick<SessionEntry, "flags" | "extensions"> {
    return { flags: flags | clientFlag, extensions: encodeClientBlock({ session: this.id, sequence }) };
  }

  /** Says that it is still in use, when it was not used for a while. */
  #arm(): void {
    const { environment } = this.#host;
    this.#timer = environment.setTimeout(() => {
      if (this.#ended !== "no") return;
      if (environment.now() - this.#usedAt >= this.#keepAliveMs) this.#sendMark(new Uint8Array([1]));
      this.#arm();
    }, this.#keepAliveMs);
  }

  /** Best effort: if it is lost, the next one may not be. */
  #sendMark(payload: Uint8Array): Promise<void> {
    this.#usedAt = this.#host.environment.now();
    const entry = { type: EntryType.command, payload, ...this.#mark(0, 0) };
    return this.#host.propose(entry, undefined).then(() => {}, () => {});
  }

  async close(): Promise<void> {
    if (this.#ended !== "no") return;
    this.#end("closed");
    this.#host.forget(this);
    await this.#sendMark(new Uint8Array());
  }

  /** The server stops. */
  onShutdown(): void {
    if (this.#ended === "no") this.#end("shutdown");
  }

  #end(how: "closed" | "shutdown"): void {
    this.#ended = how;
    this.#host.environment.clearTimeout(this.#timer);
  }

  #throwIfEnded(): void {
    if (this.#ended === "shutdown") throw new ShutdownError();
    if (this.#ended === "closed") throw new SessionExpiredError(this.id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Whether a later attempt may fare better. */
function isWorthAnother(error: unknown): boolean {
  const code = error instanceof RaftError ? error.code : undefined;
  return code === "not-leader" || code === "leadership-lost" || code === "overloaded" || code === "aborted-by-restore";
}
