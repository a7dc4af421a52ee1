/**
 * Versions of what servers say to one another and of what they keep.
 *
 * @module
 */
import { PROTOCOL_MAX, PROTOCOL_MIN } from "./transport/handshake.ts";
import { SNAPSHOT_VERSION } from "./wire/snapshot.ts";

/** The oldest and the newest version of something that this code can deal with. */
export interface VersionRange {
  /** The oldest. */
  readonly min: number;
  /** The newest: the one that is written and asked for. */
  readonly max: number;
}

/**
 * The protocol between servers. Each connection uses the newest version that both ends know; servers without a common one
 * refuse one another (a `peer-trouble` event says so), so upgrade one server after the other and never by more than one version.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { protocolVersion } from "@securecollc/raft";
 *
 * assert(protocolVersion.min <= protocolVersion.max);
 * ```
 */
export const protocolVersion: VersionRange = { min: PROTOCOL_MIN, max: PROTOCOL_MAX };

/** The form of snapshots, on disks and between servers: {@linkcode SnapshotMeta.version}. Newer ones are refused. */
export const snapshotVersion: VersionRange = { min: SNAPSHOT_VERSION, max: SNAPSHOT_VERSION };
