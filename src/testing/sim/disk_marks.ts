/**
 * Marks of snapshots and of disks that fail, seen from outside.
 *
 * @module
 */
import type { LogIndex } from "../../types.ts";
import { type Checker, configurationIn } from "./check/checker.ts";
import type { DiskFault } from "./survivable.ts";
import type { NodeView, StepView } from "./view.ts";

const none = {
  "crashed-while-receiving-snapshot": 0,
  "crashed-while-installing-snapshot": 0,
  "snapshot-received-in-joint": 0,
  "snapshot-installed-twice": 0,
  "two-snapshots-pending": 0,
  "log-emptied-under-probe": 0,
  "campaign-withheld-for-damage": 0,
  "stopped-for-write-error": 0,
  "stopped-for-sync-error": 0,
  "stopped-for-full-disk": 0,
  "started-after-full-disk": 0,
  "full-disk-has-room": 0,
};

/** The name of such a mark. */
export type DiskMark = keyof typeof none;

/** What a server stops for, as a mark. */
const stops: Partial<Record<DiskFault, DiskMark>> = {
  "write-error": "stopped-for-write-error",
  "sync-error": "stopped-for-sync-error",
  "disk-full": "stopped-for-full-disk",
};

/** Watches one run. */
export class DiskObserver implements Checker {
  /** How often each was seen. */
  readonly hits: Record<DiskMark, number> = { ...none };
  /** Lives that are being sent a snapshot. */
  readonly #receiving = new WeakSet<NodeView>();
  /** How many snapshots have taken the log's place in a life. */
  readonly #installs = new WeakMap<NodeView, number>();
  /** Servers that have stopped as their disk was full. */
  readonly #filled = new Set<number>();

  /** See {@linkcode Checker.onStart}. */
  onStart(_ghost: unknown, { index }: NodeView): void {
    if (this.#filled.delete(index)) this.hits["started-after-full-disk"]++;
  }

  /** See {@linkcode Checker.onStep}. */
  onStep(_ghost: unknown, node: NodeView, { event, effects, before, now }: StepView): void {
    const { core } = node;
    if (event.type === "snapshot-received") this.#onReceived(node, event);
    else if (event.type === "storage-filled" && !event.isFull) this.hits["full-disk-has-room"]++;
    else if (event.type === "deadline-reached" && before.soundIndex < Infinity && now >= before.electionAt) {
      if (core.role === "follower") this.hits["campaign-withheld-for-damage"]++;
    }
    for (const effect of effects) {
      if (effect.type === "receive-snapshot") this.#receiving.add(node);
      else if (effect.type === "install-snapshot") this.#onInstall(node);
      else if (effect.type === "compact") this.#onCompact(node, effect.firstIndex);
      else if (effect.type === "send-snapshot") this.#onSend(node);
    }
  }

  /** A server is about to crash. */
  onCrash(node: NodeView): void {
    if (node.core === undefined) return;
    if (this.#receiving.has(node)) this.hits["crashed-while-receiving-snapshot"]++;
    if (node.core.installing !== undefined) this.hits["crashed-while-installing-snapshot"]++;
  }

  /** A server has stopped, or does not start, for this. */
  onDown(index: number, fault: DiskFault): void {
    const name = stops[fault];
    if (name === undefined) return;
    this.hits[name]++;
    if (fault === "disk-full") this.#filled.add(index);
  }

  #onReceived(
    node: NodeView,
    { configuration }: Extract<StepView["event"], { type: "snapshot-received" }>,
  ): void {
    this.#receiving.delete(node);
    const isJoint = configuration.outgoing !== undefined || configurationIn(node)?.outgoing !== undefined;
    if (isJoint) this.hits["snapshot-received-in-joint"]++;
  }

  #onInstall(node: NodeView): void {
    const count = (this.#installs.get(node) ?? 0) + 1;
    this.#installs.set(node, count);
    if (count === 2) this.hits["snapshot-installed-twice"]++;
  }

  /** A leader lets all that it has go, and a peer of which it does not know yet what that has. */
  #onCompact({ core }: NodeView, firstIndex: LogIndex): void {
    const { leading, log } = core;
    if (leading === undefined || firstIndex <= log.lastIndex) return;
    if ([...leading.progress.values()].some(({ state }) => state === "probe")) this.hits["log-emptied-under-probe"]++;
  }

  #onSend({ core }: NodeView): void {
    const pending = [...core.leading?.progress.values() ?? []].filter(({ state }) => state === "snapshot");
    if (pending.length > 1) this.hits["two-snapshots-pending"]++;
  }
}
