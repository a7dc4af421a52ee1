/**
 * What a server's disk is in a simulation: a store for each of its lives, and what a crash leaves of it.
 *
 * @module
 */
import type { StoreFactory } from "../../store/store.ts";
import type { ServerId } from "../../types.ts";
import { MemoryDisk } from "./disk/memory_disk.ts";
import { WalDisk } from "./disk/wal_disk.ts";
import type { DurableWrite } from "./disk_view.ts";
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

/** What a storage tells. */
export interface StorageTap {
  /** A write is durable, and in the view. */
  onDurable(write: DurableWrite): void;
  /** What the view says was looked up on the disk, by the store's own recovery. */
  onExamined(said: DiskView, found: DiskView | Error): void;
}

/** A server's disk. */
export interface Storage {
  /** What would be found if the power went now. Another object after a crash, else the same one. */
  readonly view: DiskView;
  /** Whether there is something that a power cut could take. */
  readonly hasUnsynced: boolean;
  /** The store of the next life. */
  factory(): StoreFactory;
  /** The life ends. */
  crash(kind: CrashKind): void;
  /** What is on the disk, found by the store's own recovery; with `durableOnly` as if power had been cut at this moment. */
  recover(durableOnly: boolean): Promise<DiskView>;
  /** Looks up whether the view is right; nothing on the disk changes, and nothing of the virtual world. */
  examine(): void;
}

/** Operations that take time. */
export interface Operations {
  /** Resolves when one is done. */
  later(what: string, file?: string): Promise<void>;
  /** None that is under way will ever be done. */
  end(): void;
}

/** Storage as the behaviour says. */
export function openStorage(
  world: World,
  random: Random,
  server: number,
  id: ServerId,
  behaviour: DiskBehaviour,
  tap: StorageTap,
): Storage {
  const operations = new Latency(world, random, server, id, behaviour);
  return behaviour.store === "wal"
    ? new WalDisk(id, behaviour.segmentBytes, operations, random, tap)
    : new MemoryDisk(id, operations, random, tap);
}

/** What has begun on a file. */
interface FileTimes {
  /** When the last operation is done that has begun. */
  last: number;
  /** No operation that begins later is done before this. */
  barrier: number;
}

/** Lets every operation take as long as chance says. They overtake one another, but none overtakes a sync of its file. */
class Latency implements Operations {
  readonly #world: World;
  readonly #random: Random;
  readonly #server: number;
  readonly #id: ServerId;
  readonly #behaviour: DiskBehaviour;
  readonly #files = new Map<string, FileTimes>();
  #life = 0;

  constructor(world: World, random: Random, server: number, id: ServerId, behaviour: DiskBehaviour) {
    this.#world = world;
    this.#random = random;
    this.#server = server;
    this.#id = id;
    this.#behaviour = behaviour;
  }

  later(what: string, file = ""): Promise<void> {
    const times = this.#timesOf(file);
    const { time } = this.#world;
    let end = Math.max(time + this.#draw(), times.barrier);
    if (what === "sync" || what === "sync-directory") end = times.barrier = Math.max(end, times.last);
    times.last = Math.max(times.last, end);
    // What a dead process waits for never comes: its code must not go on beside that of the next life.
    const mine = this.#life;
    return new Promise<void>((resolve) => {
      this.#world.schedule(this.#server, Port.disk, end - time, `${this.#id} ${what}`, () => {
        if (mine === this.#life) resolve();
      });
    });
  }

  end(): void {
    this.#life++;
    this.#files.clear();
  }

  #timesOf(file: string): FileTimes {
    const known = this.#files.get(file);
    if (known !== undefined) return known;
    const times = { last: 0, barrier: 0 };
    this.#files.set(file, times);
    return times;
  }

  #draw(): number {
    const random = this.#random;
    const { latencyMin, latencyMax, stallChance, stallMax } = this.#behaviour;
    return random.chance(stallChance)
      ? random.spread(latencyMin + 1, stallMax)
      : random.between(latencyMin, latencyMax);
  }
}
