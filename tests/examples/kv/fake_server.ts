import type { Applied } from "../../../mod.ts";
import type { AdminTarget } from "../../../adapters/hono/mod.ts";
import type { KvServer } from "../../../examples/kv/http.ts";
import { type Command, KvMachine, type Result } from "../../../examples/kv/machine.ts";
import { fakeTarget } from "../../adapters/hono/fake_target.ts";

/** What operators ask of it is none of its business. */
export interface FakeServer extends AdminTarget {}

/** Applies at once what it is given, unless it is told to fail or to keep everybody waiting. */
export class FakeServer implements KvServer {
  readonly machine: KvMachine = new KvMachine();
  readonly commands: Command[] = [];
  readonly leader = { id: "b", address: "127.0.0.1:7002" };
  /** What the next calls reject with. */
  failure: unknown;
  /** Whether the next calls wait until their signal ends it. */
  isStuck = false;
  /** The consistency of each read. */
  readonly reads: (string | undefined)[] = [];

  constructor() {
    Object.assign(this, { ...fakeTarget(), leader: this.leader });
  }

  async applyEntry({ data }: { data: Command }, { signal }: { signal?: AbortSignal } = {}): Promise<Applied<Result>> {
    this.commands.push(data);
    await this.#trouble(signal);
    const index = this.machine.index + 1;
    return { index, term: 1, result: this.machine.apply(data, { index, term: 1, timeMs: 0 }) };
  }

  async read<T>(
    query: () => T,
    { signal, consistency }: { signal?: AbortSignal; consistency?: "linearizable" | "lease" | "stale" } = {},
  ): Promise<T> {
    this.reads.push(consistency);
    await this.#trouble(signal);
    return query();
  }

  async #trouble(signal: AbortSignal | undefined): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    if (!this.isStuck) return;
    signal!.throwIfAborted();
    await new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  }
}
