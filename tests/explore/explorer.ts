/**
 * Looks at every state that can be reached within bounds, nearest first, so that the first violation has the shortest
 * trace.
 *
 * Seen states are known by 64 bits: the sum of two independent 32-bit hashes of each part. With n states the chance that
 * any two were taken for one is about n² / 2^65: 3 in a million for ten million states. A collision would hide states,
 * never report a violation that there is not.
 *
 * @module
 */
import { InvariantError } from "../../src/errors.ts";
import type { Bounds } from "./bounds.ts";
import { Violation } from "./model.ts";
import { IntList, mix, PairMap } from "./number_table.ts";
import { type Action, Space, type State } from "./space.ts";
import { realStep } from "./stepper.ts";
import type { StepCore } from "../core/cluster.ts";

/** How exploring ended. */
export type Ending = "exhausted" | "states" | "seconds" | "violation";

/** What was found. */
export interface Report {
  readonly ending: Ending;
  readonly states: number;
  readonly transitions: number;
  /** Actions from the first state to the farthest that was looked at. */
  readonly depth: number;
  readonly seconds: number;
  readonly space: Space;
  /** Which invariant broke, and the number of the action (in order) taken at each step that leads there. */
  readonly violation: { readonly message: string; readonly choices: readonly number[] } | undefined;
}

/** How to run. */
export interface Options {
  readonly stepCore?: StepCore;
  /** Called about every second. */
  readonly onProgress?: (states: number, depth: number) => void;
}

/** Explores. */
export function explore(bounds: Bounds, options: Options = {}): Report {
  return new Exploration(bounds, options).run();
}

class Exploration {
  readonly #bounds: Bounds;
  readonly #options: Options;
  readonly #space: Space;
  readonly #seen = new PairMap();
  /** By state: the state before, and which of its actions led here. */
  readonly #parents = new IntList();
  readonly #choices = new IntList();
  #level = new IntList(1 << 16);
  #next = new IntList(1 << 16);
  #transitions = 0;
  #depth = 0;
  #ending: Ending | undefined;
  #violation: Report["violation"];
  readonly #start = performance.now();
  #reportedAt = this.#start;

  constructor(bounds: Bounds, options: Options) {
    this.#bounds = bounds;
    this.#options = options;
    this.#space = new Space(bounds, options.stepCore ?? realStep);
  }

  run(): Report {
    const first = this.#space.first();
    this.#meet(first, -1, 0);
    while (this.#ending === undefined && this.#next.length > 0) {
      const done = this.#level;
      this.#level = this.#next;
      done.length = 0;
      this.#next = done;
      this.#expandLevel();
      if (this.#ending === undefined && this.#next.length > 0) this.#depth++;
    }
    return {
      ending: this.#ending ?? "exhausted",
      states: this.#parents.length,
      transitions: this.#transitions,
      depth: this.#depth,
      seconds: (performance.now() - this.#start) / 1000,
      space: this.#space,
      violation: this.#violation,
    };
  }

  // A state in a level: its number, its servers, what the world remembers, budgets, how many messages, messages.
  #expandLevel(): void {
    const { servers } = this.#bounds;
    const level = this.#level;
    for (let at = 0; at < level.length && this.#ending === undefined;) {
      const { items } = level;
      const node = items[at]!;
      const locals = Array.from(items.subarray(at + 1, at + 1 + servers));
      at += 1 + servers;
      const count = items[at + 2]!;
      const packets = Array.from(items.subarray(at + 3, at + 3 + count));
      const state: State = { locals, ghost: items[at]!, spent: items[at + 1]!, packets };
      at += 3 + count;
      this.#expand(state, node);
      if ((node & 4095) === 0) this.#lookAtClock();
    }
  }

  #expand(state: State, node: number): void {
    let choice = -1;
    this.#space.actions(state, (action) => {
      choice++;
      try {
        const next = this.#space.after(state, action);
        if (next === undefined) return true;
        this.#transitions++;
        if (this.#meet(next, node, choice)) this.#space.judge(next, action.server);
      } catch (error) {
        this.#onViolation(error as Error, node, choice);
      }
      if (this.#parents.length >= this.#bounds.states) this.#ending ??= "states";
      return this.#ending === undefined;
    });
  }

  #onViolation(error: Error, node: number, choice: number): void {
    if (!(error instanceof Violation) && !(error instanceof InvariantError)) throw error;
    const choices = [choice];
    for (let at = node; at > 0; at = this.#parents.items[at]!) choices.push(this.#choices.items[at]!);
    const prefix = error instanceof InvariantError ? "the core stopped itself: " : "";
    this.#ending = "violation";
    this.#depth++;
    this.#violation = { message: prefix + error.message, choices: this.#ordered(choices.reverse()) };
  }

  /** The same actions, numbered so that any other space of these bounds finds them. */
  #ordered(choices: readonly number[]): number[] {
    let state = this.#space.first();
    return choices.map((choice, i) => {
      const actions: Action[] = [];
      this.#space.actions(state, (action) => actions.push(action) > 0);
      const action = actions[choice]!;
      const at = this.#space.orderedActions(state).findIndex((other) => isSame(action, other));
      if (i < choices.length - 1) state = this.#space.after(state, action)!;
      return at;
    });
  }

  /** Whether the state is new; if so, it will be looked at. */
  #meet(state: State, parent: number, choice: number): boolean {
    const node = this.#parents.length;
    if (this.#isKnown(state, node)) return false;
    this.#parents.push(parent);
    this.#choices.push(choice);
    const { locals, ghost, spent, packets } = state;
    const next = this.#next;
    next.reserve(4 + locals.length + packets.length);
    next.push(node);
    for (const local of locals) next.push(local);
    next.push(ghost);
    next.push(spent);
    next.push(packets.length);
    for (const packet of packets) next.push(packet);
    return true;
  }

  // The smallest hash under all renamings stands for the state: states that differ in names alone have the same one.
  #isKnown({ locals, ghost, spent, packets }: State, node: number): boolean {
    const { locals: { hashes: ofLocals }, packets: { hashes: ofPackets }, ghosts: { hashes: ofGhosts } } = this.#space;
    const count = this.#space.renamings.length;
    const width = 2 * count;
    let low = 0;
    let high = 0;
    for (let i = 0; i < count; i++) {
      let at = ghost * width + 2 * i;
      let l = ofGhosts[at]!;
      let h = ofGhosts[at + 1]!;
      for (let j = 0; j < locals.length; j++) {
        at = locals[j]! * width + 2 * i;
        l = (l + ofLocals[at]!) | 0;
        h = (h + ofLocals[at + 1]!) | 0;
      }
      for (let j = 0; j < packets.length; j++) {
        at = packets[j]! * width + 2 * i;
        l = (l + ofPackets[at]!) | 0;
        h = (h + ofPackets[at + 1]!) | 0;
      }
      if (i === 0 || h < high || (h === high && l < low)) {
        low = l;
        high = h;
      }
    }
    const budgets = mix(spent, 0x51ed270b);
    return this.#seen.add((low + budgets) | 0, high ^ mix(budgets, spent), node) >= 0;
  }

  #lookAtClock(): void {
    const now = performance.now();
    if (now - this.#start > this.#bounds.seconds * 1000) this.#ending ??= "seconds";
    if (now - this.#reportedAt < 1000) return;
    this.#reportedAt = now;
    this.#options.onProgress?.(this.#parents.length, this.#depth);
  }
}

function isSame(a: Action, b: Action): boolean {
  return a.server === b.server && a.event.type === b.event.type && a.uses === b.uses &&
    a.duplicates === b.duplicates && detailOf(a.event) === detailOf(b.event);
}

function detailOf(event: Action["event"]): unknown {
  return event.type === "deliver" ? event.lapsed : event.type === "transfer" ? event.to : undefined;
}
