/**
 * What the cases of snapshot stores are made of.
 *
 * @module
 */
import type { SnapshotMeta, SnapshotOrigin, SnapshotStore } from "../../store/snapshot_store.ts";
import { concatenate } from "../../wire/bytes.ts";
import { crc32c } from "../../wire/crc32c.ts";
import { SNAPSHOT_VERSION } from "../../wire/snapshot.ts";
import { check, equal } from "../case_checks.ts";

/** How the cases get at a snapshot store. */
export interface SnapshotHarness {
  /** A store on the same disk, the one before being closed or killed. On the first call the disk is empty. */
  next(): Promise<SnapshotStore>;
  /** How many snapshots it keeps; at least 1. */
  readonly retain: number;
  /** Changes one byte of a snapshot on the disk, when the store can be made to notice that. */
  damage?(id: string): Promise<void>;
  /** Operations of the disk so far. Needed with `haltAfter`. */
  operationCount?(): number;
  /**
   * Lets so many more operations of the disk be done; the next one and all after it fail, until `next`. With it the
   * suite kills the store at every operation.
   */
  haltAfter?(operations: number): void;
  /** Called at the end of each case. */
  dispose?(): Promise<void>;
}

/** One thing that a snapshot store must do. */
export interface SnapshotCase {
  /** A sentence beginning with what is called. */
  readonly name: string;
  /** What the harness must offer. */
  readonly needs?: "damage" | "haltAfter";
  /** Rejects when the store doesn't. */
  run(harness: SnapshotHarness): Promise<void>;
}

/** An origin for tests. */
export function originOf(index: number, term = 1): SnapshotOrigin {
  const servers = [
    { id: "a", address: "a:1", suffrage: "voter" as const },
    { id: "b", address: "[::1]:7001", suffrage: "nonvoter" as const, priority: 7 },
  ];
  const configuration = { servers, outgoing: ["a", "c"] };
  return { index, term, configuration, configurationIndex: Math.max(1, index - 3), timeMs: 1_000 * index };
}

/** Writes a snapshot in pieces. */
export async function writeSnapshot(
  store: SnapshotStore,
  origin: SnapshotOrigin,
  bytes: Uint8Array,
  pieceBytes = 100_000,
): Promise<SnapshotMeta> {
  const sink = await store.create(origin);
  for (let at = 0; at < bytes.length; at += pieceBytes) await sink.write(bytes.slice(at, at + pieceBytes));
  return await sink.close();
}

/** Reads all of a snapshot. */
export async function readSnapshot(store: SnapshotStore, id: string, bytesMax = 70_000): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const part = await store.read(id, length, bytesMax);
    check(part.length <= bytesMax, `read() gave ${part.length} bytes instead of ${bytesMax} at most`);
    if (part.length === 0) break;
    parts.push(part);
    length += part.length;
  }
  return concatenate(parts);
}

/** The next store, open. */
export async function opened(harness: SnapshotHarness): Promise<SnapshotStore> {
  const store = await harness.next();
  await store.open();
  return store;
}

/** Names of all snapshots, the newest first. */
export async function idsOf(store: SnapshotStore): Promise<string[]> {
  return (await store.list()).map(({ id }) => id);
}

/** Everything that a meta says must be true. */
export function checkMeta(meta: SnapshotMeta, origin: SnapshotOrigin, bytes: Uint8Array): void {
  const { id, version, bytes: length, checksum, ...rest } = meta;
  equal(rest, origin);
  equal([version, length, checksum], [SNAPSHOT_VERSION, bytes.length, crc32c(bytes)]);
  check(id.length > 0, "the id is empty");
}
