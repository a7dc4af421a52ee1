/**
 * The log as the core knows it: where each term begins. That is all that Raft's comparisons need, so the core holds
 * no payload and reads no disk.
 *
 * @module
 */
import type { LogIndex, Term, TermRun } from "../types.ts";
import { invariant } from "./invariant.ts";

/** Terms of the entries `[firstIndex, lastIndex]`, and of the one before. */
export interface TermIndex {
  /** Index of the first entry that is held; 1 unless compacted. */
  firstIndex: LogIndex;
  /** Index of the last one; `firstIndex - 1` when there is none. */
  lastIndex: LogIndex;
  /** Term of the entry `firstIndex - 1`; 0 when that is index 0. */
  prevTerm: Term;
  /** One per term, ascending in both fields; the first starts at `firstIndex`. */
  runs: TermRun[];
}

/** A term index from what a store found. */
export function openTermIndex(
  firstIndex: LogIndex,
  lastIndex: LogIndex,
  runs: readonly TermRun[],
  prevTerm: Term = 0,
): TermIndex {
  const log: TermIndex = { firstIndex, lastIndex: firstIndex - 1, prevTerm, runs: [] };
  if (lastIndex >= firstIndex) appendRuns(log, runs, firstIndex, lastIndex + 1);
  invariant(log.lastIndex === lastIndex, () => `the store's terms must reach index ${lastIndex}`);
  return log;
}

/** Term of the entry at the index; undefined when it is neither held nor the one before the first. */
export function termAt(log: TermIndex, index: LogIndex): Term | undefined {
  if (index > log.lastIndex || index < log.firstIndex - 1) return undefined;
  if (index === log.firstIndex - 1) return log.prevTerm;
  return log.runs[runAt(log, index)]!.term;
}

/** Term of the last entry, 0 when there never was one. */
export function lastTerm(log: TermIndex): Term {
  return log.lastIndex < log.firstIndex ? log.prevTerm : log.runs[log.runs.length - 1]!.term;
}

/** Position of the run that holds the index. */
function runAt(log: TermIndex, index: LogIndex): number {
  let low = 0;
  let high = log.runs.length - 1;
  if (log.runs[high]!.from <= index) return high;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (log.runs[middle]!.from <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Adds the entries `[from, end)` with these terms; runs may start before `from`. */
export function appendRuns(log: TermIndex, runs: readonly TermRun[], from: LogIndex, end: LogIndex): void {
  invariant(from === log.lastIndex + 1, () => `entries from ${from} must follow the last index ${log.lastIndex}`);
  invariant(from < end && runs.length > 0 && runs[0]!.from <= from, () => `runs must cover [${from}, ${end})`);
  for (let i = 0; i < runs.length; i++) {
    const start = Math.max(runs[i]!.from, from);
    const stop = Math.min(i + 1 < runs.length ? runs[i + 1]!.from : end, end);
    if (start < stop) appendTerm(log, runs[i]!.term, stop - start);
  }
}

/** Adds `count` entries of one term. */
export function appendTerm(log: TermIndex, term: Term, count: number): void {
  const last = lastTerm(log);
  invariant(term >= last, () => `terms must not decrease along the log: ${term} after ${last}`);
  if (log.runs.length === 0 || last !== term) log.runs.push({ term, from: log.lastIndex + 1 });
  log.lastIndex += count;
}

/** Removes all entries from the index on. */
export function truncateTerms(log: TermIndex, from: LogIndex): void {
  invariant(from >= log.firstIndex, () => `a truncation at ${from} must not go below ${log.firstIndex}`);
  while (log.runs.length > 0 && log.runs[log.runs.length - 1]!.from >= from) log.runs.pop();
  log.lastIndex = Math.min(log.lastIndex, from - 1);
}

/** Forgets the entries before `firstIndex`, which is at most one after the last. */
export function compactTerms(log: TermIndex, firstIndex: LogIndex): void {
  const prevTerm = termAt(log, firstIndex - 1);
  invariant(
    prevTerm !== undefined,
    () => `a compaction must stay within the log: ${firstIndex} is not in [${log.firstIndex}, ${log.lastIndex + 1}]`,
  );
  log.prevTerm = prevTerm;
  log.firstIndex = firstIndex;
  const first = log.runs.findLastIndex(({ from }) => from <= firstIndex);
  log.runs = firstIndex > log.lastIndex ? [] : log.runs.slice(first);
  if (log.runs.length > 0) log.runs[0] = { term: log.runs[0]!.term, from: firstIndex };
}

/** Holds nothing and goes on after this entry, which a snapshot includes. */
export function resetTerms(log: TermIndex, index: LogIndex, term: Term): void {
  log.firstIndex = index + 1;
  log.lastIndex = index;
  log.prevTerm = term;
  log.runs = [];
}

/**
 * The first of the entries `[from, end)` that the log does not hold with the same term; `end` when it holds all. Runs
 * start at or before `from`. Entries below the log's first are held by definition: they were committed.
 */
export function firstMissing(log: TermIndex, runs: readonly TermRun[], from: LogIndex, end: LogIndex): LogIndex {
  for (let i = 0; i < runs.length; i++) {
    let index = Math.max(runs[i]!.from, from, log.firstIndex);
    const stop = Math.min(i + 1 < runs.length ? runs[i + 1]!.from : end, end);
    while (index < stop) {
      if (index > log.lastIndex) return index;
      const position = runAt(log, index);
      if (log.runs[position]!.term !== runs[i]!.term) return index;
      const next = log.runs[position + 1];
      index = Math.min(stop, next === undefined ? log.lastIndex + 1 : next.from);
    }
  }
  return end;
}

/**
 * The last index at or below `index` whose term is at most `term`: where two logs may agree, given one's entry at
 * `index` has another term (Raft §5.3, end). Never below `firstIndex - 1`.
 */
export function lastAtMost(log: TermIndex, index: LogIndex, term: Term): LogIndex {
  let at = Math.min(index, log.lastIndex);
  while (at >= log.firstIndex) {
    const run = log.runs[runAt(log, at)]!;
    if (run.term <= term) return at;
    at = run.from - 1;
  }
  return at;
}
