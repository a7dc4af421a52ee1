/**
 * What a server's disk is in a simulation: a store for each of its lives, and what a crash leaves of it.
 *
 * @module
 */
import { memoryStore } from "../../store/memory.ts";
import type { Store, StoreFactory, StoreState, StoreWrite } from "../../store/store.ts";
import { walStore } from "../../store/wal/wal_store.ts";
import type { LogIndex, ServerId } from "../../types.ts";
import type { Records } from "../../wire/record.ts";
import { type Choose, loseAll, MemoryFiles } from "../memory_files.ts";
import { ChainLog } from "./chain.ts";
import { Port } from "./queue.ts";
import type { Random } from "./random.ts";
import type { DiskView } from "./view.ts";
import type { World } from "./world.ts";

/** How disks behave in one run; times in microseconds. */
export interface DiskBehaviour {
  /** `wal`: the write-ahead log on simulated files; `memory`: a store whose writes take time, which is faster. */
  readonly store: "wal" | "memory";
  readonly latencyMin: number;
  readonly latencyMax: number;
  /** Operations that take up to `stallMax` instead. */
  readonly stallChance: number;
  readonly stallMax: number;
  readonly segmentBytes: number;
}

/** How a server's life ends: the process dies, or the machine loses power and with it what was not synced. */
export type CrashKind = "kill" | "power";

/** A server's disk. */
export interface Storage {
  /** The store of the next life. */
  factory(): StoreFactory;
  /** The life ends. */
  crash(kind: CrashKind): void;
  /** What is on the disk, found by the store's own recovery; with `durableOnly` as if power had been cut at this moment. */
  recover(durableOnly: boolean): Promise<DiskView>;
}

/** Storage as the behaviour says. */
export function openStorage(
  world: World,
  random: Random,
  server: number,
  id: ServerId,
  behaviour: DiskBehaviour,
): Storage {
  const latency = (): number => {
    const { latencyMin, latencyMax, stallChance, stallMax } = behaviour;
    return random.chance(stallChance)
      ? random.spread(latencyMin + 1, stallMax)
      : random.between(latencyMin, latencyMax);
  };
  let life = 0;
  const operations: Operations = {
    // What a dead process waits for never comes: its code must not go on beside that of the next life.
    later: (what) => {
      const mine = life;
      return new Promise<void>((resolve) => {
        world.schedule(server, Port.disk, latency(), `${id} ${what}`, () => {
          if (mine === life) resolve();
        });
      });
    },
    end: () => void life++,
  };
  return behaviour.store === "wal"
    ? new WalStorage(id, behaviour.segmentBytes, operations, random)
    : new MemoryStorage(id, operations, random);
}

/** Operations that take time. */
interface Operations {
  /** Resolves when one is done. */
  later(what: string): Promise<void>;
  /** None that is under way will ever be done. */
  end(): void;
}

class MemoryStorage implements Storage {
  readonly #id: ServerId;
  readonly #store: Store;
  readonly #operations: Operations;
  readonly #random: Random;
  #inFlight: StoreWrite | undefined;

  constructor(id: ServerId, operations: Operations, random: Random) {
    this.#id = id;
    this.#operations = operations;
    this.#random = random;
    this.#store = memoryStore({ random: () => `disk of ${id}` });
  }

  factory(): StoreFactory {
    const store = this.#store;
    const delayed: Store = {
      open: (serverId) => store.open(serverId),
      write: async (write) => {
        this.#inFlight = write;
        await this.#operations.later("write");
        store.write(write);
        this.#inFlight = undefined;
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
    if (this.#inFlight !== undefined && this.#random.chance(0.5)) this.#store.write(this.#inFlight);
    this.#inFlight = undefined;
    this.#store.close();
  }

  async recover(): Promise<DiskView> {
    await this.#store.close();
    const view = await viewOf(this.#store, await this.#store.open(this.#id));
    await this.#store.close();
    return view;
  }
}

class WalStorage implements Storage {
  readonly #id: ServerId;
  readonly #segmentBytes: number;
  readonly #random: Random;
  readonly #files: MemoryFiles;
  readonly #operations: Operations;

  constructor(id: ServerId, segmentBytes: number, operations: Operations, random: Random) {
    this.#id = id;
    this.#segmentBytes = segmentBytes;
    this.#random = random;
    this.#files = new MemoryFiles({ location: `disk of ${id}`, schedule: ({ kind }) => operations.later(kind) });
    this.#operations = operations;
  }

  factory(): StoreFactory {
    return { open: ({ onSync }) => Promise.resolve(this.#store(this.#files, onSync)) };
  }

  #store(files: MemoryFiles, onSync?: (ms: number) => void): Store {
    let texts = 0;
    // Neither incarnation nor salt may come from the runtime's chance.
    const random = () => `${this.#id}-${texts++}`;
    return walStore(files, { segmentBytes: this.#segmentBytes, random, now: () => 0, onSync });
  }

  crash(kind: CrashKind): void {
    this.#operations.end();
    if (kind === "kill") return this.#files.kill();
    const random = this.#random;
    // Now and then nothing survives, or everything; mostly a part.
    const choose = random.weighted<Choose>([
      [loseAll, 3],
      [(options) => options - 1, 2],
      [(options) => random.below(options), 5],
    ]);
    this.#files.crash(choose);
  }

  async recover(durableOnly: boolean): Promise<DiskView> {
    const image = this.#files.clone();
    if (durableOnly) image.crash(loseAll);
    const store = this.#store(image);
    const view = await viewOf(store, await store.open(this.#id));
    await store.close();
    return view;
  }
}

/** Reads all that a store holds. */
async function viewOf(store: Store, { vote, firstIndex, lastIndex }: StoreState): Promise<DiskView> {
  const log = new ChainLog();
  let next: LogIndex = firstIndex;
  while (next <= lastIndex) {
    const runs: readonly Records[] = await store.read(next, lastIndex + 1, 1 << 20);
    for (const records of runs) {
      log.append(records);
      next = records.end;
    }
  }
  return { term: vote.term, votedFor: vote.votedFor, log };
}
