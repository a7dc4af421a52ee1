/**
 * Everything that can be wrong with a disk that holds a write-ahead log.
 *
 * @module
 */
import { CorruptionError } from "../../../errors.ts";
import type { Disk, LogIndex } from "../../../types.ts";
import { loseAll, type MemoryFiles } from "../../memory_files.ts";
import { Random } from "../random.ts";
import type { DiskFaults, Operations } from "../storage.ts";
import type { DiskFault } from "../survivable.ts";
import { Copies } from "./copies.ts";
import { cutTail, damageAboveMark, damageAtRest, unprovenOf } from "./damage.ts";
import type { DamageKind, ErrorTarget, Replacement } from "./disk_actions.ts";
import { identityIn, isGapless, layoutOf } from "./layout.ts";
import type { LogShadow } from "./shadow.ts";
import { damageSnapshot } from "./snapshot_damage.ts";
import { type DiskTrouble, isAboutSnapshots } from "./trouble.ts";

/** Copies of a disk that are kept. */
const copiesMax = 4;

/** See {@linkcode DiskFaults}. */
export class WalFaults implements DiskFaults {
  isDamaged = false;
  /** Whether a snapshot is damaged, or was. */
  hasRot = false;
  /** Whether it was, and has the holes yet: what is on it is found out by recovery alone until they are gone. */
  wasDamaged = false;
  /** How often the disk was emptied. */
  wiped = 0;
  readonly #files: MemoryFiles;
  readonly #shadow: LogShadow;
  readonly #operations: Operations;
  readonly #trouble: DiskTrouble;
  readonly #copies: MemoryFiles[] | undefined;
  #lie = 0;
  /** A place that is read wrongly every time, as long as the process lives. */
  #bad: { readonly name: string; readonly at: number; readonly mask: number } | undefined;

  /** None yet. */
  constructor(
    files: MemoryFiles,
    shadow: LogShadow,
    operations: Operations,
    trouble: DiskTrouble,
    keepsCopies: boolean,
  ) {
    this.#files = files;
    this.#shadow = shadow;
    this.#operations = operations;
    this.#trouble = trouble;
    this.#copies = keepsCopies ? [] : undefined;
  }

  get hasFailed(): boolean {
    return this.#trouble.hasFailed;
  }

  arm(target: ErrorTarget, lasts: boolean): void {
    this.#trouble.arm(target, lasts);
  }

  disarm(target: ErrorTarget): void {
    this.#trouble.disarm(target);
  }

  fill(isFull: boolean): void {
    this.#files.bytesMax = isFull ? this.#files.bytesUsed : Infinity;
  }

  stall(isStalled: boolean): void {
    this.#operations.stall(isStalled);
  }

  slow(by: number): void {
    this.#operations.slow(by);
  }

  misread(pick: number): void {
    this.#lie = pick;
  }

  damage(how: DamageKind, pick: number, inSnapshots: boolean): string {
    // Nobody could say what is above the mark of a log with holes in it.
    if (this.wasDamaged) return "nowhere: it is damaged already";
    const random = Random.seeded(pick);
    this.isDamaged = true;
    if (!inSnapshots) {
      const copies = new Copies(this.#files);
      const where = damageAtRest(this.#files, random, how);
      this.#shadow.rebuildDamaged(this.#files, copies.wholeIn(this.#files));
      return where;
    }
    const where = damageSnapshot(this.#files, random, how);
    this.hasRot ||= where !== undefined;
    this.#shadow.findSnapshots(this.#files);
    return where ?? "there is no snapshot";
  }

  /** See {@linkcode DiskFaults.identityAfter}. */
  identityAfter(by: Replacement | undefined): Disk | undefined {
    if (by === "wipe") return { incarnation: "", starts: 1 };
    const files = by === "old-copy" ? this.#copies?.[0] : this.#files;
    return files && identityIn(files.durableFiles());
  }

  replace(by: Replacement, pick: number): void {
    const random = Random.seeded(pick);
    if (by === "rot-above-mark") damageAboveMark(this.#files, random);
    else if (by === "lost-tail") cutTail(this.#files, random);
    else {
      const copy = by === "old-copy" ? this.#copies?.[0] : undefined;
      this.#files.clear();
      if (copy !== undefined) this.#files.copyFrom(copy);
      else {
        this.wiped++;
        this.hasRot = false;
      }
      this.wasDamaged = false;
      this.#files.crash(loseAll);
    }
    this.#shadow.findDamaged(new Set());
    this.#shadow.rebuild(this.#files);
  }

  heal(): void {
    this.fill(false);
    this.#operations.heal();
    this.#trouble.heal();
    this.#lie = 0;
    this.#bad = undefined;
  }

  absolve(isRepaired = false): void {
    if (!this.isDamaged) return;
    this.isDamaged = false;
    this.wasDamaged ||= isRepaired;
    if (isRepaired) return;
    this.#shadow.findDamaged(new Set());
    // A mark may be gone, so that the log goes on where the shadow does not expect it.
    this.#shadow.rebuild(this.#files);
  }

  findDamaged(damaged: ReadonlySet<LogIndex>): void {
    this.#shadow.findDamaged(damaged);
  }

  explain(error: unknown): DiskFault | undefined {
    const { location } = this.#files;
    if (!this.isDamaged || !(error instanceof CorruptionError)) {
      const isRot = this.hasRot && isAboutSnapshots(error) && !this.#shadow.isGapless;
      return this.#trouble.explain(error, location) ?? (isRot ? "rot-in-snapshots" : undefined);
    }
    return error.file.startsWith(`${location}/`) && Number.isSafeInteger(error.offset) ? "rot" : undefined;
  }

  isNeedless(error: unknown): boolean {
    return this.hasRot && isAboutSnapshots(error) && this.#shadow.isGapless;
  }

  /** The process is dead. */
  endLife(): void {
    this.#bad = undefined;
    this.#trouble.endLife();
    // What was damaged has gone with what snapshots stand for.
    if (!this.isDamaged) this.wasDamaged &&= !isGapless(layoutOf(this.#files.durableFiles()));
    // Of one with holes nobody could say what it held.
    if (this.#copies === undefined || this.isDamaged || this.wasDamaged) return;
    const copy = this.#files.clone();
    copy.crash(loseAll);
    this.#copies.push(copy);
    // The oldest one stays for long: the older it is, the more has been promised since.
    if (this.#copies.length > copiesMax) this.#copies.splice(1, 1);
  }

  /** Changes a bit of what was read, but nothing that is above the mark: nothing could tell that from a torn write. */
  lie(name: string, bytes: Uint8Array, offset: number): void {
    if (this.#bad !== undefined) this.#flipBad(name, bytes, offset);
    if (this.#lie === 0 || bytes.length === 0 || this.isDamaged || this.wasDamaged) return;
    const random = Random.seeded(this.#lie);
    const isLasting = this.#lie % 2 === 0;
    this.#lie = 0;
    const at = random.below(bytes.length);
    const unproven = unprovenOf(layoutOf(this.#files.liveFiles(), "live"));
    const { segment, batch } = unproven ?? {};
    const isAbove = segment?.name === name && offset + at >= batch!.offset && offset + at < batch!.end;
    if (isAbove) return;
    const mask = 1 << random.below(8);
    bytes[at]! ^= mask;
    if (isLasting) this.#bad = { name, at: offset + at, mask };
    this.#trouble.onMisread();
  }

  #flipBad(name: string, bytes: Uint8Array, offset: number): void {
    const bad = this.#bad!;
    const at = bad.at - offset;
    if (bad.name !== name || at < 0 || at >= bytes.length) return;
    bytes[at]! ^= bad.mask;
    this.#trouble.onMisread();
  }
}
