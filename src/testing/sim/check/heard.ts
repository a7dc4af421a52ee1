/**
 * What each server was told by its leaders, and when: R6 and K4, as local_reads.ts judges them, go by that.
 *
 * @module
 */
import type { LogIndex } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { NodeView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** When a server last heard its leader, and how much of the log it has been told is committed. */
export interface Heard {
  /** Microseconds of true time. */
  readonly time: number;
  /** The server's own clock, milliseconds. */
  readonly at: number;
  /** By how much its wall clock had run ahead of that in all. */
  readonly gainedMs: number;
  readonly told: LogIndex;
}

/** Notes it. */
export const heard: Checker = {
  onStep(ghost, node, { event }) {
    // Every turn ends so, and begins with a look at the clocks.
    if (event.type === "drained") ghost.gainedMs.set(node, node.clock.gainedMs);
    if (event.type !== "message-received") return;
    const { message, from } = event;
    if (message.type !== "append-request" && message.type !== "snapshot-request") return;
    const { core } = node;
    // One of an earlier term is no leader any more, and one of a term far ahead is none that anybody believes in. What a leader
    // hears of itself somebody has handed back to it.
    if (core.term !== message.term || core.leader !== from || from === node.id) return;
    note(ghost, node, message.type === "append-request" ? message.commitIndex : message.index);
  },
};

function note(ghost: Ghost, node: NodeView, index: LogIndex): void {
  const { clock } = node;
  const told = Math.max(ghost.heard.get(node)?.told ?? 0, index);
  ghost.heard.set(node, { time: ghost.time, at: clock.now(), gainedMs: clock.gainedMs, told });
}
