/**
 * A client's session: every command is applied exactly once, however often it has to be sent (thesis §6.3).
 *
 * @module
 */
import { signalOf } from "./checks.ts";
import type { Applied } from "./driver/applier.ts";
import type { Environment } from "./driver/environment.ts";
import type { ProposalEntry } from "./driver/proposal.ts";
import { SESSION_WINDOW } from "./driver/session_table.ts";
import { LeadershipLostError, OverloadedError, RaftError, SessionExpiredError, ShutdownError } from "./errors.ts";
import type { Proposer } from "./proposer.ts";
import type { Session, WaitOptions } from "./raft.ts";
import { EntryType, type LogIndex } from "./types.ts";
import { type ClientBlock, encodeClientBlock, KEY_SESSION_MIN } from "./wire/client_block.ts";
import { RecordFlag } from "./wire/record.ts";
import { encodeLimits } from "./wire/session_codec.ts";

/** The limits of all sessions, see {@linkcode RaftSettings}. */
export interface SessionsSettings {
  readonly sessionTtlMs: number;
  readonly sessionsMax: number;
  readonly sessionsBytesMax: number;
}

/** All sessions that were opened on one server. */
export class Sessions<Command, Result> {
  readonly #proposer: Proposer<Command>;
  readonly #environment: Environment;
  readonly #settings: SessionsSettings;
  readonly #open = new Set<ClientSession<Command, Result>>();
  /** Those that are about to try again. */
  readonly #waits = new Set<() => void>();
  #isClosed = false;

  /** Takes what brings their commands into the log. */
  constructor(proposer: Proposer<Command>, environment: Environment, settings: SessionsSettings) {
    this.#proposer = proposer;
    this.#environment = environment;
    this.#settings = settings;
  }

  /** See {@linkcode Raft.session}. One whose opening got lost is forgotten when its time is over. */
  async open(signal: AbortSignal | undefined): Promise<Session<Command, Result>> {
    const { sessionTtlMs: ttlMs, sessionsMax: countMax, sessionsBytesMax: bytesMax } = this.#settings;
    const payload = encodeLimits({ ttlMs, countMax, bytesMax });
    const entry = marked({ type: EntryType.command, flags: 0, payload }, { session: 0, sequence: 0 });
    const host = { proposer: this.#proposer, environment: this.#environment, waits: this.#waits };
    const { applied } = await untilAnswered(host, entry, signal, () => !this.#isClosed);
    if (!applied.ok) throw applied.error;
    // The answer came with the end.
    if (this.#isClosed) throw new ShutdownError("unknown");
    const session: ClientSession<Command, Result> = new ClientSession(applied.value as number, ttlMs, {
      ...host,
      forget: () => this.#open.delete(session),
    });
    this.#open.add(session);
    return session;
  }

  /** The server stops. */
  close(): void {
    this.#isClosed = true;
    for (const session of this.#open) session.onShutdown();
    this.#open.clear();
    // Their callers are told now (K4).
    for (const end of this.#waits) end();
  }
}

/** An entry with a client block before its other extensions; as it is without one. */
export function marked(entry: ProposalEntry, block: ClientBlock | undefined): ProposalEntry {
  if (block === undefined) return entry;
  return { ...entry, flags: entry.flags | RecordFlag.client, extensions: encodeClientBlock(block, entry.extensions) };
}

/** The client block of a command that is known by a key: what the key's digest begins with. */
export async function keyBlock(key: string, { digest }: Pick<Environment, "digest">): Promise<ClientBlock> {
  if (typeof key !== "string" || key.length < 1 || key.length > 1_024) {
    throw new TypeError("Cannot apply the command as 'key' must be text of 1 to 1024 characters");
  }
  const { buffer, byteOffset } = await digest(new TextEncoder().encode(key));
  const view = new DataView(buffer, byteOffset);
  const part = (at: number) => (view.getUint32(at) & 0xf_ffff) * 2 ** 32 + view.getUint32(at + 4);
  return { session: KEY_SESSION_MIN + part(0), sequence: part(8) };
}

/** What a session needs of its server. */
interface SessionHost<Command> {
  readonly proposer: Proposer<Command>;
  readonly environment: Environment;
  /** Ends the waits between attempts. */
  readonly waits: Set<() => void>;
  /** It is closed. */
  forget(): void;
}

/** Waits between attempts, milliseconds. */
const backoffMinMs = 10;
const backoffMaxMs = 1_000;

/** One open session. */
class ClientSession<Command, Result> implements Session<Command, Result> {
  readonly id: number;
  readonly #host: SessionHost<Command>;
  readonly #keepAliveMs: number;
  #seenIndex: LogIndex = 0;
  #next = 1;
  /** Sequences that have no answer yet, ascending. */
  readonly #unanswered = new Set<number>();
  #usedAt: number;
  #timer: unknown;
  #ended: "no" | "closed" | "shutdown" = "no";

  constructor(id: number, ttlMs: number, host: SessionHost<Command>) {
    this.id = id;
    this.#host = host;
    this.#keepAliveMs = Math.max(1, Math.floor(ttlMs / 3));
    this.#usedAt = host.environment.now();
    this.#arm();
  }

  get seenIndex(): LogIndex {
    return this.#seenIndex;
  }

  async apply(command: Command, options?: WaitOptions): Promise<Result> {
    const signal = signalOf("apply the command", options);
    signal?.throwIfAborted();
    if (this.#ended === "shutdown") throw new ShutdownError();
    if (this.#ended === "closed") throw new SessionExpiredError(this.id);
    const entry = this.#host.proposer.encode(command);
    const [oldest = this.#next] = this.#unanswered;
    // An answer is kept for so many commands: an older one may still be asked for.
    if (this.#next - oldest >= SESSION_WINDOW / 2) throw new OverloadedError(this.#unanswered.size, 0);
    const sequence = this.#next++;
    this.#unanswered.add(sequence);
    this.#usedAt = this.#host.environment.now();
    try {
      const block = { session: this.id, sequence };
      const { applied, index, isSentAgain } = await untilAnswered(
        this.#host,
        marked(entry, block),
        signal,
        () => this.#ended === "no",
        this.id,
      );
      this.#seenIndex = Math.max(this.#seenIndex, index);
      if (applied.ok) return applied.value as Result;
      const isForgotten = applied.error instanceof SessionExpiredError;
      throw isForgotten && isSentAgain ? new SessionExpiredError(this.id, "unknown") : applied.error;
    } finally {
      this.#unanswered.delete(sequence);
    }
  }

  /** Says that it is still in use, when it was not used for a while. */
  #arm(): void {
    const { environment } = this.#host;
    this.#timer = environment.setTimeout(() => {
      if (this.#ended !== "no") return;
      if (environment.now() - this.#usedAt >= this.#keepAliveMs) void this.#sendMark(new Uint8Array([1]));
      this.#arm();
    }, this.#keepAliveMs);
  }

  /** Best effort: if it is lost, the next one may not be. */
  #sendMark(payload: Uint8Array): Promise<void> {
    this.#usedAt = this.#host.environment.now();
    const entry = marked({ type: EntryType.command, flags: 0, payload }, { session: this.id, sequence: 0 });
    return this.#host.proposer.propose(() => entry, () => {}, undefined, this.id).catch(() => {});
  }

  async close(): Promise<void> {
    if (this.#ended !== "no") return;
    this.#end("closed");
    this.#host.forget();
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Sends an entry again as long as nobody knows what became of it: it is applied once, whatever arrives. */
async function untilAnswered<Command>(
  { proposer, environment, waits }: Pick<SessionHost<Command>, "proposer" | "environment" | "waits">,
  entry: ProposalEntry,
  signal: AbortSignal | undefined,
  goesOn: () => boolean,
  caller = 0,
): Promise<{ readonly applied: Applied; readonly index: LogIndex; readonly isSentAgain: boolean }> {
  let isSentAgain = false;
  for (let backoffMs = backoffMinMs;; backoffMs = Math.min(backoffMaxMs, backoffMs * 2)) {
    try {
      return {
        ...await proposer.propose(() => entry, ({ applied, index }) => ({ applied, index }), { signal }, caller),
        isSentAgain,
      };
    } catch (error) {
      if (!isWorthAnother(error) || !goesOn()) throw isSentAgain ? unknown(error) : error;
      // An attempt that is known to have left nothing is as if it had not been made.
      isSentAgain ||= (error as RaftError).outcome === "unknown";
    }
    await wait(environment, backoffMs, signal, waits);
  }
}

function wait(
  environment: Environment,
  ms: number,
  signal: AbortSignal | undefined,
  waits: Set<() => void>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      reject(signal!.reason);
      end();
    };
    const end = () => {
      environment.clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      waits.delete(end);
      resolve();
    };
    const timer = environment.setTimeout(end, ms);
    waits.add(end);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
  });
}

/** What became of the last attempt is not what became of the command where an earlier one may have been applied (K5). */
function unknown(error: unknown): unknown {
  if (!(error instanceof RaftError) || error.outcome === "unknown") return error;
  const { message, cause, leader } = error;
  if (error instanceof ShutdownError) return new ShutdownError("unknown", cause, leader);
  return new LeadershipLostError(`Cannot tell what became of the command, sent again: ${message}`, { leader });
}

/** Whether a later attempt may fare better. */
function isWorthAnother(error: unknown): boolean {
  const code = error instanceof RaftError ? error.code : undefined;
  return code === "not-leader" || code === "leadership-lost" || code === "overloaded" || code === "aborted-by-restore";
}
