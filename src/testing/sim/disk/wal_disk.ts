/**
 * A disk with the production write-ahead log on it, through the Files port.
 *
 * @module
 */
import { fileSnapshots } from "../../../store/snapshot_files.ts";
import type { SnapshotMeta, SnapshotStore } from "../../../store/snapshot_store.ts";
import type { Store, StoreFactory } from "../../../store/store.ts";
import { walStore } from "../../../store/wal/wal_store.ts";
import type { ServerId } from "../../../types.ts";
import { openSnapshot } from "../../../wire/snapshot_reader.ts";
import { loseAll, MemoryFiles } from "../../memory_files.ts";
import { cloneView, viewOf } from "../disk_view.ts";
import type { Random } from "../random.ts";
import { RETAIN } from "../rare_settings.ts";
import type { CrashKind, DiskBehaviour, Operations, Storage, StorageTap } from "../storage.ts";
import type { DiskView } from "../view.ts";
import { drawCrash } from "./crash.ts";
import { LogShadow } from "./shadow.ts";
import { SNAPSHOTS_NAME } from "./snapshot_layout.ts";
import { DiskTrouble } from "./trouble.ts";
import { WalFaults } from "./wal_faults.ts";

/** Operations of a recovery after which it is interrupted, at most. */
const interruptMax = 40;

/** Of so many examinations one is of a recovery that is interrupted, and one of two recoveries. */
const thoroughEvery = 8;

/** What may be wrong with a disk, as it was when it was looked at: its next fault, or another disk, may come before that ends. */
interface Flaws {
  /** Whether entries may be damaged. */
  readonly inLog: boolean;
  /** Whether snapshots may be. */
  readonly inSnapshots: boolean;
}

/** See {@linkcode Storage}. */
export class WalDisk implements Storage {
  readonly faults: WalFaults;
  readonly #id: ServerId;
  readonly #segmentBytes: number;
  readonly #keepsSnapshots: boolean;
  readonly #retain: number;
  readonly #random: Random;
  /** What examinations draw from: how often there is one changes nothing else. */
  readonly #examiner: Random;
  readonly #files: MemoryFiles;
  readonly #shadow: LogShadow;
  readonly #operations: Operations;
  readonly #tap: StorageTap;
  /** How often the disk had changed when it was examined last. */
  #examinedAt: number | undefined;

  /** An empty one. */
  constructor(id: ServerId, behaviour: DiskBehaviour, operations: Operations, random: Random, tap: StorageTap) {
    this.#id = id;
    this.#segmentBytes = behaviour.segmentBytes;
    this.#keepsSnapshots = behaviour.keepsSnapshots === true;
    this.#retain = behaviour.retain ?? RETAIN;
    this.#random = random;
    this.#examiner = random.split("examiner");
    this.#operations = operations;
    this.#tap = tap;
    this.#shadow = new LogShadow((write) => tap.onDurable(write), tap.prefix);
    const trouble = new DiskTrouble(tap);
    this.#files = new MemoryFiles({
      location: `disk of ${id}`,
      schedule: ({ kind, name }) => operations.later(kind, name),
      fault: (operation) => trouble.faultOf(operation),
      onFailure: (operation, error) => trouble.onFailure(operation, error),
      misread: ({ name }, bytes, offset) => this.faults.lie(name, bytes, offset),
      keepsFailed: () => random.chance(0.5),
      observer: this.#shadow,
    });
    this.faults = new WalFaults(this.#files, this.#shadow, operations, trouble, behaviour.keepsCopies);
  }

  get view(): DiskView {
    return this.#shadow.view;
  }

  get hasUnsynced(): boolean {
    return this.#files.hasUnsynced;
  }

  get operations(): number {
    return this.#operations.count;
  }

  factory(): StoreFactory {
    const open: StoreFactory["open"] = ({ onSync }) => Promise.resolve(this.#store(this.#files, onSync));
    if (!this.#keepsSnapshots) return { open };
    return { open, snapshots: { open: () => Promise.resolve(this.#snapshots(this.#files)) } };
  }

  crash(kind: CrashKind): void {
    this.#operations.end();
    this.faults.endLife();
    if (kind === "kill") return this.#files.kill();
    this.#look();
    this.#files.crash(drawCrash(this.#random));
    this.#shadow.rebuild(this.#files);
  }

  async recover(durableOnly: boolean): Promise<DiskView> {
    const image = this.#files.clone();
    if (durableOnly) image.crash(loseAll);
    return await this.#viewOf(image, this.view, this.#flaws);
  }

  /** A disk on which nothing has changed since holds what it held. */
  examine(): void {
    if (this.#examinedAt !== this.#shadow.changes) this.#look();
  }

  /** Now and then also whether the next recovery finds the same, or the next after one that is interrupted. */
  #look(): void {
    if (this.faults.isDamaged) return;
    this.#examinedAt = this.#shadow.changes;
    const said = cloneView(this.view);
    const files = this.#files.clone();
    files.crash(loseAll);
    this.#examine(said, files, this.#flaws);
  }

  async #examine(said: DiskView, files: MemoryFiles, flaws: Flaws): Promise<void> {
    const thoroughness = this.#examiner.below(thoroughEvery);
    if (thoroughness === 1) await this.#interrupt(files);
    for (let left = thoroughness === 2 ? 2 : 1; left > 0; left--) {
      this.#tap.onExamined(said, await this.#viewOf(files, said, flaws).catch((error: Error) => error));
    }
  }

  async #interrupt(files: MemoryFiles): Promise<void> {
    files.haltAfter(this.#examiner.below(interruptMax));
    await this.#store(files).open(this.#id).catch(() => {});
    if (this.#keepsSnapshots) await this.#snapshots(files).open().catch(() => {});
    files.crash(drawCrash(this.#examiner));
  }

  get #flaws(): Flaws {
    const { isDamaged, wasDamaged, hasRot } = this.faults;
    return { inLog: isDamaged || wasDamaged, inSnapshots: hasRot };
  }

  /** What a start finds. Entries that it says are damaged are what they were, where any may be. */
  async #viewOf(files: MemoryFiles, said: DiskView, flaws: Flaws): Promise<DiskView> {
    const store = this.#store(files);
    const state = await store.open(this.#id);
    const view = await viewOf(store, state, this.#tap.prefix, flaws.inLog ? said.log : undefined);
    await store.close();
    return this.#keepsSnapshots ? { ...view, ...await this.#newestSnapshot(files, flaws) } : view;
  }

  /** The newest snapshot that is whole; nothing else may be left. */
  async #newestSnapshot(files: MemoryFiles, { inSnapshots }: Flaws): Promise<Pick<DiskView, "snapshot" | "state">> {
    const snapshots = this.#snapshots(files);
    await snapshots.open();
    const left = files.child(SNAPSHOTS_NAME).names().find((name) => name.endsWith(".tmp"));
    if (left !== undefined) throw new Error(`the start leaves "${left}"`);
    let newest: SnapshotMeta | undefined;
    for (const meta of await snapshots.list()) {
      if (await snapshots.verify(meta.id)) newest ??= meta;
    }
    const state = newest && await stateOf(snapshots, newest, this.#tap);
    await snapshots.close();
    const [damaged] = snapshots.damaged;
    if (damaged !== undefined && !inSnapshots) {
      throw new Error(`"${damaged.id}" is no good as ${damaged.problem}`);
    }
    return { snapshot: newest?.index ?? 0, state };
  }

  #snapshots(files: MemoryFiles): SnapshotStore {
    return fileSnapshots(files.directory(SNAPSHOTS_NAME), { retain: this.#retain });
  }

  #store(files: MemoryFiles, onSync?: (ms: number) => void): Store {
    let texts = 0;
    const { wiped } = this.faults;
    // Neither incarnation nor salt may come from the runtime's chance. A disk that was emptied gets others.
    const random = () => `${this.#id}-${wiped > 0 ? `${wiped}-` : ""}${texts++}`;
    return walStore(files, { segmentBytes: this.#segmentBytes, random, now: () => 0, onSync });
  }
}

/** The hash of the machine's state; NaN, which no state has, when it can't be read. */
async function stateOf(snapshots: SnapshotStore, { id }: SnapshotMeta, tap: StorageTap): Promise<number> {
  try {
    const { user } = await openSnapshot((offset, bytesMax) => snapshots.read(id, offset, bytesMax));
    return await tap.stateIn(user);
  } catch {
    return NaN;
  }
}
