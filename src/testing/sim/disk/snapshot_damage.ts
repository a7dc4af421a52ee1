/**
 * What happens to snapshots while nobody looks.
 *
 * @module
 */
import { META_NAME } from "../../../store/snapshot_meta_text.ts";
import { SECTOR_BYTES } from "../../../wire/batch.ts";
import type { MemoryDirectory } from "../../memory_directory.ts";
import type { MemoryFiles } from "../../memory_files.ts";
import type { Random } from "../random.ts";
import type { DamageKind } from "./disk_actions.ts";
import { CONTAINER_NAME, SNAPSHOTS_NAME, wholeSnapshots } from "./snapshot_layout.ts";

/**
 * Damages a snapshot, mostly the newest: whoever reads it must find that, or all that was there. Returns where it fell, for
 * the trace; undefined when there is none.
 */
export function damageSnapshot(files: MemoryFiles, random: Random, how: DamageKind): string | undefined {
  const whole = [...wholeSnapshots(files)].sort(([, a], [, b]) => b - a).map(([id]) => id);
  if (whole.length === 0) return undefined;
  const id = random.chance(0.7) ? whole[0]! : random.pick(whole);
  const directory = files.child(SNAPSHOTS_NAME);
  const snapshot = directory.child(id);
  const name = random.chance(0.7) ? CONTAINER_NAME : META_NAME;
  const image = snapshot.image(name);
  const other = whole.find((other) => other !== id);
  const at = sectorIn(random, image);
  switch (how) {
    case "missing":
      if (random.chance(0.5)) directory.discard(id);
      else snapshot.discard(name);
      return `${id} is gone, or its ${name}`;
    case "truncated":
      return set(snapshot, name, image.slice(0, random.below(image.length)), `${id} is cut: ${name}`);
    case "swapped": {
      if (other === undefined) break;
      const twin = directory.child(other);
      set(snapshot, name, twin.image(name), "");
      return set(twin, name, image, `${id} and ${other} have each the other's ${name}`);
    }
    case "zeros":
      image.fill(0, at, at + SECTOR_BYTES);
      return set(snapshot, name, image, `${id} has zeros at ${at} of ${name}`);
    case "stale":
    case "misdirected": {
      const from = how === "stale" && other !== undefined ? directory.child(other).image(name) : logOf(files, random);
      const sector = from.subarray(how === "stale" ? at : sectorIn(random, from));
      image.set(sector.subarray(0, Math.min(SECTOR_BYTES, image.length - at)), at);
      return set(snapshot, name, image, `${id} has ${how} at ${at} of ${name}`);
    }
  }
  const bit = random.below(image.length);
  image[bit]! ^= 1 << random.below(8);
  return set(snapshot, name, image, `${id} has another bit at ${bit} of ${name}`);
}

function set(directory: MemoryDirectory, name: string, image: Uint8Array, what: string): string {
  directory.setImage(name, image);
  return what;
}

function sectorIn(random: Random, image: Uint8Array): number {
  return random.below(Math.ceil(image.length / SECTOR_BYTES)) * SECTOR_BYTES;
}

/** A file of the log. */
function logOf(files: MemoryFiles, random: Random): Uint8Array {
  return files.image(random.pick([...files.durableFiles().keys()]));
}
