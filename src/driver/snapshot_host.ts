/**
 * What those that take, send and receive snapshots need of their driver.
 *
 * @module
 */
import type { Event } from "../core/event.ts";
import type { CoreState } from "../core/state.ts";
import type { RaftEvent } from "../events.ts";
import type { SnapshotMeta } from "../store/snapshot_store.ts";
import type { Term } from "../types.ts";
import type { Beginning } from "./beginning.ts";
import type { Environment } from "./environment.ts";
import type { Peers } from "./peers.ts";

/** The driver, as snapshots see it. */
export interface SnapshotHost {
  readonly environment: Environment;
  readonly peers: Peers;
  /** What the core knows now. */
  readonly state: Readonly<CoreState>;
  readonly beginning: Beginning;
  /** The latest term that is on disk: no message claims a later one (E4). */
  durableTerm(): Term;
  /** Steps the core in the next turn; with the snapshot, when it was received. */
  enqueue(event: Event, snapshot?: SnapshotMeta): void;
  /** Tells whoever watches. */
  emit(event: RaftEvent): void;
  /** Tells whoever reads the log. */
  warn(message: string): void;
}

/** For the end of a sentence. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Milliseconds between two reports of how far a transfer has come. */
const reportMs = 1_000;

/** Tells how far a transfer has come: at its beginning, now and then, and at its end. */
export class Progress {
  readonly #host: SnapshotHost;
  readonly #about: { readonly direction: "sending" | "receiving"; readonly peer: string; readonly index: number };
  readonly #total: number;
  #toldAt = -Infinity;
  #toldBytes = -1;

  /** Takes what the transfer is about. */
  constructor(
    host: SnapshotHost,
    about: { readonly direction: "sending" | "receiving"; readonly peer: string; readonly index: number },
    total: number,
  ) {
    this.#host = host;
    this.#about = about;
    this.#total = total;
  }

  /** So many bytes have arrived. */
  tell(bytes: number): void {
    const now = this.#host.environment.now();
    if (bytes === this.#toldBytes || (bytes < this.#total && now - this.#toldAt < reportMs)) return;
    this.#toldAt = now;
    this.#toldBytes = bytes;
    this.#host.emit({ type: "snapshot-progress", ...this.#about, bytes, total: this.#total });
  }
}
