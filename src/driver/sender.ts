/**
 * Cuts appends from the log and sends them.
 *
 * @module
 */
import type { Effect } from "../core/effect.ts";
import type { Event } from "../core/event.ts";
import { DamagedEntryError, EntryNotFoundError, InvariantError } from "../errors.ts";
import { mark } from "../marks.ts";
import type { LogCache } from "../store/log_cache.ts";
import type { Store } from "../store/store.ts";
import { byteLengthOf } from "../wire/bytes.ts";
import type { LogIndex, ServerId, Term } from "../types.ts";
import { encodeMessage } from "../wire/message_codec.ts";
import type { Records } from "../wire/record.ts";

/** What the core asks a sender for. */
export type Replicate = Extract<Effect, { type: "replicate" }>;

/** What a sender needs of its driver. */
export interface SenderHost {
  /** Whether the log has this entry still. */
  holds(index: LogIndex): boolean;
  /** Whether the core still leads in this term; asked again after each wait. */
  isLeading(term: Term): boolean;
  /** Whether there is a connection to that peer. */
  isConnected(to: ServerId): boolean;
  /** Whether that peer can be told that it is bound by no lease. */
  knowsLeases(to: ServerId): boolean;
  /**
   * Hands a frame to the transport; false when it was not taken.
   *
   * @param checkedBytes How many leading bytes have no checksum of their own.
   */
  transmit(to: ServerId, parts: readonly Uint8Array[], checkedBytes: number): boolean;
  /** The disk could not give an entry. */
  onDamage(error: DamagedEntryError): void;
  /** Tells the core. */
  report(event: Extract<Event, { type: "sent" | "send-failed" }>): void;
  /** The log can't be read. */
  onFailure(error: unknown): void;
}

/** Sends appends to all peers; entries come from memory, or from disk for a peer that is far behind. */
export class Sender {
  readonly #cache: LogCache;
  readonly #store: Store;
  readonly #host: SenderHost;

  /** Takes the tail in memory and the store behind it. */
  constructor(cache: LogCache, store: Store, host: SenderHost) {
    this.#cache = cache;
    this.#store = store;
    this.#host = host;
  }

  /** Sends now when the entries are in memory, else when they were read. */
  replicate(request: Replicate): void {
    const { to, term, sequence, from, end, entriesMax, bytesMax } = request;
    if (from >= end) return this.#send(request, []);
    const records = this.#cache.read(from, end, entriesMax, bytesMax);
    if (records !== undefined) return this.#send(request, records);
    // For a peer that is down for long the disk would be read with every heartbeat.
    if (!this.#host.isConnected(to)) return this.#host.report({ type: "send-failed", to, term, sequence });
    this.#readAndSend(request).catch((error) => this.#host.onFailure(error));
  }

  async #readAndSend(request: Replicate): Promise<void> {
    const { from, end, entriesMax, bytesMax } = request;
    // What memory holds may not be written yet: an entry that it has replaced would still be read (L8).
    const stop = Math.min(end, from + entriesMax, this.#cache.firstIndex);
    const records = await this.#read(request, stop, bytesMax);
    if (records === undefined) return;
    // While the disk was read the world may have changed: entries of another leader may stand there now (BA01, L8).
    if (!this.#host.isLeading(request.term)) return mark("append-read-in-vain");
    mark("append-read-from-disk");
    // Nothing, or what stands elsewhere, must not leave as if it followed the previous entry (BL12).
    if (records[0]?.from !== from) throw new InvariantError(`the store must give entry ${from} when asked for it`);
    this.#send(request, records);
  }

  /**
   * Undefined when the entries went while they were read, with a leadership or into a snapshot (which is then what the
   * peer needs, as the core is going to notice), or when the entry is damaged.
   */
  async #read(
    { from, to, term, sequence }: Replicate,
    stop: LogIndex,
    bytesMax: number,
  ): Promise<readonly Records[] | undefined> {
    try {
      return await this.#store.read(from, stop, bytesMax);
    } catch (error) {
      const isGone = error instanceof EntryNotFoundError && !this.#host.isLeading(term);
      if (this.#host.holds(from) && !isGone && !(error instanceof DamagedEntryError)) throw error;
      this.#host.report({ type: "send-failed", to, term, sequence });
      if (error instanceof DamagedEntryError && this.#host.holds(from)) this.#host.onDamage(error);
      return undefined;
    }
  }

  #send(request: Replicate, records: readonly Records[]): void {
    const { to, term, sequence, prevTerm, from, commitIndex, round, isLeased } = request;
    const end: LogIndex = records.length === 0 ? from : records[records.length - 1]!.end;
    const head = encodeMessage({
      type: "append-request",
      term,
      sequence,
      prevIndex: from - 1,
      prevTerm,
      end,
      // The receiver finds these in the records themselves.
      runs: [],
      configurations: [],
      commitIndex,
      round,
      isLeased: isLeased || !this.#host.knowsLeases(to),
    });
    const parts = head.slice();
    let bytes = 0;
    for (const run of records) {
      parts.push(run.bytes);
      bytes += run.byteLength;
    }
    // The receiver verifies records by their own checksums: a second one over them would find nothing more.
    if (this.#host.transmit(to, parts, byteLengthOf(head))) {
      this.#host.report({ type: "sent", to, term, sequence, end, bytes });
    } else {
      this.#host.report({ type: "send-failed", to, term, sequence });
    }
  }
}
