/**
 * Marks of changes of the servers, seen from outside.
 *
 * @module
 */
import type { Effect } from "../../core/effect.ts";
import type { IndexedConfiguration } from "../../types.ts";
import type { Checker } from "./check/checker.ts";
import { configurationIn, setsOf } from "./check/checker.ts";
import type { NodeView, StepView } from "./view.ts";

const none = {
  "joint-entered": 0,
  "joint-left": 0,
  "joint-left-by-next-leader": 0,
  "joint-truncated": 0,
  "crashed-in-joint": 0,
  "leader-crashed-in-joint": 0,
  "leader-crashed-in-joint-half-known": 0,
  "leader-crashed-leaving-joint": 0,
  "configuration-reverted": 0,
  "staging-promoted": 0,
  "staging-promoted-by-next-leader": 0,
  "promotion-withheld": 0,
  "promotion-refused": 0,
  "change-refused": 0,
  "change-refused-for-quorum": 0,
  "leader-removed-itself": 0,
  "removed-server-campaigned": 0,
  "removed-server-told": 0,
  "shut-down-when-removed": 0,
  "transfer-to-higher-priority": 0,
  "server-drained": 0,
};

/** The name of such a mark. */
export type MoveMark = keyof typeof none;

/** Watches one run. */
export class MoveObserver implements Checker {
  /** How often each was seen. */
  readonly hits: Record<MoveMark, number> = { ...none };
  /** What each life went by after its last step: a truncation leaves nothing of it. */
  readonly #known = new WeakMap<NodeView, readonly IndexedConfiguration[]>();

  /** See {@linkcode Checker.onStep}. */
  onStep(_ghost: unknown, node: NodeView, step: StepView): void {
    for (const effect of step.effects) this.#onEffect(node, effect);
    const { event } = step;
    const isAsked = event.type === "message-received" && event.message.type === "vote-request";
    if (isAsked && node.core.role === "leader") {
      const isMember = configurationIn(node)?.servers.some(({ id }) => id === event.from) === true;
      if (!isMember) this.hits["removed-server-campaigned"]++;
    }
    const { configurations } = node.core;
    const known = this.#known.get(node);
    if (known?.length !== configurations.length || known.at(-1) !== configurations.at(-1)) {
      this.#known.set(node, [...configurations]);
    }
  }

  /** A server is about to crash, one of these lives. */
  onCrash(node: NodeView, lives: readonly NodeView[]): void {
    const { core } = node;
    const [before, last] = core?.configurations.slice(-2) ?? [];
    const inForce = last ?? before;
    if (inForce === undefined) return;
    const { hits } = this;
    const isLeader = core.role === "leader";
    if (inForce.configuration.outgoing === undefined) {
      // It is left as soon as it is committed.
      const isLeaving = last !== undefined && before!.configuration.outgoing !== undefined;
      if (isLeader && isLeaving && inForce.index > core.commitIndex) hits["leader-crashed-leaving-joint"]++;
      return;
    }
    hits["crashed-in-joint"]++;
    if (!isLeader) return;
    hits["leader-crashed-in-joint"]++;
    // Of those that go on without it some know the joint configuration and others don't.
    const hash = node.log.hashAt(inForce.index);
    const others = lives.filter((other) => other !== node && setsOf(inForce.configuration).flat().includes(other.id));
    const count = others.filter(({ log }) => log.hashAt(inForce.index) === hash).length;
    if (count > 0 && count < others.length) hits["leader-crashed-in-joint-half-known"]++;
  }

  #onEffect(node: NodeView, effect: Effect): void {
    const { hits } = this;
    switch (effect.type) {
      case "append":
        if (effect.source === "configuration") this.#onAppend(node, effect.from);
        return;
      case "truncate": {
        const gone = (this.#known.get(node) ?? []).filter(({ index }) => index >= effect.from);
        if (gone.length > 0) hits["configuration-reverted"]++;
        if (gone.some(({ configuration }) => configuration.outgoing !== undefined)) hits["joint-truncated"]++;
        return;
      }
      case "settle-change": {
        if (effect.refusal === undefined) return;
        const { reason } = effect.refusal;
        hits["change-refused"]++;
        if (reason === "no-quorum") hits["change-refused-for-quorum"]++;
        if (reason === "unreachable" || reason === "too-slow" || reason === "removed") hits["promotion-refused"]++;
        return;
      }
      case "announce-catch-up":
        if (effect.matchIndex < effect.lastIndex) hits["promotion-withheld"]++;
        return;
      case "send":
        if (effect.message.type === "removed") hits["removed-server-told"]++;
        if (effect.message.type === "timeout-now") this.#onTransfer(node, effect.to);
    }
  }

  #onTransfer(node: NodeView, to: string): void {
    const priorityOf = (id: string) => configurationIn(node)?.servers.find((server) => server.id === id)?.priority ?? 1;
    if (priorityOf(to) > priorityOf(node.id)) this.hits["transfer-to-higher-priority"]++;
  }

  #onAppend({ id, core, log }: NodeView, index: number): void {
    const { hits } = this;
    const at = core.configurations.findIndex((it) => it.index === index);
    const [before, after] = [core.configurations[at - 1], core.configurations[at]?.configuration];
    if (before === undefined || after === undefined) return;
    const { configuration: { servers, outgoing } } = before;
    const isNext = log.termAt(before.index) !== core.term;
    if (outgoing === undefined && after.outgoing !== undefined) hits["joint-entered"]++;
    if (outgoing !== undefined && after.outgoing === undefined) {
      hits["joint-left"]++;
      if (isNext) hits["joint-left-by-next-leader"]++;
    }
    const isPromoted = after.servers.some((server) =>
      server.suffrage === "voter" &&
      servers.some((other) => other.id === server.id && other.suffrage === "staging")
    );
    if (isPromoted) hits["staging-promoted"]++;
    if (isPromoted && isNext) hits["staging-promoted-by-next-leader"]++;
    if (!setsOf(after).some((set) => set.includes(id))) hits["leader-removed-itself"]++;
  }
}
