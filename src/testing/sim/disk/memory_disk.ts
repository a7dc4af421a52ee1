/**
 * A disk that is a store in memory: writes take time and are durable as a whole or not at all.
 *
 * @module
 */
import { memoryStore } from "../../../store/memory.ts";
import { memorySnapshotStore } from "../../../store/memory_snapshots.ts";
import type { SnapshotStore } from "../../../store/snapshot_store.ts";
import type { Store, StoreFactory, StoreWrite } from "../../../store/store.ts";
import type { LogIndex, ServerId } from "../../../types.ts";
import { applyWrite, cloneView, emptyView, viewOf } from "../disk_view.ts";
import type { Random } from "../random.ts";
import type { DiskBehaviour, Operations, Storage, StorageTap } from "../storage.ts";
import type { DiskView } from "../view.ts";
import { MemoryFaults } from "./memory_faults.ts";

/** See {@linkcode Storage}. */
export class MemoryDisk implements Storage {
  view: DiskView = emptyView();
  readonly hasUnsynced = false;
  readonly faults: MemoryFaults;
  readonly #id: ServerId;
  #store: Store;
  readonly #operations: Operations;
  readonly #random: Random;
  readonly #tap: StorageTap;
  #snapshots: SnapshotStore | undefined;
  #wiped = 0;
  #isOpen = false;
  /** Where the log begins. */
  #firstIndex: LogIndex = 1;
  #inFlight: StoreWrite | undefined;
  readonly #looksUp: boolean;

  /** An empty one. */
  constructor(id: ServerId, operations: Operations, random: Random, tap: StorageTap, behaviour: DiskBehaviour) {
    this.#id = id;
    this.#operations = operations;
    this.#random = random;
    this.#tap = tap;
    this.faults = new MemoryFaults(operations, () => this.#wipe());
    this.#store = memoryStore({ random: () => `disk of ${id}` });
    this.#looksUp = behaviour.points?.includes("snapshot-lookup") === true;
    if (behaviour.keepsSnapshots === true) this.#snapshots = memorySnapshotStore();
  }

  get operations(): number {
    return this.#operations.count;
  }

  factory(): StoreFactory {
    const store = this.#store;
    const snapshots = this.#snapshots;
    const delayed: Store = {
      isDurable: false,
      open: (serverId) => {
        this.#isOpen = true;
        return store.open(serverId);
      },
      write: async (write) => {
        this.#inFlight = write;
        // A snapshot takes the log's place.
        const isInstall = (write.compactTo?.firstIndex ?? 0) > this.view.log.last + 1;
        await (isInstall ? this.#operations.laterAt("install", "write") : this.#operations.later("write"));
        this.#apply();
        this.#tap.onDurable(write);
      },
      read: async (from, end, bytesMax) => {
        await this.#operations.later("read");
        return await store.read(from, end, bytesMax);
      },
      close: () => {
        this.#isOpen = false;
        return store.close();
      },
    };
    const open = () => Promise.resolve(delayed);
    if (snapshots === undefined) return { open };
    return { open, snapshots: { open: () => Promise.resolve(this.#slow(snapshots)) } };
  }

  /** Snapshots that take time, too, and are there as a whole or not at all. */
  #slow(snapshots: SnapshotStore): SnapshotStore {
    return {
      isDurable: snapshots.isDurable,
      damaged: snapshots.damaged,
      open: () => snapshots.open(),
      create: async (origin) => {
        const sink = await snapshots.create(origin);
        return {
          id: sink.id,
          get bytes() {
            return sink.bytes;
          },
          write: async (chunk) => {
            await this.#operations.later("write");
            await sink.write(chunk);
          },
          close: async (expected) => {
            await this.#operations.laterAt("snapshot-close", "write");
            const meta = await sink.close(expected);
            this.view.snapshot = Math.max(this.view.snapshot, meta.index);
            return meta;
          },
          abort: () => sink.abort(),
        };
      },
      list: async () => {
        // Where that takes no time at all it must not take a turn either.
        if (this.#looksUp) await this.#operations.laterAt("snapshot-lookup", "read");
        return await snapshots.list();
      },
      read: async (id, offset, bytesMax) => {
        await this.#operations.later("read");
        return await snapshots.read(id, offset, bytesMax);
      },
      verify: (id) => snapshots.verify(id),
      hold: (id) => snapshots.hold(id),
      remove: (id) => snapshots.remove(id),
      close: () => snapshots.close(),
    };
  }

  crash(): void {
    this.#isOpen = false;
    this.#operations.end();
    this.view = cloneView(this.view);
    if (this.#inFlight !== undefined && this.#random.chance(0.5)) this.#apply();
    this.#inFlight = undefined;
    this.#store.close();
    this.#snapshots?.close();
  }

  /** Another disk, with nothing on it. */
  #wipe(): void {
    const incarnation = `disk of ${this.#id}, ${++this.#wiped}`;
    this.view = emptyView();
    this.#firstIndex = 1;
    this.#store = memoryStore({ random: () => incarnation });
    if (this.#snapshots !== undefined) this.#snapshots = memorySnapshotStore();
  }

  async recover(): Promise<DiskView> {
    await this.#store.close();
    const view = await viewOf(this.#store, await this.#store.open(this.#id), this.#tap.prefix);
    await this.#store.close();
    return { ...view, snapshot: this.view.snapshot };
  }

  /** Whether the store holds what it was given; what it has while nobody has it open, its next start says. */
  examine(): void {
    if (!this.#isOpen) return;
    const said = cloneView(this.view);
    void this.#examine(said, this.#firstIndex).then((found) => this.#tap.onExamined(said, found));
  }

  async #examine(said: DiskView, from: LogIndex): Promise<DiskView | Error> {
    const log = this.#tap.prefix(from - 1);
    try {
      const { last } = said.log;
      if (last >= from) { for (const records of await this.#store.read(from, last + 1, Infinity)) log.append(records); }
      return { ...said, log };
    } catch (error) {
      return error as Error;
    }
  }

  #apply(): void {
    this.#store.write(this.#inFlight!);
    this.#firstIndex = this.#inFlight!.compactTo?.firstIndex ?? this.#firstIndex;
    applyWrite(this.view, this.#inFlight!, this.#tap.prefix);
    this.#inFlight = undefined;
  }
}
