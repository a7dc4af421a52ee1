/**
 * What every snapshot store does with names, metas and what a sender announced.
 *
 * @module
 */
import { InvariantError, ProtocolError } from "../errors.ts";
import { problemOfOrigin, SNAPSHOT_VERSION, type SnapshotOrigin } from "../wire/snapshot.ts";
import type { SnapshotMeta } from "./snapshot_store.ts";

/** Compares snapshots so that the newest comes first: they are prefixes of one log, so the index decides. */
export function compareSnapshots(a: SnapshotMeta, b: SnapshotMeta): number {
  return b.index - a.index || b.term - a.term || sequenceOf(b.id) - sequenceOf(a.id);
}

/** A name for a snapshot; `sequence` grows with each one that a store makes. */
export function snapshotId({ index, term }: SnapshotOrigin, sequence: number): string {
  return `snapshot-${index}-${term}-${sequence}`;
}

/** Whether a name is one of {@linkcode snapshotId}. */
export function isSnapshotId(name: string): boolean {
  return /^snapshot-\d{1,16}-\d{1,16}-\d{1,16}$/.test(name);
}

/** The sequence in a snapshot's name. */
export function sequenceOf(id: string): number {
  return Number(id.slice(id.lastIndexOf("-") + 1));
}

/** The snapshots beyond the newest `retain` ones that nobody holds. */
export function surplusOf(
  metas: readonly SnapshotMeta[],
  retain: number,
  isHeld: (id: string) => boolean,
): SnapshotMeta[] {
  return [...metas].sort(compareSnapshots).slice(retain).filter(({ id }) => !isHeld(id));
}

/**
 * Checks what a snapshot is begun with.
 *
 * @throws {InvariantError} When no server could read it again.
 */
export function checkOrigin(origin: SnapshotOrigin): void {
  const problem = problemOfOrigin(origin);
  if (problem !== undefined) throw new InvariantError(`Cannot create a snapshot: ${problem}`);
}

/**
 * Checks what is to be read.
 *
 * @throws {RangeError} When it is no range.
 */
export function checkRange(offset: number, bytesMax: number): void {
  if (Number.isSafeInteger(offset) && offset >= 0 && bytesMax >= 1) return;
  throw new RangeError(`Cannot read ${bytesMax} bytes at offset ${offset}: both must be whole, and bytes at least 1`);
}

/** The meta of a snapshot that was just written. */
export function metaOf(origin: SnapshotOrigin, id: string, bytes: number, checksum: number): SnapshotMeta {
  const { index, term, configuration, configurationIndex, timeMs } = origin;
  return { index, term, configuration, configurationIndex, timeMs, id, version: SNAPSHOT_VERSION, bytes, checksum };
}

/**
 * Compares what was written with what was announced.
 *
 * @throws {ProtocolError} When they differ.
 */
export function checkExpected(
  found: { readonly id: string; readonly bytes: number; readonly checksum: number },
  expected: { readonly bytes: number; readonly checksum: number } | undefined,
): void {
  if (expected === undefined) return;
  if (found.bytes === expected.bytes && found.checksum === expected.checksum) return;
  throw new ProtocolError(
    `Cannot take the snapshot "${found.id}": it has ${found.bytes} bytes with checksum ${found.checksum} ` +
      `instead of ${expected.bytes} with ${expected.checksum}`,
  );
}
