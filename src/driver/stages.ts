/**
 * Follows single commands through the stages of their way, for metrics.
 *
 * @module
 */
import type { CoreState } from "../core/state.ts";
import { Histogram, type Stage, type StageHistograms, STAGES } from "../metrics.ts";
import type { LogIndex, Term } from "../types.ts";
import type { Environment } from "./environment.ts";

/** What the core knows of a command's entry. */
type Known = Pick<CoreState, "role" | "term" | "persistedIndex" | "commitIndex" | "leading">;

/** One command on its way. */
interface Followed {
  readonly index: LogIndex;
  readonly term: Term;
  readonly startedAt: number;
  readonly seen: Set<Stage>;
}

/** No command is followed that arrived sooner than this after the last one's answer, milliseconds. */
const spacingMs = 1;

/**
 * Histograms of the stages. Of the commands that callers hand to a leader one is followed to its answer, then, after a
 * while, another, so that the cost does not grow with their number.
 */
export class Stages {
  readonly #environment: Pick<Environment, "now">;
  readonly #histograms: Readonly<Record<Stage, Histogram>>;
  #followed: Followed | undefined;
  #nextAt = -Infinity;

  /** Takes the clock. */
  constructor(environment: Pick<Environment, "now">) {
    this.#environment = environment;
    this.#histograms = Object.fromEntries(STAGES.map((stage) => [stage, new Histogram()])) as Record<Stage, Histogram>;
  }

  /** Whether a command is on its way; only then the other calls do anything. */
  get isFollowing(): boolean {
    return this.#followed !== undefined;
  }

  /** A command that arrived then stands in the log of the leader, this server. */
  onAppended(index: LogIndex, term: Term, startedAt: number): void {
    if (this.#followed !== undefined || startedAt < this.#nextAt) return;
    this.#followed = { index, term, startedAt, seen: new Set() };
    this.#reach("appended");
  }

  /** The core knows more. A command whose leader is none any more is not followed to its end. */
  look({ role, term, persistedIndex, commitIndex, leading }: Known): void {
    if (this.#followed === undefined) return;
    const { index, term: placed } = this.#followed;
    if (role !== "leader" || term !== placed || leading === undefined) {
      this.#followed = undefined;
      return;
    }
    if (persistedIndex >= index) this.#reach("durable");
    const { seen } = this.#followed;
    if (!seen.has("replicated")) {
      for (const { matchIndex } of leading.progress.values()) if (matchIndex >= index) this.#reach("replicated");
    }
    if (commitIndex >= index) this.#reach("committed");
  }

  /** The machine has applied the entry. */
  onApplied(index: LogIndex): void {
    if (this.#followed?.index === index) this.#reach("applied");
  }

  /** Its caller's promise is resolved. Of a command that is passed without that nothing more is known. */
  onAnswered(index: LogIndex): void {
    const followed = this.#followed;
    if (followed === undefined || index < followed.index) return;
    // A caller goes on in a later microtask.
    if (followed.index === index) queueMicrotask(() => this.#end(followed));
    else if (!followed.seen.has("applied")) this.#followed = undefined;
  }

  #end(followed: Followed): void {
    if (this.#followed !== followed) return;
    this.#nextAt = this.#reach("answered") + spacingMs;
    this.#followed = undefined;
  }

  /** Copies. */
  snapshot(): StageHistograms {
    const copies = STAGES.map((stage) => [stage, this.#histograms[stage].snapshot()]);
    return Object.fromEntries(copies) as unknown as StageHistograms;
  }

  /** Counts it the first time; gives the time. */
  #reach(stage: Stage): number {
    const { seen, startedAt } = this.#followed!;
    const now = this.#environment.now();
    if (!seen.has(stage)) this.#histograms[stage].add(now - startedAt);
    seen.add(stage);
    return now;
  }
}
