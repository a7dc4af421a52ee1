/**
 * What a server's disk is in a simulation: a store for each of its lives, and what a crash leaves of it.
 *
 * @module
 */
import type { StoreFactory } from "../../store/store.ts";
import type { Disk, LogIndex, ServerId } from "../../types.ts";
import type { FileOperation } from "../memory_file.ts";
import type { ChainLog } from "./chain.ts";
import type { DamageKind, ErrorTarget, Replacement } from "./disk/disk_actions.ts";
import { Latency } from "./disk/latency.ts";
import { MemoryDisk } from "./disk/memory_disk.ts";
import { WalDisk } from "./disk/wal_disk.ts";
import type { DurableWrite } from "./disk_view.ts";
import type { Random } from "./random.ts";
import type { DiskFault } from "./survivable.ts";
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
  /** Whether copies of the disk are kept, for the fault that brings one back. */
  readonly keepsCopies: boolean;
  /** Whether there are snapshots; undefined in runs from before there were. */
  readonly keepsSnapshots?: boolean;
  /** How many snapshots it keeps, as far as it holds files; undefined in runs that keep as many as by default. */
  readonly retain?: number;
  /** Where it is unkind now and then; undefined for nowhere. */
  readonly points?: readonly DiskPoint[];
}

/**
 * Moments at which a disk may take long, each on in some runs only, and then now and then: what is rare by chance alone
 * and hurts.
 */
export const DISK_POINTS = [
  /** The log is to go on after a snapshot. */
  "install",
  /** A snapshot is to be made durable. */
  "snapshot-close",
  /** A snapshot is looked for. */
  "snapshot-lookup",
] as const;

/** One of {@linkcode DISK_POINTS}. */
export type DiskPoint = (typeof DISK_POINTS)[number];

/** How a server's life ends: the process dies, or the machine loses power and with it what was not synced. */
export type CrashKind = "kill" | "power";

/** What a storage tells. */
export interface StorageTap {
  /** The committed entries up to this one. */
  prefix(index: LogIndex): ChainLog;
  /** The hash of the state that is in a machine's snapshot. */
  stateIn(snapshot: ReadableStream<Uint8Array>): Promise<number>;
  /** A write is durable, and in the view. */
  onDurable(write: DurableWrite): void;
  /** A process was told that an operation failed. */
  onFailed(operation: FileOperation): void;
  /** A process does again what has failed. */
  onRetried(operation: FileOperation): void;
  /** What the view says was looked up on the disk, by the store's own recovery. */
  onExamined(said: DiskView, found: DiskView | Error): void;
}

/** A server's disk. */
export interface Storage {
  /** What would be found if the power went now. Another object after a crash, else the same one. */
  readonly view: DiskView;
  /** Whether there is something that a power cut could take. */
  readonly hasUnsynced: boolean;
  /** How many operations it was asked for so far. */
  readonly operations: number;
  /** The store of the next life. */
  factory(): StoreFactory;
  /** The life ends. */
  crash(kind: CrashKind): void;
  /** What is on the disk, found by the store's own recovery; with `durableOnly` as if power had been cut at this moment. */
  recover(durableOnly: boolean): Promise<DiskView>;
  /** Looks up whether the view is right; nothing on the disk changes, and nothing of the virtual world. */
  examine(): void;
  /** How to break it; undefined when it can't be. */
  readonly faults: DiskFaults | undefined;
}

/** A disk's faults. Those at rest are for when no process lives. */
export interface DiskFaults {
  /** Lets the next operation of this kind fail, or all until `disarm`. */
  arm(target: ErrorTarget, lasts: boolean): void;
  disarm(target: ErrorTarget): void;
  /** Lets no file grow, or lets them again. */
  fill(isFull: boolean): void;
  /** Lets no operation be done, or lets those that waited. */
  stall(isStalled: boolean): void;
  /** Lets every operation take so many microseconds more. */
  slow(by: number): void;
  /** Lets the next read lie; 0 lets it be true. */
  misread(pick: number): void;
  /**
   * Damages what is at or below the mark, while the view of the log stays what it was, or a snapshot. Returns where it
   * fell.
   */
  damage(how: DamageKind, pick: number, inSnapshots: boolean): string;
  /** By which disk the next start would be known after that; undefined when it can't be done or nothing tells. */
  identityAfter(by: Replacement | undefined): Disk | undefined;
  /** Puts something else there; the view is of that. */
  replace(by: Replacement, pick: number): void;
  /** Ends all faults but damage. */
  heal(): void;
  /** The damage, if there was any, has turned out to be harmless, or is repaired. */
  absolve(isRepaired?: boolean): void;
  /** These entries are damaged, of those that may be: the others were read. */
  findDamaged(damaged: ReadonlySet<LogIndex>): void;
  /** Whether the process that lives was told of an error, or will be. */
  readonly hasFailed: boolean;
  /** Whether damage may keep a store from opening. */
  readonly isDamaged: boolean;
  /** The fault that explains why a server is down; undefined when none does. */
  explain(error: unknown): DiskFault | undefined;
  /** Whether a server is down by a snapshot that is damaged, though it could have started from an older one. */
  isNeedless(error: unknown): boolean;
}

/** Operations that take time. */
export interface Operations {
  /** How many were asked for so far. */
  readonly count: number;
  /** Resolves when one is done. */
  later(what: string, file?: string): Promise<void>;
  /** As `later`, but where a {@linkcode DiskPoint} is on it may take long. */
  laterAt(point: DiskPoint, what: string): Promise<void>;
  /** None that is under way will ever be done. */
  end(): void;
  /** Those that begin from now on wait, or need not any more. */
  stall(isStalled: boolean): void;
  /** Those that begin from now on take so many microseconds more. */
  slow(by: number): void;
  /** Nothing is unkind any more. */
  heal(): void;
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
    ? new WalDisk(id, behaviour, operations, random, tap)
    : new MemoryDisk(id, operations, random, tap, behaviour);
}
