/**
 * What clients have in common that go on as long as a test lets them.
 *
 * @module
 */
import type { RegisterInput } from "../../src/testing/register.ts";
import type { KvResult } from "./client.ts";
import { until } from "./until.ts";

/** A write to a key of its own. */
export interface LoneWrite {
  readonly key: string;
  readonly result: KvResult;
}

/** Any number of clients, until they are stopped or one of them goes wrong. */
export class Clients {
  readonly #clients: Promise<unknown>[] = [];
  #isStopping = false;
  #acknowledged = 0;

  /** Whether each is to end with what it is at. */
  protected get isStopping(): boolean {
    return this.#isStopping;
  }

  /** One more. What goes wrong with it ends the others, and is told by {@linkcode Clients.stop}. */
  protected add(client: Promise<unknown>): void {
    client.catch(() => this.#isStopping = true);
    this.#clients.push(client);
  }

  /** A write was acknowledged. */
  protected noteAcknowledged(): void {
    this.#acknowledged++;
  }

  /** Waits until so many more writes were acknowledged. */
  async untilAcknowledged(count: number): Promise<void> {
    const goal = this.#acknowledged + count;
    await until(`${count} more acknowledged writes`, () => this.#acknowledged >= goal || this.#isStopping);
  }

  /** Lets every client end its last request. Rejects when one saw what no fault explains. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#clients);
  }
}

/** What a client of a shared key does as its `i`th operation, with a value that nobody else writes, after it has seen what is there. */
export function nextInput(i: number, seen: string | null, value: string): RegisterInput {
  if (i % 11 === 10) return { type: "delete" };
  if (i % 3 === 0) return { type: "get" };
  // What was just read is there, unless somebody else was faster.
  if (i % 3 === 1) return { type: "cas", expect: seen, value };
  return { type: "put", value };
}

/** Throws unless a server has what was acknowledged, and nothing that was refused: the index of each key that it has. */
export function checkWrites(writes: readonly LoneWrite[], id: string, found: ReadonlyMap<string, number>): void {
  for (const { key, result: { outcome, index, detail } } of writes) {
    const at = found.get(key);
    if (outcome === "ok" && at !== index) {
      throw new Error(`${key} was acknowledged at index ${index} and is ${at ? `at ${at}` : "lost"} on ${id}`);
    }
    if (outcome === "failed" && at !== undefined) {
      throw new Error(`${key} was not to be applied (${detail}), and is on ${id} at index ${at}`);
    }
  }
}
