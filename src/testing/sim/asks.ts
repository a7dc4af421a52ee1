/**
 * Calls that ask a server how far it is, whether it leads, and for its snapshots.
 *
 * @module
 */
import { NothingNewToSnapshotError, RaftError, ShutdownError } from "../../errors.ts";
import type { Snapshot } from "../../raft.ts";
import type { RaftStatus } from "../../status.ts";
import type { SnapshotMeta } from "../../store/snapshot_store.ts";
import { askedFor } from "./check/due.ts";
import type { Ghost } from "./ghost.ts";
import { Refusal } from "./machine.ts";
import type { Life } from "./server.ts";
import { abortAfter, expect, missesNothing, readInEvents, reason, type Touching } from "./touch_scene.ts";
import type { World } from "./world.ts";

/** Those that any server answers. */
export const ASKS = [
  /** An index that is safe to read at. */
  "read-index",
  /** Whether it leads. */
  "verify-leader",
  /** An entry that is to be committed; who asks gives up later. */
  "wait",
  /** An end that who asks for it has given up before. */
  "drain-aborted",
] as const;

/** Those that only servers answer that keep snapshots. */
export const SNAPSHOT_ASKS = [
  /** A snapshot, now. */
  "snapshot",
  /** Those that there are, and the bytes of the newest. */
  "snapshots",
] as const;

/** Any of them. */
export type Ask = (typeof ASKS)[number] | (typeof SNAPSHOT_ASKS)[number];

/** How each is asked and judged. */
export const asks: Touching<Ask> = {
  async "read-index"({ ghost, life, raft }) {
    const floor = ghost.readFloor;
    const index = await raft.readIndex();
    if (life.isOver) return false;
    ghost.must(index >= floor && raft.appliedIndex >= index, "R1", () => {
      return `"${life.id}" may be read at ${index}, applied is ${raft.appliedIndex}; others had seen ${floor}`;
    });
    ghost.readFloor = Math.max(ghost.readFloor, index);
    return true;
  },

  async "verify-leader"({ ghost, life, raft }) {
    const ledBefore = life.core.role === "leader";
    const latest = latestTerm(ghost);
    await raft.verifyLeader();
    if (life.isOver) return false;
    // A quorum that has answered since would not have answered to a leader of an older term than one that led by then.
    const leads = [...ghost.leaders].some(([term, { leader }]) => {
      return leader === life.id && (term > latest || (term === latest && ledBefore));
    });
    ghost.must(leads, "R2", () => {
      return `"${life.id}" says that it led when the term ${latest} of "${
        ghost.leaders.get(latest)?.leader
      }" had begun`;
    });
    return true;
  },

  async wait(scene) {
    const { world, ghost, life, raft, input } = scene;
    const signal = abortAfter(world, input.after);
    const [commitIndex, term] = [raft.commitIndex + 1, raft.currentTerm];
    let found: RaftStatus | undefined;
    const error = await reason(raft.wait({ commitIndex, term }, { signal }).then((status) => found = status));
    if (life.isOver) return false;
    expect(scene, signal, error);
    const isThere = found === undefined || (found.commitIndex >= commitIndex && found.term >= term);
    ghost.must(isThere, "K6", () => {
      return `"${life.id}" was to commit ${commitIndex}, and is said to have by ${JSON.stringify(found)}`;
    });
    missesNothing(scene, signal, error, life.core.commitIndex >= commitIndex && life.core.term >= term);
    return true;
  },

  async "drain-aborted"({ ghost, life, raft }) {
    const signal = AbortSignal.abort(new Refusal("aborted"));
    const error = await reason(raft.drain({ signal }));
    if (life.isOver) return false;
    ghost.must(error === signal.reason, "K4", () => `an aborted drain on "${life.id}" is answered with ${error}`);
    const after = await reason(raft.read(() => 0, { consistency: "stale" }));
    if (life.isOver) return false;
    const isEnding = life.isStopping || life.draining !== undefined || raft.state === "shutdown";
    const goesOn = !(after instanceof ShutdownError) || isEnding;
    ghost.must(goesOn, "V8", () => `"${life.id}" was not drained after all and answers a read with ${after}`);
    return true;
  },

  async snapshot({ ghost, life, raft }) {
    const before = raft.appliedIndex;
    try {
      const { meta } = await askedFor(ghost, life, raft.snapshot());
      if (life.isOver) return false;
      ghost.must(meta.index >= before && meta.index <= raft.appliedIndex, "S1", () => {
        return `"${life.id}" had applied ${before} and took ${meta.index}, applied is ${raft.appliedIndex}`;
      });
      standsFor(ghost, life.id, meta);
      return true;
    } catch (error) {
      if (life.isOver || !(error instanceof NothingNewToSnapshotError)) throw error;
      // The core may not have heard yet of one that was just taken.
      const isThere = life.core.snapshot.index >= before;
      const { index } = isThere ? life.core.snapshot : (await raft.snapshots())[0]?.meta ?? life.core.snapshot;
      if (life.isOver) return false;
      ghost.must(index >= before, "S1", () => {
        return `"${life.id}" has nothing new to take: its last snapshot ends at ${index}, applied was ${before}`;
      });
      return true;
    }
  },

  async snapshots({ world, ghost, life, raft }) {
    const found = await raft.snapshots();
    if (life.isOver) return false;
    const indexes = found.map(({ meta }) => meta.index);
    ghost.must(indexes.every((index, i) => i === 0 || index <= indexes[i - 1]!), "S1", () => {
      return `the snapshots of "${life.id}" are not the newest first: ${indexes.join(", ")}`;
    });
    for (const { meta } of found) standsFor(ghost, life.id, meta);
    // Who reads its bytes has been answered: an end of the server need not wait for that.
    if (found[0] !== undefined) void readWhole(world, ghost, life, found[0]);
    return true;
  },
};

/** The latest term that anybody has led. */
function latestTerm(ghost: Ghost): number {
  return Math.max(0, ...ghost.leaders.keys());
}

/** S1: it ends with what is committed there, and the servers in it are those of the log up to there. */
function standsFor(ghost: Ghost, id: string, { index, term, configurationIndex }: SnapshotMeta): void {
  // Whoever took it may be the first that knows of it.
  ghost.later.push(() => {
    const committed = ghost.commits.at(index);
    ghost.must(committed?.term === term, "S1", () => {
      return `"${id}" gives a snapshot up to entry ${index} of term ${term}; committed is one of term ${committed?.term}`;
    });
    const last = ghost.commits.configuredAt(index);
    ghost.must(last === configurationIndex, "S1", () => {
      return `"${id}" gives a snapshot up to ${index} with the servers of entry ${configurationIndex}, not of ${last}`;
    });
  });
}

/** A snapshot whose bytes may be read. */
interface Readable extends Pick<Snapshot, "open"> {
  readonly meta: Pick<SnapshotMeta, "bytes">;
}

/** S1: a snapshot is given as long as it is said to be. */
export async function readWhole(world: World, ghost: Ghost, life: Life, snapshot: Readable): Promise<void> {
  const { meta } = snapshot;
  try {
    const { length } = await readInEvents(world, snapshot.open());
    ghost.must(life.isOver || length === meta.bytes, "S1", () => {
      return `a snapshot of ${meta.bytes} bytes on "${life.id}" is given as ${length}`;
    });
  } catch (error) {
    ghost.must(life.isOver || error instanceof RaftError, "K4", () => {
      return `a snapshot of "${life.id}" that is read ends with ${error}`;
    });
  }
}
