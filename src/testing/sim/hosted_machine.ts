/**
 * A user's machine in one life of a server, watched: what it applies, and what its snapshots make of it elsewhere.
 *
 * @module
 */
import type { ApplyContext, StateMachine } from "../../machine.ts";
import type { LogIndex } from "../../types.ts";
import { concatenate } from "../../wire/bytes.ts";
import type { Invariant } from "./invariants.ts";
import { hashText, type MachineTap } from "./machine.ts";
import { textOf } from "./text.ts";

/** A command with a name of its own, by which it is known again. */
export interface Named {
  readonly value: string;
  readonly command: unknown;
}

/** What a user's machine is asked for. */
export interface HostedSubject {
  /** The machine of a life. */
  machine(server: string): StateMachine<unknown, unknown>;
  /** All that replicas must have in common; undefined when only results are compared. */
  stateOf(machine: StateMachine<unknown, unknown>): { readonly state: unknown } | undefined;
}

/** What the machine of a life tells. */
export interface HostedTap extends MachineTap {
  /** What it made of a command. */
  onResult(value: string, result: unknown): void;
  /** It takes a snapshot. */
  onSnapshot(): void;
  /** It has begun with one. */
  onRestored(): void;
  /** Says what does not hold, while the life lasts. */
  must(condition: boolean, invariant: Invariant, detail: () => string): void;
  /** Lets no virtual time pass until this is over. */
  hold<T>(what: string, work: Promise<T>): Promise<T>;
  /** Whether the process is dead. */
  readonly isOver: boolean;
}

/** What goes before a user's bytes in a snapshot: what they must lead to. */
interface Head {
  /** As told of the last command; 0 before there was one. */
  readonly state: number;
  /** Over all results. */
  readonly results: number;
  /** The last command. */
  readonly index: LogIndex;
  /** The state in words; null when only results are compared. */
  readonly text: string | null;
}

/** A machine gets its bytes in pieces of this length, whatever they were when it gave them. */
const pieceBytes = 50;

/** How much of two states is shown where they differ. */
const shownMax = 160;

/** The machine of one life. Has snapshots when the user's has. */
export class HostedMachine implements StateMachine<Named, unknown> {
  readonly inner: StateMachine<unknown, unknown>;
  readonly snapshot?: () => ReadableStream<Uint8Array>;
  readonly restore?: (bytes: ReadableStream<Uint8Array>) => Promise<void>;
  readonly #subject: HostedSubject;
  readonly #server: string;
  readonly #tap: HostedTap;
  #index: LogIndex = 0;
  #state = 0;
  #results = 0;

  /** Makes it. */
  constructor(subject: HostedSubject, server: string, tap: HostedTap) {
    this.#subject = subject;
    this.#server = server;
    this.#tap = tap;
    this.inner = subject.machine(server);
    if (this.inner.snapshot === undefined || this.inner.restore === undefined) return;
    this.snapshot = () => this.#snapshot();
    this.restore = (bytes) => this.#restore(bytes);
  }

  /** See {@linkcode StateMachine.apply}. */
  apply(named: Named, context: ApplyContext): unknown {
    let result: unknown;
    try {
      result = this.inner.apply(named.command, context);
    } catch (error) {
      this.#tell(named, context, error);
      throw error;
    }
    if (!(result instanceof Promise)) return this.#tell(named, context, result);
    const told = result.then((value) => this.#tell(named, context, value), (error) => {
      this.#tell(named, context, error);
      throw error;
    });
    return this.#tap.hold("apply a command", told);
  }

  #tell({ value, command }: Named, { index, term }: ApplyContext, result: unknown): unknown {
    const text = textOf(result);
    const seen = this.#text();
    this.#results = hashText(text, this.#results);
    this.#state = seen === null ? this.#results : hashText(seen, 0);
    this.#index = index;
    this.#tap.onResult(value, result);
    // The name stands for the command: checkers look at nothing else of it.
    const put = { type: "put", key: textOf(command), value } as const;
    this.#tap.onApplied(put, { index, term, state: this.#state, result: hashText(text, 0) }, text);
    return result;
  }

  #text(): string | null {
    const seen = this.#subject.stateOf(this.inner);
    return seen === undefined ? null : textOf(seen.state);
  }

  /** The user's bytes, read no earlier than they are asked for: what is not captured by then shows. */
  #snapshot(): ReadableStream<Uint8Array> {
    const head = encodeHead({ state: this.#state, results: this.#results, index: this.#index, text: this.#text() });
    const reader = this.#begun();
    this.#tap.onSnapshot();
    let hasHead = false;
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        if (!hasHead) {
          hasHead = true;
          return controller.enqueue(head);
        }
        const piece = await this.#tap.hold("go on with its snapshot", pieceOf(reader)).catch((e) =>
          this.#failed("give", e)
        );
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
  }

  #begun(): ReadableStreamDefaultReader<Uint8Array> {
    try {
      return this.inner.snapshot!().getReader();
    } catch (error) {
      return this.#failed("give", error);
    }
  }

  /** V0: without a snapshot a server goes on with a log that gets longer and longer, or not at all. */
  #failed(step: "give" | "restore", error: unknown): never {
    this.#tap.must(false, "V0", () => {
      const reason = error instanceof Error ? error.stack ?? error.message : String(error);
      return `the machine of "${this.#server}" fails to ${step} a snapshot: ${reason}`;
    });
    throw error;
  }

  /** S1: what a machine restores is what another, or itself in an earlier life, was when it gave the bytes. */
  async #restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    // All of it at once: from here on only the machine can keep anybody waiting.
    const { all, error } = await read(bytes);
    const { head, end } = decodeHead(all) ?? {};
    if (head === undefined) throw error ?? new Error("a snapshot that is not of this simulation");
    // A dead process does nothing more.
    if (this.#tap.isOver) return await new Promise(() => {});
    await this.#tap.hold("end its restore", this.#restored(all.subarray(end), error));
    const { state, results, index, text } = head;
    [this.#state, this.#results, this.#index] = [state, results, index];
    const seen = this.#text();
    this.#tap.must(seen === text, "S1", () => {
      const [is, was] = differing(seen ?? "", text ?? "");
      return `the machine of "${this.#server}" restores ${is} from a snapshot that was taken of ${was} after entry ${index}`;
    });
    this.#tap.onRestored();
  }

  async #restored(bytes: Uint8Array, error: unknown): Promise<void> {
    try {
      await this.inner.restore!(piecesOf(bytes, error));
    } catch (reason) {
      // It is right to fail when it is not given all.
      if (error !== undefined) throw reason;
      this.#failed("restore", reason);
    }
  }
}

/** Undefined at the end. */
async function pieceOf(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined> {
  const { done, value } = await reader.read();
  if (done) return undefined;
  if (!(value instanceof Uint8Array)) throw new TypeError(`Its stream gives ${textOf(value)}, which is no Uint8Array`);
  return value;
}

/** S1: the hash of the state that a snapshot is of. */
export async function hostedStateIn(snapshot: ReadableStream<Uint8Array>): Promise<number> {
  const { all, error } = await read(snapshot);
  if (error !== undefined) throw error;
  return decodeHead(all)?.head.state ?? NaN;
}

/** What there is up to the end, or to where it breaks off. */
async function read(
  bytes: ReadableStream<Uint8Array>,
): Promise<{ readonly all: Uint8Array; readonly error?: unknown }> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of bytes) pieces.push(piece);
  } catch (error) {
    return { all: concatenate(pieces), error };
  }
  return { all: concatenate(pieces) };
}

function piecesOf(bytes: Uint8Array, error: unknown): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      // The machine may keep what it is given, and change it.
      if (at < bytes.length) return controller.enqueue(bytes.slice(at, at += pieceBytes));
      if (error === undefined) controller.close();
      else controller.error(error);
    },
  }, { highWaterMark: 0 });
}

function encodeHead(head: Head): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(head));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, text.length);
  return concatenate([length, text]);
}

function decodeHead(all: Uint8Array): { readonly head: Head; readonly end: number } | undefined {
  if (all.length < 4) return undefined;
  const end = 4 + new DataView(all.buffer, all.byteOffset).getUint32(0);
  if (all.length < end) return undefined;
  return { head: JSON.parse(new TextDecoder().decode(all.subarray(4, end))), end };
}

/** Two texts from a little before where they begin to differ. */
function differing(a: string, b: string): readonly [string, string] {
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  const from = Math.max(0, same - shownMax / 4);
  const show = (text: string) => {
    const shown = text.slice(from, from + shownMax);
    return `${from > 0 ? "…" : ""}${shown}${from + shownMax < text.length ? "…" : ""}`;
  };
  return [show(a), show(b)];
}
