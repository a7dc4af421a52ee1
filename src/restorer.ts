/**
 * The user's own snapshot into a running cluster: through the log, part by part, so that it is committed as any command is and
 * no server can be ahead of the others with it.
 *
 * @module
 */
import { checkObject, nameOf } from "./checks.ts";
import type { ProposalEntry, ProposalResult } from "./driver/proposal.ts";
import { AbortedByRestoreError, LeadershipLostError, ProtocolError, type RaftError } from "./errors.ts";
import { mark } from "./marks.ts";
import type { SnapshotMeta } from "./store/snapshot_store.ts";
import { EntryType, type LogIndex } from "./types.ts";
import { crc32c } from "./wire/crc32c.ts";
import { encodeRestoreEntry, RESTORE_HEAD_BYTES, type RestoreEntry } from "./wire/restore_codec.ts";
import { type OpenedSnapshot, openSnapshot } from "./wire/snapshot_reader.ts";

/** What a restore needs of its server. */
export interface RestoreHost {
  /** Proposes an entry, as long as this server leads. */
  propose(entry: ProposalEntry): Promise<ProposalResult>;
  /** Has an entry follow that nothing keeps from the log, as long as this server leads. */
  owe(entry: ProposalEntry): void;
  /** Any number. */
  readonly id: number;
  readonly commandBytesMax: number;
  /** Aborted when the server stops, with what who has done nothing yet is told. */
  readonly stopped: AbortSignal;
}

/** What tells whether the bytes are the snapshot that is meant. */
export type SnapshotIdentity = Pick<SnapshotMeta, "index" | "term" | "bytes" | "checksum">;

/** Parts wait for room as long as it takes others to make some, milliseconds. */
export const PART_WAIT_MS: number = 60_000;

/** Bytes of a part, at most. */
const partBytesMax = 256 << 10;

/** Parts that are on their way into the log at a time. */
const window = 8;

/**
 * Checks what is to be restored, as far as that can be seen before anything is read.
 *
 * @throws {TypeError} Names what is wrong and what it is.
 */
export function checkRestored(meta: unknown, stream: Partial<ReadableStream> | null | undefined): void {
  checkObject("restore", "the snapshot's meta", meta);
  if (typeof stream?.getReader === "function") return;
  throw new TypeError(`Cannot restore as the snapshot must be a ReadableStream, not ${nameOf(stream)}`);
}

/**
 * Restores every machine from this container, whose bytes come in pieces of any size. Nothing is changed before the last one was
 * verified.
 *
 * @returns The entry as of which the machines have that state.
 * @throws {ProtocolError} When the bytes are not that snapshot.
 */
export async function restoreThroughLog(
  host: RestoreHost,
  meta: SnapshotIdentity,
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<LogIndex> {
  const log = new RestoreLog(host);
  const source = new Source(stream);
  // A stream that gives nothing for long must not keep whoever gives up, or stops.
  const end = signal === undefined ? host.stopped : AbortSignal.any([signal, host.stopped]);
  const onAbort = () => void source.cancel(end.reason);
  end.addEventListener("abort", onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    const opened = await openSnapshot(() => source.next());
    checkOrigin(meta, opened);
    for await (const piece of opened.user) {
      await log.add(piece);
      signal?.throwIfAborted();
    }
    source.check(meta);
    await log.settled();
    signal?.throwIfAborted();
  } catch (error) {
    void source.cancel(error);
    log.giveUp();
    if (end.aborted) throw end.reason;
    throw error instanceof LeadershipLostError ? notBegun(error) : error;
  } finally {
    end.removeEventListener("abort", onAbort);
  }
  return await log.end(signal);
}

function checkOrigin(meta: SnapshotIdentity, { origin }: OpenedSnapshot): void {
  if (origin.index === meta.index && origin.term === meta.term) return;
  throw new ProtocolError(
    `Cannot restore the snapshot as it is the one of entry ${origin.index} of term ${origin.term}, not of entry ` +
      `${meta.index} of term ${meta.term}`,
  );
}

/** Its end was in no log, so its parts are nothing. */
function notBegun({ message, leader }: LeadershipLostError): RaftError {
  mark("restore-lost-its-leader");
  return new LeadershipLostError(`Cannot restore: ${message}`, { outcome: "not-applied", leader });
}

/** The user's stream, counted. */
class Source {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #bytes = 0;
  #checksum = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  async next(): Promise<Uint8Array> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return new Uint8Array(0);
      if (!(value instanceof Uint8Array)) throw new TypeError("Cannot restore as the stream must give Uint8Array");
      this.#bytes += value.length;
      this.#checksum = crc32c(value, 0, value.length, this.#checksum);
      if (value.length > 0) return value;
    }
  }

  check({ bytes, checksum }: SnapshotIdentity): void {
    if (this.#bytes === bytes && this.#checksum === checksum) return;
    throw new ProtocolError(
      `Cannot restore the snapshot as it has ${this.#bytes} bytes with the checksum ${this.#checksum}, not ${bytes} with ` +
        `${checksum}`,
    );
  }

  async cancel(reason: unknown): Promise<void> {
    await this.#reader.cancel(reason).catch(() => {});
  }
}

/** The parts of one restore, in order. */
class RestoreLog {
  readonly #host: RestoreHost;
  readonly #partBytes: number;
  #count = 0;
  #first: Promise<ProposalResult> | undefined;
  #underWay: Promise<void>[] = [];
  #problem: { readonly error: unknown } | undefined;

  constructor(host: RestoreHost) {
    this.#host = host;
    this.#partBytes = Math.max(1, Math.min(partBytesMax, host.commandBytesMax) - RESTORE_HEAD_BYTES);
  }

  /** Done when there is room for more. */
  async add(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += this.#partBytes) {
      this.#send(bytes.subarray(at, at + this.#partBytes));
      if (this.#underWay.length >= window) await this.#underWay.shift();
      if (this.#problem !== undefined) throw this.#problem.error;
    }
  }

  #send(bytes: Uint8Array): void {
    const part = this.#propose({ kind: "part", sequence: this.#count++, bytes });
    this.#first ??= part;
    this.#underWay.push(
      part.then(({ applied, index, term }) => {
        if (applied.ok && applied.value === true) return;
        const message = "Cannot restore as another restore was begun, or another leader";
        throw new AbortedByRestoreError(message, { outcome: "not-applied", index, term });
      }).catch((error) => void (this.#problem ??= { error })),
    );
  }

  #propose(entry: Omit<RestoreEntry, "id">): Promise<ProposalResult> {
    return this.#host.propose(this.#entry(entry));
  }

  #entry(entry: Omit<RestoreEntry, "id">): ProposalEntry {
    return { type: EntryType.restore, flags: 0, payload: encodeRestoreEntry({ ...entry, id: this.#host.id }) };
  }

  /** All parts are in the log and applied, that is, noted. */
  async settled(): Promise<void> {
    // Also a machine without any bytes has a first part.
    if (this.#count === 0) this.#send(new Uint8Array(0));
    await Promise.all(this.#underWay);
    if (this.#problem !== undefined) throw this.#problem.error;
  }

  /**
   * Nobody has to keep the parts any more: as long as it is not said, no server takes a snapshot. Where the first one was
   * refused none of them counts, and where its leader was lost the next one's first entry says the same.
   */
  giveUp(): void {
    const entry = this.#entry({ kind: "given-up", sequence: 0, bytes: new Uint8Array(0) });
    this.#first?.then(() => this.#host.owe(entry), () => {});
  }

  async end(signal: AbortSignal | undefined): Promise<LogIndex> {
    const ended = this.#propose({ kind: "end", sequence: this.#count, bytes: new Uint8Array(0) });
    // Whoever waited for it may have gone.
    ended.catch(() => this.giveUp());
    const { applied, index } = await waited(ended, signal);
    if (!applied.ok) throw applied.error;
    return index;
  }
}

/** Ends the waiting with the signal, never what is waited for. */
function waited<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
