/**
 * Which entries of a log are damaged on disk.
 *
 * @module
 */
import type { LogIndex, TermRun } from "./types.ts";

/** Entries `[from, end)` that the log has, but that can't be read from its disk. */
export interface DamagedRange {
  /** Index of the first one. */
  readonly from: LogIndex;
  /** Index after the last one. */
  readonly end: LogIndex;
  /**
   * Whether the log knows the term of each. If not, it knows that of the last one, which is the most that the others can
   * have.
   */
  readonly isTermKnown: boolean;
}

/** These ranges, which are ascending and apart, and one more; where they overlap, terms are known only if both know them. */
export function addDamage<R extends DamagedRange>(ranges: readonly R[], added: R): R[] {
  const isWorse = (range: R) => added.isTermKnown && !range.isTermKnown;
  const all = ranges.flatMap((range) => isWorse(range) ? [range] : removeDamage([range], added.from, added.end));
  let pieces = added.from < added.end ? [added] : [];
  for (const { from, end } of all) pieces = removeDamage(pieces, from, end);
  all.push(...pieces);
  all.sort((a, b) => a.from - b.from);
  const joined: R[] = [];
  for (const range of all) {
    const last = joined[joined.length - 1];
    if (last !== undefined && last.end === range.from && last.isTermKnown === range.isTermKnown) {
      joined[joined.length - 1] = { ...last, end: range.end };
    } else joined.push(range);
  }
  return joined;
}

/** What is left of these ranges without `[from, end)`. */
export function removeDamage<R extends DamagedRange>(ranges: readonly R[], from: LogIndex, end: LogIndex): R[] {
  const left: R[] = [];
  for (const range of ranges) {
    if (range.end <= from || range.from >= end) {
      left.push(range);
      continue;
    }
    if (range.from < from) left.push({ ...range, end: from });
    if (range.end > end) left.push({ ...range, from: end });
  }
  return left;
}

/** The first of these ranges with an entry at or after the index. */
export function damageFrom<R extends DamagedRange>(ranges: readonly R[], index: LogIndex): R | undefined {
  return ranges.find(({ end }) => end > index);
}

/** Whether the entry at the index is in one of these ranges. */
export function isDamaged(ranges: readonly DamagedRange[], index: LogIndex): boolean {
  const range = damageFrom(ranges, index);
  return range !== undefined && range.from <= index;
}

/**
 * These term runs of the entries up to `lastIndex`, with others for the entries `[from, end)`. The given ones begin at or
 * before `from`.
 */
export function replaceRuns(
  runs: readonly TermRun[],
  lastIndex: LogIndex,
  replacing: readonly TermRun[],
  from: LogIndex,
  end: LogIndex,
): TermRun[] {
  const replaced: TermRun[] = [];
  const add = (given: readonly TermRun[], start: LogIndex, stop: LogIndex): void => {
    for (let i = 0; i < given.length; i++) {
      const first = Math.max(given[i]!.from, start);
      const last = Math.min(given[i + 1]?.from ?? stop, stop);
      if (first < last && replaced[replaced.length - 1]?.term !== given[i]!.term) {
        replaced.push({ term: given[i]!.term, from: first });
      }
    }
  };
  add(runs, 0, from);
  add(replacing, from, end);
  add(runs, end, lastIndex + 1);
  return replaced;
}
