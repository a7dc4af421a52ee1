/**
 * What the servers of a {@linkcode Cluster} keep: entries, and snapshots that stand for some.
 *
 * @module
 */
import type { SnapshotStart } from "../../src/core/core.ts";
import type { SnapshotRequest } from "../../src/message.ts";
import type { Configuration, LogIndex, Term, Vote } from "../../src/types.ts";

/** An entry; no two proposals have the same value. */
export interface Entry {
  readonly term: Term;
  readonly value: string;
  readonly configuration?: Configuration;
}

/** What a server keeps of its machine, with the entries that it stands for. */
export interface Snapshot extends SnapshotStart {
  readonly entries: readonly Entry[];
}

/** What would be found after a power cut. */
export interface Disk {
  vote: Vote;
  /** From index 1 on, for the checker: the core knows nothing of what is before `firstIndex`. */
  log: Entry[];
  firstIndex: LogIndex;
  snapshot: Snapshot | undefined;
}

/** A disk that keeps its whole log. */
export function diskOf(vote: Vote, log: Entry[]): Disk {
  return { vote, log, firstIndex: 1, snapshot: undefined };
}

/** What is offered, with the entries that came beside it. */
export function snapshotOf(request: SnapshotRequest, entries: readonly Entry[]): Snapshot {
  const { index, lastTerm: term, configuration, configurationIndex } = request;
  return { index, term, configuration, configurationIndex, entries };
}

/** The configurations among these entries, which begin at 1, from an index on. */
export function configurationsIn(
  log: readonly Entry[],
  from: LogIndex,
): { readonly index: LogIndex; readonly configuration: Configuration }[] {
  return log.flatMap(({ configuration }, i) =>
    configuration === undefined || i + 1 < from ? [] : [{ index: i + 1, configuration }]
  );
}
