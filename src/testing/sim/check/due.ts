/**
 * K6: a server takes no snapshot of itself before one is due by the settings in force. That it takes one then is seen when
 * the faults are over, see drill.ts.
 *
 * @module
 */
import type { Ghost } from "../ghost.ts";
import type { Life } from "../life.ts";
import type { NodeView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** When a life is to take a snapshot of itself. */
export interface Due {
  /** After so many entries or bytes: the fewest that were enough since it last took one. */
  readonly entries: number;
  readonly bytes: number;
}

/** A `snapshotThresholdBytes` beyond what is written in a run. */
export const NEVER_BYTES: number = 2 ** 26;

/** Counts those that a leader may take for others. */
export const due: Checker = {
  onStep(ghost, node, { event, effects }) {
    for (const { type } of effects) if (type === "send-snapshot") count(ghost, node, 1);
    if (event.type === "snapshot-sent" || event.type === "snapshot-failed") count(ghost, node, -1);
    // One of a leader's leaves few of the entries for which one was due, that may be taken yet.
    if (event.type === "snapshot-received") ghost.due.set(node, { entries: 0, bytes: Infinity });
  },
};

function count({ snapshotsAsked }: Ghost, node: NodeView, by: number): void {
  snapshotsAsked.set(node, (snapshotsAsked.get(node) ?? 0) + by);
}

/** A snapshot is asked for, due or not, until this is answered. */
export async function askedFor<Answer>(ghost: Ghost, life: NodeView, answer: Promise<Answer>): Promise<Answer> {
  count(ghost, life, 1);
  try {
    return await answer;
  } finally {
    count(ghost, life, -1);
  }
}

/** To be called before and after settings change: what was found to be due by those before may be taken yet. */
export function noteDue(ghost: Ghost, life: Life): void {
  const [now, before] = [inForce(life), ghost.due.get(life)];
  const isNothingNew = entriesOf(life) <= 0;
  if (before === undefined || isNothingNew) return void ghost.due.set(life, now);
  const [entries, bytes] = [Math.min(before.entries, now.entries), Math.min(before.bytes, now.bytes)];
  ghost.due.set(life, { entries, bytes });
}

/** A life's machine is asked for what is to be in a snapshot. */
export function captured(ghost: Ghost, life: Life): void {
  const { id } = life;
  const least = ghost.due.get(life) ?? inForce(life);
  // Bytes nobody counts here.
  const isExcused = (ghost.snapshotsAsked.get(life) ?? 0) > 0 || least.bytes < NEVER_BYTES;
  const entries = entriesOf(life);
  ghost.must(isExcused || entries >= least.entries, "K6", () => {
    return `"${id}" takes a snapshot of itself after ${entries} entries, and is to do so after ${least.entries}`;
  });
  ghost.due.set(life, inForce(life));
}

function inForce({ configured, reloaded }: Life): Due {
  const { snapshotThreshold: entries, snapshotThresholdBytes: bytes } = { ...configured, ...reloaded };
  return { entries, bytes };
}

/** How many it has applied since its last snapshot. While it starts nobody can say. */
function entriesOf({ raft, core }: Life): number {
  return (raft?.appliedIndex ?? Infinity) - core.snapshot.index;
}
