/**
 * The replicated machine of the simulator's own workload: registers and lists whose state has a hash.
 *
 * @module
 */
import type { ApplyContext, StateMachine } from "../../machine.ts";
import type { Raft } from "../../raft.ts";
import { concatenate } from "../../wire/bytes.ts";
import type { AppliedView } from "./check/checker.ts";

/** A command. Every one has another value. */
export type SimCommand =
  | { readonly type: "put"; readonly key: string; readonly value: string }
  /** Puts a value at the end of a list. */
  | { readonly type: "append"; readonly key: string; readonly value: string }
  | { readonly type: "cas"; readonly key: string; readonly expect: SimState; readonly value: string }
  /** Is refused by the machine, on every server alike. */
  | { readonly type: "fail"; readonly key: string; readonly value: string };

/**
 * What a key holds, null at first: how many writes there were, and what they left, as `serial:value`. A list is a hash
 * over all its items in their order, so that two of the same length with the same hash have the same history.
 */
export type SimState = string | null;

/** Whether a `cas` took place; the state before otherwise. */
export type SimResult = SimState | boolean;

/** What the machine throws at `fail`. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/** What a machine tells of itself. */
export interface MachineTap {
  /** It applied a command. */
  onApplied(command: SimCommand, applied: AppliedView, result: SimResult): void;
  /** How long it goes on working at a command; undefined when it is done at once. */
  work(): Promise<void> | undefined;
  /** It is asked for what it holds, for a snapshot. */
  onCaptured?(): void;
  /** It has begun with what a snapshot holds. */
  onRestored?(): void;
}

/** Registers and lists by key. */
export class SimMachine implements StateMachine<SimCommand, SimResult> {
  #states = new Map<string, string>();
  readonly #tap: MachineTap;
  #hash = 0;
  /** Set while it works at a command: nobody may look at it. */
  isBusy = false;

  /** Tells the tap of each command. */
  constructor(tap: MachineTap) {
    this.#tap = tap;
  }

  /** What a key holds. */
  get(key: string): SimState {
    return this.#states.get(key) ?? null;
  }

  /** See {@linkcode StateMachine.apply}. */
  apply(command: SimCommand, context: ApplyContext): SimResult | Promise<SimResult> {
    const work = this.#tap.work();
    if (work === undefined) return this.#take(command, context);
    this.isBusy = true;
    return work.then(() => {
      this.isBusy = false;
      return this.#take(command, context);
    });
  }

  /** See {@linkcode StateMachine.hash}. One that is at work must not be asked: it says something else than all others. */
  hash(): number {
    return this.isBusy ? -1 : this.#hash;
  }

  /** See {@linkcode StateMachine.snapshot}; in small pieces, as if it were large. */
  snapshot(): ReadableStream<Uint8Array> {
    this.#tap.onCaptured?.();
    const bytes = bytesOfContent({ hash: this.#hash, states: this.#states });
    let at = 0;
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.subarray(at, at += 100));
      },
    }, { highWaterMark: 0 });
  }

  /** See {@linkcode StateMachine.restore}. */
  async restore(stream: ReadableStream<Uint8Array>): Promise<void> {
    this.isBusy = true;
    const { hash, states } = contentOf(await allOf(stream));
    this.#hash = hash;
    this.#states = states;
    this.isBusy = false;
    this.#tap.onRestored?.();
  }

  #take(command: SimCommand, { index, term, extensions }: ApplyContext): SimResult {
    const [before, beginning] = [this.get(command.key), this.#hash];
    const { state, result } = transition(before, command);
    if (state !== null && state !== before) this.#states.set(command.key, state);
    this.#hash = hashText(`${index} ${command.key} ${state}`, beginning);
    const applied = { index, term, state: this.#hash, result: hashText(String(result), 0), before: beginning };
    this.#tap.onApplied(command, applied, result);
    if (command.type === "fail") throw new Refusal(command.value);
    if (textBeside(extensions) !== (command.key === "extended" ? command.value : undefined)) {
      throw new TypeError(`Cannot apply "${command.value}" with "${textBeside(extensions)}" beside it`);
    }
    return result;
  }
}

/** Text as bytes. */
export function encodeText(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function textBeside(extensions: Uint8Array | undefined): string | undefined {
  return extensions && new TextDecoder().decode(extensions);
}

/** A4: tells that a server finds another's machine unlike its own, for as long as it runs. */
export async function untilDiverged(
  raft: Pick<Raft<never, never>, "events">,
  tell: (error: Error) => void,
): Promise<void> {
  const diverged = raft.events({ filter: ({ type }) => type === "state-diverged" });
  for await (const event of diverged) tell(new Error(JSON.stringify(event)));
}

/** The hash of the state that a snapshot holds. */
export async function stateIn(snapshot: ReadableStream<Uint8Array>): Promise<number> {
  return contentOf(await allOf(snapshot)).hash;
}

/** All that a machine holds. */
export interface SimContent {
  readonly hash: number;
  readonly states: ReadonlyMap<string, string>;
}

/**
 * What a machine gives of itself in a snapshot.
 *
 * @param filler Makes it longer, and is a part of the state.
 */
export function bytesOfContent({ hash, states }: SimContent, filler?: string): Uint8Array {
  return encodeText(JSON.stringify(filler === undefined ? [hash, [...states]] : [hash, [...states], filler]));
}

/** What is in the bytes of a machine's snapshot. */
export function contentOf(bytes: Uint8Array): { readonly hash: number; readonly states: Map<string, string> } {
  const [hash, states, filler] = JSON.parse(new TextDecoder().decode(bytes));
  return { hash: filler === undefined ? hash : hashText(filler, hash), states: new Map(states) };
}

/** Everything that a stream gives. */
export async function allOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return concatenate(pieces);
}

/** What a command makes of a key. */
export function transition(
  before: SimState,
  command: SimCommand,
): { readonly state: SimState; readonly result: SimResult } {
  const next = (value: string) => `${serialOf(before) + 1}:${value}`;
  switch (command.type) {
    case "put":
      return { state: next(command.value), result: before };
    case "append":
      return { state: next(linkOf(before, command.value)), result: before };
    case "cas":
      return before === command.expect
        ? { state: next(command.value), result: true }
        : { state: before, result: false };
    case "fail":
      return { state: before, result: before };
  }
}

/** How many writes led to a state. */
export function serialOf(state: SimState): number {
  return state === null ? 0 : Number.parseInt(state, 10);
}

/** What is left of a list's order when it is one item longer. */
function linkOf(before: SimState, value: string): string {
  return (hashText(value, hashText(before ?? "", 0)) >>> 0).toString(36);
}

/** FNV-1a. */
export function hashText(text: string, seed: number): number {
  let hash = seed ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
