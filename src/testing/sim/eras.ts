/**
 * What restores make of the state: eras, each of which begins with the bytes that somebody gave. By the log alone, and by a
 * rule of their own: what the servers make of it is what is judged.
 *
 * @module
 */
import type { LogIndex, Term } from "../../types.ts";
import { concatenate } from "../../wire/bytes.ts";
import type { RestoreEntry } from "../../wire/restore_codec.ts";
import type { Ghost } from "./ghost.ts";
import { contentOf } from "./machine.ts";

/** All entries from one restore to the next. */
export interface Era {
  /** The entry as of which every machine has the state; 0 for the era before all restores. */
  readonly from: LogIndex;
  /** Hash of that state. */
  readonly state: number;
  /** What each key holds then; nothing under all others. */
  readonly states: ReadonlyMap<string, string>;
  /** The event in which somebody first knew of it. */
  readonly event: number;
}

/** A state that callers gave: in how many calls, and of how many of them they were told that nothing came. */
interface Given {
  readonly since: number;
  calls: number;
  refused: number;
}

/** A restore whose parts are being committed. */
interface Open {
  readonly id: number;
  readonly term: Term;
  readonly parts: Uint8Array[];
}

/** All eras of a run. */
export class Eras {
  readonly #ghost: Pick<Ghost, "must">;
  readonly #all: Era[] = [{ from: 0, state: 0, states: new Map(), event: 0 }];
  readonly #given = new Map<number, Given>();
  #open: Open | undefined;

  /** Nothing was restored yet. */
  constructor(ghost: Pick<Ghost, "must">) {
    this.#ghost = ghost;
  }

  /** Those that began with a restore, in order. */
  get restored(): readonly Era[] {
    return this.#all.slice(1);
  }

  /** In which era an entry is, from 0: how many restores there were up to there. */
  of(index: LogIndex): number {
    let era = this.#all.length - 1;
    while (this.#all[era]!.from > index) era--;
    return era;
  }

  /** What an era began with. */
  at(era: number): Era {
    return this.#all[era]!;
  }

  /** The event before which nobody had given the state that an era began with. */
  givenAt({ state, event }: Era): number {
    return this.#given.get(state)?.since ?? event;
  }

  /** Somebody asks for a restore to a state, from this event on. */
  give(state: number, event: number): void {
    const given = this.#given.get(state);
    if (given === undefined) this.#given.set(state, { since: event, calls: 1, refused: 0 });
    else given.calls++;
  }

  /** K5: somebody who asked for a restore to this state was told that nothing came of it. */
  refuse(state: number): void {
    this.#given.get(state)!.refused++;
    this.#count(state);
  }

  /** K3: somebody was told that their state is everybody's as of this entry. */
  acknowledge(index: LogIndex, state: number): void {
    const era = this.#all.find(({ from }) => from === index);
    this.#ghost.must(era?.state === state, "K3", () => {
      return `a restore to the state ${state} is acknowledged at ${index}, where the log has ${era?.state ?? "none"}`;
    });
  }

  /**
   * The next committed entry, in the order of the log: one of a restore, or any other. A restore takes all of its parts and its
   * end, by one leader in one term. The era that begins there, if any.
   */
  onCommitted(index: LogIndex, term: Term, entry: RestoreEntry | undefined, event: number): Era | undefined {
    if (this.#open?.term !== term) this.#open = undefined;
    if (entry === undefined) return undefined;
    const { kind, id, sequence, bytes } = entry;
    if (kind === "part" && sequence === 0) this.#open = { id, term, parts: [] };
    const open = this.#open;
    if (open?.id !== id) return undefined;
    if (kind === "given-up") this.#open = undefined;
    if (kind === "given-up" || open.parts.length !== sequence) return undefined;
    if (kind === "part") return void open.parts.push(bytes);
    this.#open = undefined;
    const era: Era = { from: index, ...this.#contentOf(open.parts), event };
    this.#all.push(era);
    this.#count(era.state);
    return era;
  }

  #contentOf(parts: readonly Uint8Array[]): Pick<Era, "state" | "states"> {
    try {
      const { hash, states } = contentOf(concatenate(parts));
      return { state: hash, states };
    } catch {
      // Nobody gave that.
      return { state: NaN, states: new Map() };
    }
  }

  /** K5: no state is restored more often than it was asked for by those who were not told that it was not. */
  #count(state: number): void {
    const { calls, refused } = this.#given.get(state) ?? { calls: 0, refused: 0 };
    const count = this.restored.filter((era) => era.state === state).length;
    this.#ghost.must(count <= calls - refused, "K5", () => {
      return `the state ${state} was given ${calls} times, refused ${refused} times, and is restored ${count} times`;
    });
  }
}
