/**
 * A history of writes for crash tests: run on a disk that halts somewhere, and compared with what must be left.
 */
import type { Store, StoreState, StoreWrite } from "../../src/store/store.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import type { Choose, MemoryFiles } from "../../src/testing/memory_files.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import type { Vote } from "../../src/types.ts";

/** What a store holds, comparably. */
export interface Content {
  readonly vote: Vote;
  readonly clusterId: string;
  /** Index of the first entry, and term of the one before. */
  readonly firstIndex: number;
  readonly prevTerm: number;
  /** `term:payload` of each entry. */
  readonly entries: readonly string[];
}

/** One step: a write, a mark, or closing and opening again. */
export type Step = StoreWrite | "mark" | "reopen";

/** Before anything was written. */
export const NOTHING: Content = {
  vote: { term: 0, votedFor: undefined },
  clusterId: "",
  firstIndex: 1,
  prevTerm: 0,
  entries: [],
};

/** A store as the crash tests use it: short segments, so that they change often. */
export function smallStore(files: MemoryFiles): Store {
  let counter = 0;
  return walStore(files, { segmentBytes: 4_096, random: () => `random-${counter++}`, now: () => 0 });
}

/** Takes one step; gives the store that is open then, on the same files. */
export async function take(files: MemoryFiles, store: Store, step: Step): Promise<Store> {
  if (step === "mark") await store.mark!();
  else if (step === "reopen") {
    await store.close();
    const next = smallStore(files);
    await next.open("a");
    return next;
  } else await store.write(step);
  return store;
}

/** What is there after a step. */
export function after(content: Content, step: Step): Content {
  if (typeof step === "string") return content;
  const { firstIndex, prevTerm } = step.compactTo ?? content;
  const truncated = content.entries.slice(0, (step.truncateFrom ?? Infinity) - content.firstIndex);
  const kept = truncated.slice(firstIndex - content.firstIndex);
  const texts = step.records.flatMap((records) =>
    textsOf([records]).map((text, i) => `${records.term(records.from + i)}:${text}`)
  );
  return {
    vote: step.vote ?? content.vote,
    clusterId: step.clusterId ?? content.clusterId,
    firstIndex,
    prevTerm,
    entries: [...kept, ...texts],
  };
}

/** Two segments, some batches in each, one of them read in pieces of its own; short, so that each byte can be tried. */
export const twoSegments: readonly Step[] = [
  // Not so little that a start would merge it with what comes next.
  { records: [commandsOf(1, 1, "one", "two".repeat(70))], vote: { term: 1, votedFor: "a" }, clusterId: "cluster" },
  { records: [commandsOf(3, 1, "three")] },
  "reopen",
  { truncateFrom: 3, records: [commandsOf(3, 2, "THREE")], vote: { term: 2, votedFor: "b" } },
  { records: [commandsOf(4, 2, "four", "x".repeat(600))] },
];

/** Every kind of write, across several segments, with truncations into earlier ones. */
export function history(): Step[] {
  const large = "L".repeat(1_500);
  return [
    { records: [], vote: { term: 1, votedFor: "a" } },
    { records: [commandsOf(1, 1, "one", "two")], clusterId: "cluster" },
    "mark",
    { records: [commandsOf(3, 1, "three", large, "five")] },
    { records: [commandsOf(6, 1, "six")], vote: { term: 2, votedFor: undefined } },
    "reopen",
    { records: [commandsOf(7, 2, "seven", large), commandsOf(9, 3, "nine")], vote: { term: 3, votedFor: "b" } },
    { records: [commandsOf(10, 3, large, large, large)] },
    { truncateFrom: 9, records: [commandsOf(9, 4, "NINE")], vote: { term: 4, votedFor: "c" } },
    { records: [commandsOf(10, 4, "TEN", large)] },
    { truncateFrom: 5, records: [] },
    { records: [commandsOf(5, 5, "FIVE")] },
    { records: [], vote: { term: 6, votedFor: "a" } },
    { truncateFrom: 4, records: [commandsOf(4, 6, "x".repeat(9_000), "y"), commandsOf(6, 6, "z")] },
    { records: [commandsOf(7, 6, "end")] },
    { records: [commandsOf(8, 6, "more")], compactTo: { firstIndex: 5, prevTerm: 6 } },
    "mark",
    { records: [commandsOf(9, 7, large, large)] },
    { records: [commandsOf(11, 7, large, large)], compactTo: { firstIndex: 10, prevTerm: 7 } },
    { truncateFrom: 12, records: [commandsOf(12, 8, "end")] },
    "reopen",
    { compactTo: { firstIndex: 40, prevTerm: 9 }, records: [], vote: { term: 9, votedFor: undefined } },
    { records: [commandsOf(40, 9, "end")] },
  ];
}

/** Some steps that may come next, of any kind. */
export function randomSteps(content: Content, count: number, choose: Choose): Step[] {
  const steps: Step[] = [];
  let now = content;
  for (let i = 0; i < count; i++) {
    const term = now.vote.term + choose(2, "term") || 1;
    const count = now.entries.length;
    const last = now.firstIndex + count - 1;
    const truncateFrom = count > 0 && choose(5, "truncate") === 0
      ? last + 1 - choose(Math.min(count, 8), "depth")
      : undefined;
    const end = truncateFrom ?? last + 1;
    const firstIndex = now.firstIndex + 1 + choose(end - now.firstIndex + 3, "distance");
    const prevTerm = firstIndex > end ? term : Number(now.entries[firstIndex - 1 - now.firstIndex]!.split(":")[0]);
    const compactTo = choose(8, "compact") === 0 ? { firstIndex, prevTerm } : undefined;
    const texts = Array.from({ length: choose(4, "entries") }, (_, k) => `${i}.${k}`.repeat(1 + choose(400, "size")));
    const write: StoreWrite = {
      records: texts.length === 0 ? [] : [commandsOf(Math.max(end, compactTo?.firstIndex ?? 0), term, ...texts)],
      truncateFrom,
      compactTo,
      vote: term > now.vote.term || texts.length === 0 ? { term, votedFor: "abc"[choose(3, "vote")] } : undefined,
    };
    const step = choose(10, "mark") === 0 ? "mark" : write;
    steps.push(step);
    now = after(now, step);
  }
  return steps;
}

/** Where a history was interrupted. */
export interface Interrupted {
  /** What was acknowledged, and what would have been next. Both are the same when no write was under way. */
  readonly acknowledged: Content;
  readonly attempted: Content;
  /** Starts that were acknowledged. */
  readonly starts: number;
  readonly isComplete: boolean;
}

/** Runs a history until the disk halts. The store is left as it is, like a process that is killed. */
export async function runHistory(
  files: MemoryFiles,
  steps: readonly Step[],
  before: Content = NOTHING,
): Promise<Interrupted> {
  let acknowledged = before;
  let attempted = before;
  let starts = 0;
  try {
    let store = smallStore(files);
    starts = (await store.open("a")).identity.starts;
    for (const step of steps) {
      attempted = after(acknowledged, step);
      if (step === "mark") await store.mark!();
      else if (step === "reopen") {
        await store.close();
        store = smallStore(files);
        starts = (await store.open("a")).identity.starts;
      } else await store.write(step);
      acknowledged = attempted;
    }
    await store.close();
    return { acknowledged, attempted, starts, isComplete: true };
  } catch {
    return { acknowledged, attempted, starts, isComplete: false };
  }
}

/** Opens a store, reads all of it, and leaves it as a killed process would, or closes it. */
export async function contentOf(
  files: MemoryFiles,
  end: "kill" | "close" = "kill",
): Promise<{ content: Content; starts: number; state: StoreState }> {
  const store = smallStore(files);
  const state = await store.open("a");
  const entries: string[] = [];
  for (let next = state.firstIndex; next <= state.lastIndex;) {
    for (const records of await store.read(next, state.lastIndex + 1, 2_000)) {
      entries.push(...textsOf([records]).map((text, i) => `${records.term(records.from + i)}:${text}`));
      next = records.end;
    }
  }
  if (end === "close") await store.close();
  else files.kill();
  const { vote, identity: { clusterId, starts }, firstIndex, prevTerm } = state;
  return { content: { vote, clusterId, firstIndex, prevTerm, entries }, starts, state };
}

/** What may survive a crash: extremes, patterns of sectors, and pseudo-random choices. */
export const choosers: Readonly<Record<string, () => Choose>> = {
  none: () => () => 0,
  all: () => (options) => options - 1,
  "files only": () => (options, what) => what.startsWith("directory") ? 0 : options - 1,
  "names only": () => (options, what) => what.startsWith("directory") ? options - 1 : 0,
  "even sectors": () => everyOther(0),
  "odd sectors": () => everyOther(1),
  "even pages": () => everyOther(0, true),
  "all, the last sectors zero": () => torn(0),
  "all, the last sectors garbage": () => torn(1),
  "all, of the last sectors the left half": () => torn(2),
  "all, of the last sectors the right half": () => torn(3),
  "only lengths": () => onlyLengths,
  "first sector": () => {
    let count = 0;
    return (options, what) => what.startsWith("directory") || count++ === 0 ? options - 1 : 0;
  },
  "all but the first sector": () => {
    let count = 0;
    return (options, what) => what.startsWith("directory") || count++ > 0 ? options - 1 : 0;
  },
  "random 1": () => pseudoRandom(1),
  "random 2": () => pseudoRandom(2),
  "random 3": () => pseudoRandom(3),
};

function everyOther(offset: number, isPages = false): Choose {
  let count = offset;
  return (options, what) => {
    if (what.startsWith("sector")) return count++ % 2 === 0 ? 1 : 0;
    return what.startsWith("pages") && !isPages ? 0 : options - 1;
  };
}

/** Keeps all but the last sectors, which come out like this: see {@linkcode Choose}. */
function torn(how: number): Choose {
  return (options, what) => what.startsWith("last") ? how : what.startsWith("torn") ? options >> 1 : options - 1;
}

/** Nothing of what was written, but the room for it. */
const onlyLengths: Choose = (options, what) =>
  what.startsWith("directory") || what.startsWith("length") ? options - 1 : 0;

/** A choice from a seed (mulberry32). */
export function pseudoRandom(seed: number): Choose {
  let state = seed * 0x9e3779b9 | 0;
  return (options) => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) % options;
  };
}
