/**
 * Takes snapshots of the machine: when it is time, or somebody asks.
 *
 * @module
 */
import { configurationAt } from "../core/membership.ts";
import { termAt } from "../core/term_index.ts";
import { InvariantError, NoSnapshotsError, NothingNewToSnapshotError, ShutdownError } from "../errors.ts";
import type { StateMachine } from "../machine.ts";
import { mark } from "../marks.ts";
import type { SnapshotMeta, SnapshotSink, SnapshotStore } from "../store/snapshot_store.ts";
import type { LogIndex } from "../types.ts";
import { encodeSnapshot, type SnapshotContent } from "../wire/snapshot.ts";
import type { Applier } from "./applier.ts";
import { reasonOf, type SnapshotHost } from "./snapshot_host.ts";
import { Pacer } from "./waker.ts";

/** When a snapshot is due, see {@linkcode RaftSettings}. */
export interface SnapshotterSettings {
  readonly snapshotThreshold: number;
  readonly snapshotThresholdBytes: number;
  readonly snapshotIntervalMs: number;
}

const retryMinMs = 1_000;
const retryMaxMs = 60_000;

/** One machine's only taker of snapshots: one at a time. */
export class Snapshotter<Command, Result> {
  readonly #machine: StateMachine<Command, Result>;
  readonly #store: SnapshotStore;
  readonly #applier: Applier<Command, Result>;
  readonly #host: SnapshotHost;
  readonly #settings: SnapshotterSettings;
  readonly #pacer: Pacer;
  #running: Promise<SnapshotMeta> | undefined;
  #rejectCapture: ((error: unknown) => void) | undefined;
  #timer: unknown;
  #closed = false;
  readonly #closing = Promise.withResolvers<never>();
  /** The last entry in the last one that was taken: the core hears of it in the next turn only. */
  #takenIndex: LogIndex = 0;
  /** What had been applied, in bytes, when the last snapshot was taken … */
  #bytesBefore = 0;
  /** … and when the machine was last asked for one, which may have come to nothing. */
  #bytesCaptured = 0;
  #retryMs = retryMinMs;
  #retryAt = -Infinity;

  /** Takes the machine, by way of its only caller. */
  constructor(
    machine: StateMachine<Command, Result>,
    store: SnapshotStore,
    applier: Applier<Command, Result>,
    host: SnapshotHost,
    settings: SnapshotterSettings,
  ) {
    this.#machine = machine;
    this.#store = store;
    this.#applier = applier;
    this.#host = host;
    this.#settings = settings;
    this.#pacer = new Pacer(host.environment);
    this.#closing.promise.catch(() => {});
  }

  /** Looks from now on, now and then, whether a snapshot is due. */
  start(): void {
    if (this.#machine.snapshot !== undefined) this.#arm();
  }

  /**
   * Takes a snapshot, after the one that is being taken, if any; done when it is durable.
   *
   * @throws {NothingNewToSnapshotError} When the last one has all that is applied, and is there.
   */
  take(): Promise<SnapshotMeta> {
    const next = () => this.#take();
    const running = this.#running === undefined ? next() : this.#running.then(next, next);
    this.#running = running;
    const end = () => {
      if (this.#running === running) this.#running = undefined;
    };
    running.then(end, end);
    return running;
  }

  /** Takes no more; what is being taken is given up. Done when that is. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#host.environment.clearTimeout(this.#timer);
    this.#pacer.close();
    this.#rejectCapture?.(new ShutdownError());
    this.#closing.reject(new ShutdownError());
    await this.#running?.catch(() => {});
  }

  /** Waits anew, for the interval that is in force now. */
  rearm(): void {
    if (this.#timer === undefined || this.#closed) return;
    this.#host.environment.clearTimeout(this.#timer);
    this.#arm();
  }

  #arm(): void {
    const { environment } = this.#host;
    const { snapshotIntervalMs } = this.#settings;
    // Not the same on all servers, or all of them would be busy with snapshots at the same time.
    const waitMs = snapshotIntervalMs * (1 + environment.randomSeed() % 1024 / 1024);
    this.#timer = environment.setTimeout(() => this.#onTimer(), waitMs);
  }

  #onTimer(): void {
    if (this.#closed) return;
    this.#arm();
    if (this.#running !== undefined || !this.#isDue()) return;
    this.take().then(() => this.#retryMs = retryMinMs, (error) => this.#onFailure(error));
  }

  /** The last entry in the last snapshot, our own or a leader's. */
  get #lastIndex(): LogIndex {
    return Math.max(this.#host.state.snapshot.index, this.#takenIndex);
  }

  /** Counts from the last snapshot, our own or a leader's; what is not applied cannot be in one (P16). */
  #isDue(): boolean {
    if (this.#host.environment.now() < this.#retryAt) return false;
    const entries = this.#applier.appliedIndex - this.#lastIndex;
    if (entries <= 0) return false;
    const { snapshotThreshold, snapshotThresholdBytes } = this.#settings;
    if (entries < snapshotThreshold) {
      if (this.#applier.appliedBytes - this.#bytesBefore < snapshotThresholdBytes) return false;
      mark("snapshot-due-for-bytes");
    }
    if (this.#applier.isRestoring) mark("snapshot-waited-for-restore");
    return !this.#applier.isRestoring;
  }

  /** Consensus goes on without a snapshot: the log is longer meanwhile, that is all. */
  #onFailure(error: unknown): void {
    if (this.#closed || error instanceof NothingNewToSnapshotError) return;
    const reason = reasonOf(error);
    this.#host.warn(`Cannot take a snapshot: ${reason}`);
    this.#host.emit({ type: "snapshot-failed", operation: "take", peer: undefined, reason });
    this.#retryAt = this.#host.environment.now() + this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, retryMaxMs);
  }

  async #take(): Promise<SnapshotMeta> {
    // The machine itself may have asked, in the middle of applying an entry.
    await undefined;
    const isLost = this.#applier.appliedIndex === this.#lastIndex && await this.#isLastLost();
    const captured = await this.#capture(isLost);
    const { origin } = captured;
    const user = this.#readable(captured.user);
    let sink: SnapshotSink | undefined;
    let meta: SnapshotMeta;
    try {
      sink = await this.#store.create(origin);
      // One piece at a time: the machine is read no faster than the disk writes.
      for await (const piece of encodeSnapshot({ ...captured, user })) {
        if (this.#closed) throw new ShutdownError();
        await sink.write(piece);
        await this.#pacer.pause();
      }
      if (this.#closed) throw new ShutdownError();
      meta = await sink.close();
    } catch (error) {
      if (sink === undefined) await user.cancel(error).catch(() => {});
      else await sink.abort().catch(() => {});
      throw error;
    }
    const { index, term, bytes } = meta;
    this.#takenIndex = index;
    this.#bytesBefore = this.#bytesCaptured;
    this.#host.enqueue({ type: "snapshot-persisted", index, term });
    this.#host.emit({ type: "snapshot-taken", index, term, bytes });
    return meta;
  }

  /** The machine's stream, which must not keep a shutdown waiting: it ends when this snapshotter is closed. */
  #readable(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = stream.getReader();
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const { done, value } = await Promise.race([reader.read(), this.#closing.promise]);
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
  }

  /**
   * Whether the last snapshot was found damaged, or is gone: the machine still has all that was in it, and the log may have
   * it no more, so that another one is taken even where nothing has happened since.
   */
  async #isLastLost(): Promise<boolean> {
    const index = this.#lastIndex;
    return !(await this.#store.list()).some((meta) => meta.index >= index);
  }

  /** What the machine holds between two entries, so that it is exactly what the log up to there makes of it (BS14). */
  #capture(isLost: boolean): Promise<SnapshotContent> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new ShutdownError();
      this.#rejectCapture = reject;
      this.#applier.whenFree(() => {
        try {
          if (!this.#closed) resolve(this.#captureNow(isLost));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #captureNow(isLost: boolean): SnapshotContent {
    const { state, beginning } = this.#host;
    const last = this.#lastIndex;
    const { appliedIndex: index, appliedTimeMs: timeMs, appliedBytes } = this.#applier;
    if (this.#applier.isRestoring) throw new NoSnapshotsError("a restore is under way: take one when it is over");
    if (index < last || (index === last && !isLost)) throw new NothingNewToSnapshotError(index);
    const term = termAt(state.log, index);
    const configuration = configurationAt(state, index);
    if (term === undefined || configuration === undefined) {
      throw new InvariantError(`what is known of entry ${index}, which was just applied, must be its term`);
    }
    const { index: configurationIndex, configuration: servers } = configuration;
    const user = this.#machine.snapshot!();
    this.#bytesCaptured = appliedBytes;
    const sessions = this.#applier.sessions.capture();
    const origin = { index, term, configuration: servers, configurationIndex, timeMs };
    return { origin, beginning: beginning.of(state.configurations), sessions, user };
  }
}
