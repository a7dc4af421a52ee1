/**
 * What a store must hold after a history of writes, kept as plainly as can be.
 *
 * @module
 */
import type { Store, StoreState, StoreWrite } from "../../store/store.ts";
import { EntryType, type IndexedConfiguration, type TermRun, type Vote } from "../../types.ts";
import { configurationsOf, type Records } from "../../wire/record.ts";
import { check, equal, equalBytes } from "../case_checks.ts";

/** Entries, one by one. */
interface Entry {
  readonly index: number;
  readonly record: Records;
}

/** What a store is compared with. Immutable. */
export class StoreModel {
  readonly vote: Vote;
  readonly clusterId: string;
  readonly firstIndex: number;
  readonly prevTerm: number;
  readonly entries: readonly Entry[];

  /** By default what an empty disk holds. */
  constructor(fields: Partial<Omit<StoreModel, "lastIndex">> = {}) {
    this.vote = fields.vote ?? { term: 0, votedFor: undefined };
    this.clusterId = fields.clusterId ?? "";
    this.firstIndex = fields.firstIndex ?? 1;
    this.prevTerm = fields.prevTerm ?? 0;
    this.entries = fields.entries ?? [];
  }

  /** Index of the last entry. */
  get lastIndex(): number {
    return this.firstIndex + this.entries.length - 1;
  }

  /** What is there after a write. */
  after({ truncateFrom, compactTo, records, vote, clusterId }: StoreWrite): StoreModel {
    const { firstIndex, prevTerm } = compactTo ?? this;
    const kept = this.entries.filter(({ index }) => index < (truncateFrom ?? Infinity) && index >= firstIndex);
    const added = records.flatMap((part) =>
      Array.from({ length: part.count }, (_, i): Entry => {
        const index = part.from + i;
        return { index, record: part.slice(index, index + 1) };
      })
    );
    return new StoreModel({
      vote: vote ?? this.vote,
      clusterId: clusterId ?? this.clusterId,
      firstIndex,
      prevTerm,
      entries: [...kept, ...added],
    });
  }

  /** What is wrong with what a store says it holds; undefined when nothing is. */
  problemOf(state: StoreState): string | undefined {
    const terms: TermRun[] = [];
    const configurations: IndexedConfiguration[] = [];
    for (const { index, record } of this.entries) {
      const term = record.term(index);
      if (terms.at(-1)?.term !== term) terms.push({ term, from: index });
      if (record.type(index) === EntryType.configuration) configurations.push(...configurationsOf(record));
    }
    const last = this.entries.at(-1);
    const { vote, clusterId, firstIndex, prevTerm, lastIndex } = this;
    const lastTimeMs = last?.record.timeMs(last.index) ?? 0;
    const expected = {
      vote,
      clusterId,
      firstIndex,
      prevTerm,
      lastIndex,
      terms,
      configurations,
      damaged: [],
      lastTimeMs,
    };
    try {
      equal({ ...pick(state), clusterId: state.identity.clusterId }, expected);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Compares all that a store holds, byte by byte, read in pieces of at most so many bytes. */
  async checkAll(store: Store, state: StoreState, what: string, bytesMax = 100_000): Promise<void> {
    const problem = this.problemOf(state);
    check(problem === undefined, `${what}: ${problem}`);
    await this.checkEntries(store, what, bytesMax);
  }

  /** Compares the entries that can be read. */
  async checkEntries(store: Store, what: string, bytesMax = 100_000): Promise<void> {
    for (let next = this.firstIndex; next <= this.lastIndex;) {
      const parts = await store.read(next, this.lastIndex + 1, bytesMax);
      check(parts.length > 0, `${what}: read() gave nothing from entry ${next} on`);
      for (const part of parts) {
        equal([part.from, part.count > 0], [next, true], `${what}: what read() gave`);
        for (; next < part.end; next++) {
          const found = part.slice(next, next + 1).bytes;
          equalBytes(found, this.entries[next - this.firstIndex].record.bytes, `${what}: entry ${next}`);
        }
      }
    }
  }
}

/** The fields that every store must tell; it may tell more. */
function pick(state: StoreState): Omit<StoreState, "identity"> {
  const { vote, firstIndex, prevTerm, lastIndex, terms, configurations, damaged, lastTimeMs } = state;
  return { vote, firstIndex, prevTerm, lastIndex, terms, configurations, damaged, lastTimeMs };
}
