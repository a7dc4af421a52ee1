/**
 * Marks that are seen from outside: situations of a cluster, which no place in its code stands for.
 *
 * @module
 */
import type { Message } from "../../message.ts";
import type { ServerId, Term } from "../../types.ts";
import type { Checker } from "./check/checker.ts";
import type { NodeView, StepView } from "./view.ts";

const none = {
  "cluster-of-one": 0,
  "cluster-of-two": 0,
  "term-beyond-32-bits": 0,
  "index-beyond-32-bits": 0,
  "leader-after-skipped-term": 0,
  "split-vote": 0,
  "leader-deposed-by-append-request": 0,
  "leader-deposed-by-append-response": 0,
  "leader-deposed-by-vote-request": 0,
  "leader-deposed-by-snapshot-response": 0,
  "leader-paused-beyond-election": 0,
  "leader-crashed": 0,
  "transfer-target-crashed": 0,
  "truncated-one": 0,
  "truncated-many": 0,
  "truncated-hundred": 0,
  "truncated-entry-came-back": 0,
  "commit-waited-for-own-disk": 0,
  "earlier-term-committed-by-own-entry": 0,
  "round-answered-late": 0,
  "forwarded-command-lost": 0,
  "forwarded-answer-lost": 0,
  "core-healed-alone": 0,
  "cluster-halted": 0,
};

/** The name of such a mark. */
export type SeenMark = keyof typeof none;

/** As many at once are many. */
const many = 5;

/** Watches one run. */
export class MarkObserver implements Checker {
  /** How often each was seen. */
  readonly hits: Record<SeenMark, number> = { ...none };
  readonly #candidates = new Map<Term, Set<ServerId>>();
  readonly #steppedAt = new WeakMap<NodeView, number>();
  readonly #truncated = new WeakMap<NodeView, Set<string>>();
  #lastLed: Term = 0;

  /** A cluster of so many servers. */
  constructor(servers: number) {
    if (servers === 1) this.hits["cluster-of-one"]++;
    if (servers === 2) this.hits["cluster-of-two"]++;
  }

  /** See {@linkcode Checker.onStep}. */
  onStep(_ghost: unknown, node: NodeView, step: StepView): void {
    const { before, now } = step;
    if (node.core.term !== before.term || node.core.role !== before.role) this.#onRole(node, step);
    if (before.role === "leader") {
      const pause = now - (this.#steppedAt.get(node) ?? now);
      if (pause > node.core.settings.electionMinMs) this.hits["leader-paused-beyond-election"]++;
      this.#onLeaderStep(node, step);
    }
    this.#steppedAt.set(node, now);
    for (const effect of step.effects) {
      if (effect.type === "truncate") this.#onTruncate(node, effect.from, before.lastIndex);
      else if (effect.type === "append" && effect.source === "message") this.#onAppend(node, effect.from, effect.end);
    }
  }

  /** A server is about to crash, one of these lives. */
  onCrash(node: NodeView, others: readonly NodeView[]): void {
    if (node.core?.role === "leader") this.hits["leader-crashed"]++;
    if (others.some(({ core }) => core?.leading?.transfer?.to === node.id)) this.hits["transfer-target-crashed"]++;
  }

  /** When the faults end some servers are healed, and others are not. */
  onCoreHealed(): void {
    this.hits["core-healed-alone"]++;
  }

  /** Nobody was left who could lead, and nobody did. */
  onHalted(): void {
    this.hits["cluster-halted"]++;
  }

  /** A message gets lost in a cut. */
  onCut({ type }: Message): void {
    if (type === "forward-request") this.hits["forwarded-command-lost"]++;
    if (type === "forward-response") this.hits["forwarded-answer-lost"]++;
  }

  #onRole({ id, core }: NodeView, { before, event }: StepView): void {
    const { role, term } = core;
    if (term >= 2 ** 32) this.hits["term-beyond-32-bits"]++;
    if (before.role === "leader" && event.type === "message-received") {
      const name = `leader-deposed-by-${event.message.type}`;
      if (name in this.hits) this.hits[name as SeenMark]++;
    }
    if (role === "candidate") {
      const rivals = this.#candidates.get(term) ?? new Set();
      this.#candidates.set(term, rivals.add(id));
      // A candidate that gives its term up, and was not alone in it.
      const earlier = before.role === "candidate" ? this.#candidates.get(before.term) : undefined;
      if (earlier !== undefined && earlier.size > 1 && before.term > this.#lastLed) this.hits["split-vote"]++;
    }
    if (role !== "leader" || before.role === "leader") return;
    if (this.#lastLed > 0 && term > this.#lastLed + 1) this.hits["leader-after-skipped-term"]++;
    this.#lastLed = Math.max(this.#lastLed, term);
  }

  #onLeaderStep({ core }: NodeView, { before, event }: StepView): void {
    const { leading, commitIndex } = core;
    if (leading === undefined) return;
    if (commitIndex > before.commitIndex) {
      if (commitIndex >= 2 ** 32) this.hits["index-beyond-32-bits"]++;
      if (event.type === "entries-persisted" && leading.progress.size > 0) this.hits["commit-waited-for-own-disk"]++;
      if (before.commitIndex + 1 < leading.firstIndex) this.hits["earlier-term-committed-by-own-entry"]++;
    }
    const isLate = event.type === "message-received" && event.message.type === "append-response" &&
      leading.readRound !== undefined && event.message.round < leading.readRound.round;
    if (isLate) this.hits["round-answered-late"]++;
  }

  #onTruncate(node: NodeView, from: number, lastIndex: number): void {
    const count = lastIndex - from + 1;
    if (count === 1) this.hits["truncated-one"]++;
    if (count >= many) this.hits["truncated-many"]++;
    if (count >= 100) this.hits["truncated-hundred"]++;
    const gone = this.#truncated.get(node) ?? new Set();
    this.#truncated.set(node, gone);
    // The log's view still has what was just removed.
    for (let index = from; index <= lastIndex; index++) gone.add(`${index} ${node.log.termAt(index)}`);
  }

  #onAppend(node: NodeView, from: number, end: number): void {
    const gone = this.#truncated.get(node);
    if (gone === undefined) return;
    const { runs } = node.core.log;
    for (let index = from; index < end; index++) {
      const term = runs.findLast((run) => run.from <= index)?.term;
      if (gone.has(`${index} ${term}`)) this.hits["truncated-entry-came-back"]++;
    }
  }
}
