/**
 * A disk that is a store in memory: writes take time and are durable as a whole or not at all.
 *
 * @module
 */
import { memoryStore } from "../../../store/memory.ts";
import type { Store, StoreFactory, StoreWrite } from "../../../store/store.ts";
import type { ServerId } from "../../../types.ts";
import { applyWrite, cloneView, emptyView, viewOf } from "../disk_view.ts";
import type { Random } from "../random.ts";
import type { Operations, Storage, StorageTap } from "../storage.ts";
import type { DiskView } from "../view.ts";

/** See {@linkcode Storage}. */
export class MemoryDisk implements Storage {
  view: DiskView = emptyView();
  readonly hasUnsynced = false;
  readonly faults = undefined;
  readonly #id: ServerId;
  readonly #store: Store;
  readonly #operations: Operations;
  readonly #random: Random;
  readonly #tap: StorageTap;
  #inFlight: StoreWrite | undefined;

  /** An empty one. */
  constructor(id: ServerId, operations: Operations, random: Random, tap: StorageTap) {
    this.#id = id;
    this.#operations = operations;
    this.#random = random;
    this.#tap = tap;
    this.#store = memoryStore({ random: () => `disk of ${id}` });
  }

  factory(): StoreFactory {
    const store = this.#store;
    const delayed: Store = {
      open: (serverId) => store.open(serverId),
      write: async (write) => {
        this.#inFlight = write;
        await this.#operations.later("write");
        this.#apply();
        this.#tap.onDurable(write);
      },
      read: async (from, end, bytesMax) => {
        await this.#operations.later("read");
        return await store.read(from, end, bytesMax);
      },
      close: () => store.close(),
    };
    return { open: () => Promise.resolve(delayed) };
  }

  crash(): void {
    this.#operations.end();
    this.view = cloneView(this.view);
    if (this.#inFlight !== undefined && this.#random.chance(0.5)) this.#apply();
    this.#inFlight = undefined;
    this.#store.close();
  }

  async recover(): Promise<DiskView> {
    await this.#store.close();
    const view = await viewOf(this.#store, await this.#store.open(this.#id));
    await this.#store.close();
    return view;
  }

  examine(): void {
    // The store is the view, but for its form.
  }

  #apply(): void {
    this.#store.write(this.#inFlight!);
    applyWrite(this.view, this.#inFlight!);
    this.#inFlight = undefined;
  }
}
