/**
 * What the code makes of each fault of a disk today. What it cannot survive yet is off: no run draws it, but one can ask
 * for it by name.
 *
 * @module
 */

/** Faults of a disk beyond power cuts and slowness, by name. */
export const DISK_FAULTS = [
  "disk-stall",
  "read-error",
  "write-error",
  "sync-error",
  "name-error",
  "disk-full",
  "misread",
  "rot",
  "rot-beyond",
  "rot-above-mark",
  "lost-tail",
  "wipe",
  "old-copy",
  "replace-beyond",
  "rot-in-snapshots",
  "disk-slow",
] as const;

/** One of {@linkcode DISK_FAULTS}. */
export type DiskFault = (typeof DISK_FAULTS)[number];

/** What must come of a fault. */
export type Outcome =
  /** The server goes on as if nothing had happened. */
  | "goes on"
  /** It goes on, or stops, or does not start, with an error that names what failed; once the disk is whole again it starts. */
  | "stops"
  /**
   * It does not start, with an error that says where the damage is, and stays down; or it starts with all that it had, or
   * knowing which entries it has lost. The others go on while they are enough, and else stand still.
   */
  | "refuses"
  /** It breaks promises: not drawn. */
  | "off";

/** Outcome of each fault, and why it is what it is. */
export const SURVIVABLE: Readonly<Record<DiskFault, { readonly outcome: Outcome; readonly reason: string }>> = {
  "disk-stall": { outcome: "goes on", reason: "nothing is promised before it is durable" },
  "read-error": {
    outcome: "stops",
    reason: "what can't be read can't be applied or sent, and nobody else is asked for it",
  },
  "write-error": {
    outcome: "stops",
    reason: "whatever the disk did with it, a later sync proves nothing: it is written anew elsewhere, once",
  },
  "sync-error": {
    outcome: "stops",
    reason: "as for writes that fail: what was to be synced is written anew elsewhere, once",
  },
  "name-error": { outcome: "stops", reason: "no segment can be begun" },
  "disk-full": {
    outcome: "stops",
    reason:
      "the room that is kept in the current segment is for votes and marks: when that is used up, too, nothing goes on",
  },
  misread: {
    outcome: "stops",
    reason: "what the log reads wrongly is read again, then had from others; a snapshot is not",
  },
  rot: {
    outcome: "refuses",
    reason:
      "damage at or below the mark is told from a torn write: entries are had from others, and where more is lost it stays down",
  },
  "rot-beyond": {
    outcome: "refuses",
    reason:
      "as for rot; where nobody has a whole log that reaches as far as a quorum's nobody leads, and nothing is served",
  },
  "rot-above-mark": {
    outcome: "off",
    reason: "nothing says yet that the last write was durable, so damage to it is taken for a torn write",
  },
  "lost-tail": {
    outcome: "off",
    reason: "where the log's last batches are lost together, none is left that says that they were durable",
  },
  wipe: {
    outcome: "goes on",
    reason: "the log knows servers by their disks: another one counts when it is re-admitted",
  },
  "old-copy": {
    outcome: "goes on",
    reason: "a disk that was started less often than the log says counts when the server is re-admitted",
  },
  "replace-beyond": {
    outcome: "off",
    reason: "more disks are replaced than others can make up for, or such as nothing tells from the ones before",
  },
  "rot-in-snapshots": {
    outcome: "refuses",
    reason:
      "an older snapshot takes the place of a damaged one, and the server does not start where the log begins later",
  },
  "disk-slow": { outcome: "goes on", reason: "as for a disk that stalls" },
};
