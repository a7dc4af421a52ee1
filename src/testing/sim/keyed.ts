/**
 * Commands that are known by a key, under which whoever sends them again gives them again.
 *
 * @module
 */
import type { LogIndex } from "../../types.ts";
import type { SimOperation } from "./calls.ts";
import type { Ghost } from "./ghost.ts";
import type { SimCommand } from "./machine.ts";
import type { Oracle } from "./oracle.ts";
import type { World } from "./world.ts";

/** A command with a key. For clients it is one, however often they send it. */
export interface KeyedCommand {
  readonly command: SimCommand;
  readonly called: number;
  readonly client: string;
  /** What it must see at least. */
  readonly floor: number;
  /** Where it was applied that time of which somebody was told; undefined before. */
  answeredAt: LogIndex | undefined;
}

/** All that there are in a run, with what became known of each since it was sent first. */
export class KeyedCommands {
  readonly #world: World;
  readonly #ghost: Ghost;
  readonly #oracle: Oracle;
  /** By value. */
  readonly #all = new Map<string, KeyedCommand>();

  /** There are none yet. */
  constructor(world: World, ghost: Ghost, oracle: Oracle) {
    this.#world = world;
    this.#ghost = ghost;
    this.#oracle = oracle;
  }

  /** Somebody sends it, for the first time or again. */
  ask(command: SimCommand, { called, client }: Pick<KeyedCommand, "called" | "client">): KeyedCommand {
    const before = this.#all.get(command.value);
    if (before !== undefined) return before;
    this.#oracle.ask(command.key);
    const floor = this.#oracle.floor(command.key);
    const keyed: KeyedCommand = { command, called, client, floor, answeredAt: undefined };
    this.#all.set(command.value, keyed);
    this.#ghost.keyed.add(command.value);
    return keyed;
  }

  /**
   * Somebody is answered: the first answer is everybody's, and that they all say the same is checked where they come.
   *
   * @param at Where it was applied.
   * @returns The command, the first time.
   */
  answer({ value }: SimCommand, at: LogIndex | undefined): KeyedCommand | undefined {
    const keyed = this.#all.get(value)!;
    if (keyed.answeredAt !== undefined) return undefined;
    // Where it was never applied (K3) it has no place.
    keyed.answeredAt = at ?? 0;
    return keyed;
  }

  /**
   * Those that nobody was answered: at the end they belong to the history. So does every time that one was applied of which nobody
   * was told, as a restore had made the servers forget it.
   */
  *unanswered(): Iterable<SimOperation> {
    const { appliedFirst, appliedAgain } = this.#ghost;
    for (const { command, called, client, answeredAt } of this.#all.values()) {
      const all = { key: command.key, input: command, called, client };
      const again = appliedAgain.get(command.value);
      if (again === undefined) {
        if (answeredAt === undefined) yield { ...all, outcome: "unknown", returned: this.#world.events };
        continue;
      }
      for (const { index, event, result } of [appliedFirst.get(command.value)!, ...again]) {
        if (index !== answeredAt) yield { ...all, outcome: "ok", returned: event, output: result };
      }
    }
  }
}
