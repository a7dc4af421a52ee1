/**
 * A linearizability checker: is there an order of the operations, each at a point between its call and its return,
 * in which every answer is right? It searches as Wing and Gong (1993) do and remembers, as Lowe (2017) does, which
 * sets of operations led to which states, so that no situation is explored twice. Keys are independent of one another,
 * so each is checked by itself.
 *
 * @module
 */

/** What the caller learnt: an answer, that it never happened, or nothing (it may have happened, or happen later). */
export type OperationOutcome = "ok" | "failed" | "unknown";

/** One operation as its client saw it. */
export interface Operation<Input, Output> {
  /** What it was done to: operations on different keys don't affect one another. */
  readonly key: string;
  /** What was asked. */
  readonly input: Input;
  /** What came of it. Failed ones never happened and are not looked at. */
  readonly outcome: OperationOutcome;
  /** The answer; only looked at when the outcome is `ok`. */
  readonly output?: Output | undefined;
  /** When it was called, on the one clock of the history. */
  readonly called: number;
  /** When the answer was there; required when the outcome is `ok`, else not looked at. */
  readonly returned?: number | undefined;
  /** Who asked; for whoever reads a verdict. */
  readonly client?: string | undefined;
}

/** What a model says to one operation. */
export interface Step<State> {
  /** Whether the operation can have had its output in the state before. */
  readonly ok: boolean;
  /** The state after it. */
  readonly state: State;
}

/** What the operations should do, one after the other, to one key. */
export interface Model<State, Input, Output> {
  /** The state before the first operation. */
  init(): State;
  /** One operation. With the outcome `unknown` any output is right. Must not change the state it is given. */
  step(state: State, operation: Operation<Input, Output>): Step<State>;
  /** Whether two states are the same. */
  equal(a: State, b: State): boolean;
  /** Equal states have equal hashes. */
  hash(state: State): number;
  /** Whether it changes nothing: then an unknown outcome says nothing, and the operation is dropped. */
  isRead(input: Input): boolean;
}

/** `unknown` means that the search was given up: it is never a pass. */
export type Verdict = "linearizable" | "violation" | "unknown";

/** What {@linkcode checkLinearizability} found. */
export interface LinearizabilityReport<Input, Output> {
  /** Over all keys: a violation counts more than an unknown one. */
  readonly verdict: Verdict;
  /** Keys that were looked at. */
  readonly keys: number;
  /** Operations that were looked at, without those that were dropped. */
  readonly operations: number;
  /** Steps of the model that were tried. */
  readonly steps: number;
  /** The first key with a violation or, without one, the first that was given up. */
  readonly failure?: LinearizabilityFailure<Input, Output>;
}

/** Where a check failed. */
export interface LinearizabilityFailure<Input, Output> {
  /** The key. */
  readonly key: string;
  /** The longest order that was found. */
  readonly longest: readonly Operation<Input, Output>[];
  /** What has to come next by then, but can't: one of these was answered wrongly, or one before. */
  readonly stuck: readonly Operation<Input, Output>[];
}

/** Options of {@linkcode checkLinearizability}. */
export interface LinearizabilityOptions {
  /**
   * Steps of the model to try for one key before it is given up with the verdict `unknown`.
   *
   * @default {2_000_000}
   */
  readonly stepsMax?: number;
}

/**
 * Checks a history.
 *
 * Operations with the outcome `failed` are dropped, and so are reads with the outcome `unknown`. Writes with the
 * outcome `unknown` may take effect at any time after their call, or never. Operations that touch (one returned at the
 * moment at which another was called) count as concurrent.
 *
 * @throws {RangeError} When an operation is `ok` and returned before it was called, or a time is not a number.
 */
export function checkLinearizability<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: Iterable<Operation<Input, Output>>,
  options: LinearizabilityOptions = {},
): LinearizabilityReport<Input, Output> {
  const stepsMax = options.stepsMax ?? 2_000_000;
  const partitions = partition(model, history);
  let verdict: Verdict = "linearizable";
  let failure: LinearizabilityFailure<Input, Output> | undefined;
  let steps = 0;
  let operations = 0;
  for (const [key, ofKey] of partitions) {
    const found = new Search(model, ofKey, stepsMax).run();
    steps += found.steps;
    operations += ofKey.length;
    if (found.verdict === "linearizable" || verdict === "violation") continue;
    if (found.verdict === verdict) continue;
    verdict = found.verdict;
    failure = { key, longest: found.longest, stuck: found.stuck };
  }
  return { verdict, keys: partitions.size, operations, steps, ...(failure === undefined ? {} : { failure }) };
}

function partition<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: Iterable<Operation<Input, Output>>,
): Map<string, Operation<Input, Output>[]> {
  const partitions = new Map<string, Operation<Input, Output>[]>();
  for (const operation of history) {
    checkTimes(operation);
    if (operation.outcome === "failed") continue;
    if (operation.outcome === "unknown" && model.isRead(operation.input)) continue;
    const ofKey = partitions.get(operation.key);
    if (ofKey === undefined) partitions.set(operation.key, [operation]);
    else ofKey.push(operation);
  }
  return partitions;
}

function checkTimes(operation: Operation<unknown, unknown>): void {
  const { called, returned, outcome, key } = operation;
  if (Number.isFinite(called) && (outcome !== "ok" || (Number.isFinite(returned) && returned! >= called))) return;
  throw new RangeError(
    `Cannot check the history as an operation on "${key}" was called at ${called} and returned at ${returned}`,
  );
}

/** A call or a return in the list that is searched. An operation that never returned has no return in it. */
interface Entry<Input, Output> {
  readonly operation: Operation<Input, Output>;
  /** Its bit in the set of operations that have their place. */
  readonly id: number;
  readonly time: number;
  /** The return that belongs to this call. */
  readonly match: Entry<Input, Output> | undefined;
  readonly isCall: boolean;
  previous: Entry<Input, Output> | undefined;
  next: Entry<Input, Output> | undefined;
}

interface Found<Input, Output> {
  readonly verdict: Verdict;
  readonly steps: number;
  readonly longest: readonly Operation<Input, Output>[];
  readonly stuck: readonly Operation<Input, Output>[];
}

/** An operation that was given its place, and what to go back to when that was wrong. */
interface Placed<State, Input, Output> {
  readonly call: Entry<Input, Output>;
  readonly before: State;
  /** A read, for which no other place needs to be tried. */
  readonly isForced: boolean;
}

/** The search for one key. */
class Search<State, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  readonly #stepsMax: number;
  /** Stands before the first entry. */
  readonly #head: Entry<Input, Output>;
  readonly #placed: Placed<State, Input, Output>[] = [];
  readonly #linearized: Bitset;
  readonly #seen: SituationSet<State>;
  /** Operations that returned and have no place yet; at 0 the rest may as well never have happened. */
  #owed = 0;
  #steps = 0;
  #longest: readonly Operation<Input, Output>[] = [];
  #stuck: readonly Operation<Input, Output>[] = [];
  #state: State;

  constructor(model: Model<State, Input, Output>, operations: readonly Operation<Input, Output>[], stepsMax: number) {
    this.#model = model;
    this.#stepsMax = stepsMax;
    this.#head = link(operations);
    this.#linearized = new Bitset(operations.length);
    this.#seen = new SituationSet(model);
    this.#state = model.init();
    for (const { outcome } of operations) if (outcome === "ok") this.#owed++;
  }

  run(): Found<Input, Output> {
    let entry = this.#afterReads();
    while (this.#owed > 0) {
      if (entry !== undefined && entry.isCall) {
        if (this.#steps >= this.#stepsMax) return this.#found("unknown");
        entry = !this.#isRead(entry) && this.#place(entry) ? this.#afterReads() : entry.next;
      } else {
        this.#remember(entry);
        let last: Placed<State, Input, Output> | undefined;
        do {
          last = this.#placed.pop();
          if (last === undefined) return this.#found("violation");
          this.#takeBack(last);
        } while (last.isForced);
        entry = last.call.next;
      }
    }
    return this.#found("linearizable");
  }

  /**
   * A read that fits now may as well be now: it changes nothing, so that no other place for it needs to be tried. Returns
   * the first of what is left.
   */
  #afterReads(): Entry<Input, Output> | undefined {
    let entry = this.#head.next;
    while (entry !== undefined && entry.isCall && this.#steps < this.#stepsMax) {
      entry = this.#isRead(entry) && this.#place(entry) ? this.#head.next : entry.next;
    }
    return this.#head.next;
  }

  #isRead(call: Entry<Input, Output>): boolean {
    return this.#model.isRead(call.operation.input);
  }

  #found(verdict: Verdict): Found<Input, Output> {
    return { verdict, steps: this.#steps, longest: this.#longest, stuck: this.#stuck };
  }

  /** Gives the operation the next place, if its answer fits and the situation is new (after a read it is the same). */
  #place(call: Entry<Input, Output>): boolean {
    this.#steps++;
    const step = this.#model.step(this.#state, call.operation);
    if (!step.ok) return false;
    const isForced = this.#isRead(call);
    this.#linearized.flip(call.id);
    if (!isForced && !this.#seen.add(this.#linearized, step.state)) {
      this.#linearized.flip(call.id);
      return false;
    }
    this.#placed.push({ call, before: this.#state, isForced });
    this.#state = step.state;
    unlink(call);
    if (call.match !== undefined) {
      unlink(call.match);
      this.#owed--;
    }
    return true;
  }

  #takeBack({ call, before }: Placed<State, Input, Output>): void {
    this.#state = before;
    this.#linearized.flip(call.id);
    // In the opposite order, as each finds its place by the neighbours it had.
    if (call.match !== undefined) {
      relink(call.match);
      this.#owed++;
    }
    relink(call);
  }

  /** Keeps the longest order and the return that it could not get past, for whoever reads the verdict. */
  #remember(barrier: Entry<Input, Output> | undefined): void {
    if (this.#stuck.length > 0 && this.#placed.length <= this.#longest.length) return;
    this.#longest = this.#placed.map(({ call }) => call.operation);
    const stuck: Operation<Input, Output>[] = [];
    for (let entry = this.#head.next; entry !== undefined && entry !== barrier; entry = entry.next) {
      if (entry.isCall) stuck.push(entry.operation);
    }
    this.#stuck = stuck;
  }
}

/** The list of calls and returns by time; calls before returns where they touch. Returns what stands before it. */
function link<Input, Output>(operations: readonly Operation<Input, Output>[]): Entry<Input, Output> {
  const entries: Entry<Input, Output>[] = [];
  operations.forEach((operation, id) => {
    const match = operation.outcome === "ok" ? entryOf(operation, id, operation.returned!, false) : undefined;
    entries.push(entryOf(operation, id, operation.called, true, match));
    if (match !== undefined) entries.push(match);
  });
  entries.sort((a, b) => a.time - b.time || Number(b.isCall) - Number(a.isCall) || a.id - b.id);
  const head = entryOf<Input, Output>(undefined as never, -1, -Infinity, false);
  let last = head;
  for (const entry of entries) {
    entry.previous = last;
    last.next = entry;
    last = entry;
  }
  return head;
}

function entryOf<Input, Output>(
  operation: Operation<Input, Output>,
  id: number,
  time: number,
  isCall: boolean,
  match?: Entry<Input, Output>,
): Entry<Input, Output> {
  return { operation, id, time, isCall, match, previous: undefined, next: undefined };
}

function unlink<Input, Output>(entry: Entry<Input, Output>): void {
  entry.previous!.next = entry.next;
  if (entry.next !== undefined) entry.next.previous = entry.previous;
}

function relink<Input, Output>(entry: Entry<Input, Output>): void {
  entry.previous!.next = entry;
  if (entry.next !== undefined) entry.next.previous = entry;
}

/** A set of small numbers that knows its hash at any time. */
class Bitset {
  readonly words: Uint32Array;
  hash = 0;

  constructor(size: number) {
    this.words = new Uint32Array((size + 31) >>> 5);
  }

  /** Adds what is not in it, removes what is. */
  flip(id: number): void {
    this.words[id >>> 5]! ^= 1 << (id & 31);
    // Each number has a pseudo-random word of its own; the hash is the sum of the set's words without carry.
    this.hash ^= scramble(id + 1);
  }
}

function scramble(value: number): number {
  let word = Math.imul(value, 0x9e3779b1);
  word = Math.imul(word ^ (word >>> 15), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}

/** The situations that were met: which operations have their place, and the state they led to. */
class SituationSet<State> {
  readonly #model: Pick<Model<State, never, never>, "equal" | "hash">;
  /** States by their hash; a state's number is its identity in the other map. */
  readonly #states = new Map<number, { readonly state: State; readonly number: number }[]>();
  readonly #situations = new Map<number, { readonly words: Uint32Array; readonly stateNumber: number }[]>();
  #stateCount = 0;

  constructor(model: Pick<Model<State, never, never>, "equal" | "hash">) {
    this.#model = model;
  }

  /** False when it was in it. The hash only finds candidates: sets and states are compared in full. */
  add(linearized: Bitset, state: State): boolean {
    const stateNumber = this.#numberOf(state);
    const hash = linearized.hash ^ scramble(-1 - stateNumber);
    const situations = this.#situations.get(hash);
    if (situations?.some((known) => known.stateNumber === stateNumber && areSame(known.words, linearized.words))) {
      return false;
    }
    const situation = { words: linearized.words.slice(), stateNumber };
    if (situations === undefined) this.#situations.set(hash, [situation]);
    else situations.push(situation);
    return true;
  }

  #numberOf(state: State): number {
    const hash = this.#model.hash(state);
    const states = this.#states.get(hash);
    const known = states?.find((known) => this.#model.equal(known.state, state));
    if (known !== undefined) return known.number;
    const added = { state, number: this.#stateCount++ };
    if (states === undefined) this.#states.set(hash, [added]);
    else states.push(added);
    return added.number;
  }
}

function areSame(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
