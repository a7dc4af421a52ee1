/**
 * What happens to a disk while nobody looks: bits rot, sectors get lost, files are mixed up.
 *
 * @module
 */
import { SEGMENT_HEADER_BYTES } from "../../../store/wal/segment_header.ts";
import { isFilledUp, SECTOR_BYTES } from "../../../wire/batch.ts";
import type { MemoryFiles } from "../../memory_files.ts";
import type { Random } from "../random.ts";
import type { DamageKind } from "./disk_actions.ts";
import { layoutOf, type PlacedBatch, type PlacedSegment } from "./layout.ts";

/** The write of which nothing on the disk says that it was durable. */
export interface Unproven {
  readonly segment: PlacedSegment;
  readonly batch: PlacedBatch;
}

/**
 * What is above the mark: the last batch, unless it is a mark itself, which says nothing else, or what a start has
 * written, of which the file's name says that it is durable.
 */
export function unprovenOf(segments: readonly PlacedSegment[]): Unproven | undefined {
  const segment = segments.findLast(({ batches }) => batches.length > 0);
  const batch = segment?.batches.at(-1);
  if (batch === undefined || (segment!.hasBatch && segment!.batches.length === 1)) return undefined;
  const { records, head: { vote, truncateFrom, compactTo, clusterId, repaired, starts } } = batch;
  const before = segments.flatMap(({ batches }) => batches).at(-2)?.head;
  const isSame = before?.starts === starts && before.vote.term === vote.term && before.vote.votedFor === vote.votedFor;
  const isMark = isSame && records.count === 0 && repaired.length === 0 &&
    [truncateFrom, compactTo, clusterId].every((part) => part === undefined);
  return isMark ? undefined : { segment: segment!, batch };
}

/** The last batch where the one before it is lost, or would be taken for a torn write: nothing else says that it was durable. */
function onlyProofOf(files: MemoryFiles, segments: readonly PlacedSegment[]): Unproven | undefined {
  const [before, last] = segments.flatMap((segment) => segment.batches.map((batch) => ({ segment, batch }))).slice(-2);
  if (last === undefined) return undefined;
  const { segment: { name }, batch: { head, offset, end } } = before!;
  const isThere = isFilledUp(head, files.image(name).subarray(offset, end), 0);
  return isThere && head.sequence + 1 >= last.batch.head.sequence ? undefined : last;
}

/**
 * Damages what is on the disk, in one place, and leaves what is above the mark alone: whoever reads it later must find
 * the damage, or all that was there. Returns where it fell, for the trace.
 */
export function damageAtRest(files: MemoryFiles, random: Random, how: DamageKind): string {
  const segments = layoutOf(files.durableFiles());
  if (segments.length === 0) return "nowhere";
  const unproven = unprovenOf(segments);
  const segment = random.pick(segments);
  const others = segments.filter((other) => other !== segment);
  const last = unproven ?? onlyProofOf(files, segments);
  const kept = last?.segment === segment ? last.batch : undefined;
  const isLast = !segments.slice(segments.indexOf(segment) + 1).some(({ batches }) => batches.length > 0);
  const image = files.image(segment.name);
  switch (how) {
    case "truncated":
      return cutFile(files, random, segment, isLast);
    case "swapped":
      if (others.length > 0) return swapFiles(files, segment, random.pick(others));
      break;
    case "missing":
      // A last segment that is gone leaves no trace.
      if (segments.at(-1) !== segment && !isLast) {
        files.discard(segment.name);
        return `${segment.name} is gone`;
      }
      break;
    case "zeros":
    case "stale":
    case "misdirected": {
      const source = how === "zeros" ? undefined : sourceOf(files, random, how, segments);
      const length = source?.length ?? SECTOR_BYTES;
      const at = placeFor(random, segment, length, kept, isLast ? segment.batches.at(-1) : undefined);
      if (at === undefined) break;
      image.set((source ?? new Uint8Array(length)).subarray(0, image.length - at), at);
      files.setImage(segment.name, image);
      return `${segment.name} has ${how} at ${at}`;
    }
  }
  return flip(files, random, segment, image, kept);
}

/** Flips a bit, mostly of what was written. */
function flip(
  files: MemoryFiles,
  random: Random,
  segment: PlacedSegment,
  image: Uint8Array,
  kept: PlacedBatch | undefined,
): string {
  const used = segment.batches.at(-1)?.end ?? SEGMENT_HEADER_BYTES;
  let at = random.below(random.chance(0.9) ? used : image.length);
  // The header is never above the mark.
  if (kept !== undefined && at >= kept.offset && at < kept.end) at = random.below(SEGMENT_HEADER_BYTES);
  image[at]! ^= 1 << random.below(8);
  files.setImage(segment.name, image);
  return `${segment.name} has another bit at ${at}`;
}

/** What a sector that was not written, or one meant for another place, leaves there. */
function sourceOf(
  files: MemoryFiles,
  random: Random,
  how: "stale" | "misdirected",
  segments: readonly PlacedSegment[],
): Uint8Array {
  const from = random.pick(segments);
  const image = files.image(from.name);
  if (how === "misdirected" && from.batches.length > 0) {
    const { offset, end } = random.pick(from.batches);
    return image.slice(offset, end);
  }
  const sector = random.below(Math.ceil(image.length / SECTOR_BYTES)) * SECTOR_BYTES;
  return image.slice(sector, sector + SECTOR_BYTES);
}

/**
 * A sector from which on so many bytes are at or below the mark, or were never written. The batch that is the last proof
 * of those before it is not destroyed together with them: nobody could tell then.
 */
function placeFor(
  random: Random,
  { size }: PlacedSegment,
  length: number,
  kept: PlacedBatch | undefined,
  proof: PlacedBatch | undefined,
): number | undefined {
  const places: number[] = [];
  for (let at = 0; at < size; at += SECTOR_BYTES) {
    const isAbove = kept !== undefined && at < kept.end && at + length > kept.offset;
    const isProofGone = proof !== undefined && at < proof.offset && at + length > proof.offset;
    if (!isAbove && !isProofGone) places.push(at);
  }
  return places.length === 0 ? undefined : random.pick(places);
}

/** Cuts a file: anywhere when a later one says what is missing, else where nothing was written, or to nothing. */
function cutFile(files: MemoryFiles, random: Random, segment: PlacedSegment, isLast: boolean): string {
  const end = segment.batches.at(-1)?.end ?? SEGMENT_HEADER_BYTES;
  const size = !isLast
    ? random.below(segment.size)
    : random.chance(0.5)
    ? random.below(SEGMENT_HEADER_BYTES)
    : random.between(end, Math.max(end, segment.size));
  files.setImage(segment.name, files.image(segment.name).slice(0, size));
  return `${segment.name} is cut at ${size}`;
}

function swapFiles(files: MemoryFiles, a: PlacedSegment, b: PlacedSegment): string {
  const image = files.image(a.name);
  files.setImage(a.name, files.image(b.name));
  files.setImage(b.name, image);
  return `${a.name} and ${b.name} are swapped`;
}

/** Damages the last write, of which nothing says that it was durable. */
export function damageAboveMark(files: MemoryFiles, random: Random): void {
  const unproven = unprovenOf(layoutOf(files.durableFiles()));
  if (unproven === undefined) return;
  const { segment: { name }, batch } = unproven;
  const image = files.image(name);
  image[random.between(batch.offset, batch.end - 1)]! ^= 1 << random.below(8);
  files.setImage(name, image);
}

/** Cuts the last file in the middle of what was written. */
export function cutTail(files: MemoryFiles, random: Random): void {
  const segment = layoutOf(files.durableFiles()).findLast(({ batches }) => batches.length > 0);
  if (segment === undefined) return;
  const size = random.between(SEGMENT_HEADER_BYTES, segment.batches.at(-1)!.end - 1);
  files.setImage(segment.name, files.image(segment.name).slice(0, size));
}
