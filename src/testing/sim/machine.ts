/**
 * The replicated machine of the simulator's own workload: registers whose state has a hash.
 *
 * @module
 */
import type { AppliedView } from "./check/checker.ts";
import type { ApplyContext, StateMachine } from "../../machine.ts";

/** A command. Every one has another value. */
export type SimCommand =
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "append"; readonly key: string; readonly value: string }
  | { readonly type: "cas"; readonly key: string; readonly expect: string | null; readonly value: string };

/** Whether a `cas` took place; the value before otherwise. */
export type SimResult = string | boolean | null;

/** Called with every command that a machine applies. */
export type ApplyTap = (command: SimCommand, applied: AppliedView) => void;

/** Registers by key. */
export class SimMachine implements StateMachine<SimCommand, SimResult> {
  readonly #registers = new Map<string, string>();
  readonly #tap: ApplyTap;
  #hash = 0;

  /** Calls the tap after each command. */
  constructor(tap: ApplyTap) {
    this.#tap = tap;
  }

  /** The value of a register, null when it is absent. */
  get(key: string): string | null {
    return this.#registers.get(key) ?? null;
  }

  /** See {@linkcode StateMachine.apply}. */
  apply(command: SimCommand, { index, term }: ApplyContext): SimResult {
    const before = this.get(command.key);
    const result = this.#perform(command, before);
    this.#hash = hashText(`${index} ${command.key} ${this.get(command.key)}`, this.#hash);
    this.#tap(command, { index, term, state: this.#hash, result: hashText(String(result), 0) });
    return result;
  }

  #perform(command: SimCommand, before: string | null): SimResult {
    switch (command.type) {
      case "put":
        this.#registers.set(command.key, command.value);
        return before;
      case "append":
        // Bounded, as every value goes into the hash.
        this.#registers.set(command.key, `${before ?? ""},${command.value}`.slice(-64));
        return before;
      case "cas":
        if (before !== command.expect) return false;
        this.#registers.set(command.key, command.value);
        return true;
    }
  }
}

/** FNV-1a. */
export function hashText(text: string, seed: number): number {
  let hash = seed ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
