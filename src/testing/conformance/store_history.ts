/**
 * Histories of writes that chance makes.
 *
 * @module
 */
import type { StoreWrite } from "../../store/store.ts";
import type { Records } from "../../wire/record.ts";
import type { StoreModel } from "./store_model.ts";
import { configurations, sizedCommands } from "./store_support.ts";

/** A number below the given one, the same sequence for the same seed. */
export type Choice = (below: number) => number;

/** See {@linkcode Choice}. */
export function seededChoice(seed: number): Choice {
  let state = seed >>> 0;
  return (below) => {
    // mulberry32
    state = state + 0x6d2b79f5 >>> 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) % below;
  };
}

/** A write that may come next, of any kind. */
export function randomWrite(model: StoreModel, choose: Choice): StoreWrite {
  const term = Math.max(1, model.vote.term + (choose(3) === 0 ? 1 : 0));
  const { firstIndex, lastIndex } = model;
  const count = lastIndex - firstIndex + 1;
  const truncateFrom = count > 0 && choose(4) === 0 ? lastIndex + 1 - choose(Math.min(count, 8) + 1) : undefined;
  const end = truncateFrom ?? lastIndex + 1;
  const compactTo = choose(7) === 0
    ? { firstIndex: firstIndex + 1 + choose(end - firstIndex + 2), prevTerm: term }
    : undefined;
  const records = randomRecords(Math.max(end, compactTo?.firstIndex ?? 0), term, choose);
  const isVote = term > model.vote.term || (records.length === 0 && truncateFrom === undefined);
  return {
    records,
    truncateFrom,
    compactTo,
    vote: isVote ? { term, votedFor: ["a", "b", undefined][choose(3)] } : undefined,
    clusterId: choose(10) === 0 && model.clusterId === "" ? `cluster-${choose(1_000)}` : undefined,
  };
}

function randomRecords(from: number, term: number, choose: Choice): Records[] {
  const sizeMax = [20, 20, 20, 2_000, 2_000, 150_000][choose(6)];
  const records: Records[] = [];
  let next = from;
  for (let parts = choose(4); parts > 0; parts--) {
    const part = choose(8) === 0
      ? configurations(next, term, ["a"], ["a", "b"])
      : sizedCommands(next, term, ...Array.from({ length: 1 + choose(5) }, () => choose(sizeMax)));
    records.push(part);
    next = part.end;
  }
  return records;
}
