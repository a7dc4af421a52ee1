/**
 * Whole servers on memory parts in virtual time.
 *
 * @module
 */
import type { Logger, RaftOptions } from "../src/options.ts";
import type { Raft } from "../src/raft.ts";
import { startServer } from "../src/server.ts";
import type { StateMachine } from "../src/machine.ts";
import { memorySnapshotStore } from "../src/store/memory_snapshots.ts";
import type { SnapshotStore } from "../src/store/snapshot_store.ts";
import type { Store } from "../src/store/store.ts";
import { type MemoryNetwork, memoryNetwork } from "../src/transport/memory.ts";
import type { ServerId } from "../src/types.ts";
import { ManualStore } from "./driver/stores.ts";
import { VirtualEnvironment } from "./virtual_environment.ts";

/** Remembers what it was given, in order; returns how many that were. */
export class Journal<Command = unknown> implements StateMachine<Command, unknown> {
  readonly values: Command[] = [];
  readonly indexes: number[] = [];

  apply(command: Command, { index }: { readonly index: number }): unknown {
    this.values.push(command);
    this.indexes.push(index);
    return this.values.length;
  }
}

/** The same with snapshots: pieces of JSON, captured at once. */
export class SnapshotJournal extends Journal {
  /** How often it was restored. */
  restores: number = 0;
  /** Pieces that a stream gives at most; the rest is one piece. */
  pieceBytes: number = 64 * 1024;

  snapshot(): ReadableStream<Uint8Array> {
    const bytes = new TextEncoder().encode(JSON.stringify({ values: this.values, indexes: this.indexes }));
    let at = 0;
    const pieceBytes = this.pieceBytes;
    return new ReadableStream({
      pull(controller) {
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.subarray(at, at += pieceBytes));
      },
    }, { highWaterMark: 0 });
  }

  async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    const { values, indexes } = await new Response(bytes as ReadableStream<Uint8Array<ArrayBuffer>>).json();
    this.values.splice(0, Infinity, ...values);
    this.indexes.splice(0, Infinity, ...indexes);
    this.restores++;
  }
}

/** How a call ended. */
export interface Outcome {
  readonly value?: unknown;
  readonly error?: unknown;
  /** `value`, or `code outcome` of the error. */
  readonly text: string;
}

/** Servers `a`, `b`, … of one cluster. */
export class VirtualCluster {
  readonly environment: VirtualEnvironment = new VirtualEnvironment();
  readonly network: MemoryNetwork = memoryNetwork({
    clock: this.environment,
    random: this.environment.random,
    delayMs: 1,
  });
  readonly ids: readonly ServerId[];
  readonly bootstrap: Record<ServerId, string>;
  readonly stores: Map<ServerId, ManualStore> = new Map();
  readonly snapshots: Map<ServerId, SnapshotStore> = new Map();
  readonly machines: Map<ServerId, Journal> = new Map();
  readonly rafts: Map<ServerId, Raft<unknown, unknown>> = new Map();
  /** Error lines of all loggers. */
  readonly errors: string[] = [];
  #makeMachine: (id: ServerId) => StateMachine<unknown, unknown>;

  constructor(size: number, makeMachine?: (id: ServerId, cluster: VirtualCluster) => StateMachine<unknown, unknown>) {
    this.ids = [..."abcdefghi"].slice(0, size);
    this.bootstrap = Object.fromEntries(this.ids.map((id) => [id, id]));
    this.#makeMachine = (id) => makeMachine?.(id, this) ?? this.#journal(id);
  }

  #journal(id: ServerId): Journal {
    const journal = new Journal();
    this.machines.set(id, journal);
    return journal;
  }

  /** Starts a server, anew on its disk when it ran before. */
  async start(id: ServerId, over: Partial<RaftOptions<unknown, unknown>> = {}): Promise<Raft<unknown, unknown>> {
    const store = this.stores.get(id) ?? new ManualStore();
    this.stores.set(id, store);
    const snapshots = this.snapshots.get(id) ?? memorySnapshotStore();
    this.snapshots.set(id, snapshots);
    const logger: Logger = { debug() {}, info() {}, warn() {}, error: (line) => void this.errors.push(line) };
    const raft = await startServer<unknown, unknown>({
      id,
      machine: this.#makeMachine(id),
      // A factory, so that the server closes it and the next one can open it again.
      store: { open: () => Promise.resolve(store as Store), snapshots: { open: () => Promise.resolve(snapshots) } },
      transport: this.network.transport(id),
      bootstrap: this.bootstrap,
      logger,
      ...over,
    }, this.environment);
    this.rafts.set(id, raft);
    return raft;
  }

  async startAll(over: Partial<RaftOptions<unknown, unknown>> = {}): Promise<void> {
    for (const id of this.ids) await this.start(id, over);
  }

  raft(id: ServerId): Raft<unknown, unknown> {
    return this.rafts.get(id)!;
  }

  machine(id: ServerId): Journal {
    return this.machines.get(id)!;
  }

  /** The server that leads the latest term, once all servers among `ids` follow it. */
  async leader(ids: readonly ServerId[] = this.ids, withinMs?: number): Promise<Raft<unknown, unknown>> {
    const agreed = () => {
      const hints = new Set(ids.map((id) => this.raft(id).leader?.id));
      const [hint] = hints;
      return hints.size === 1 && hint !== undefined && ids.includes(hint) && this.raft(hint).state === "leader";
    };
    await this.environment.until(agreed, withinMs);
    return this.raft(this.raft(ids[0]!).leader!.id);
  }

  /** A leader and the others. */
  async elect(): Promise<{ leader: Raft<unknown, unknown>; followers: Raft<unknown, unknown>[] }> {
    const leader = await this.leader();
    return { leader, followers: this.ids.filter((id) => id !== leader.id).map((id) => this.raft(id)) };
  }

  /** Cuts these off from all others. */
  isolate(...ids: ServerId[]): void {
    for (const id of ids) {
      for (const other of this.ids) if (!ids.includes(other)) this.network.disconnect(id, other);
    }
  }

  heal(): void {
    for (const a of this.ids) for (const b of this.ids) if (a < b) this.network.connect(a, b);
  }

  /** The call's value; time passes until there is one. */
  settled<T>(promise: Promise<T>, withinMs?: number): Promise<T> {
    return this.environment.settled(promise, withinMs);
  }

  /** How the call ends; time passes until it does. */
  async outcome(promise: Promise<unknown>, withinMs?: number): Promise<Outcome> {
    let outcome: Outcome | undefined;
    watch(promise).then((ended) => outcome = ended);
    await this.environment.until(() => outcome !== undefined, withinMs);
    return outcome!;
  }

  /** Until all servers have applied what the first of them has, and all machines hold the same. */
  async converged(): Promise<void> {
    await this.environment.until(() => {
      const indexes = this.ids.map((id) => this.raft(id).appliedIndex);
      return indexes.every((index) => index === this.raft(this.ids[0]!).lastIndex && index > 1);
    });
  }

  async stopAll(): Promise<void> {
    const stops = [...this.rafts.values()].map((raft) => raft.shutdown());
    await this.settled(Promise.all(stops));
  }
}

/** How the call ends. */
export function watch(promise: Promise<unknown>): Promise<Outcome> {
  return promise.then((value) => ({ value, text: String(value) }), (error) => {
    const { code, outcome } = Object(error) as { code?: string; outcome?: string };
    return { error, text: code === undefined ? String(error) : `${code} ${outcome}` };
  });
}

/** Runs a test on a cluster whose servers are all started, and stops them; no timer may be left. */
export async function withCluster(
  size: number,
  body: (cluster: VirtualCluster) => Promise<void>,
  over: Partial<RaftOptions<unknown, unknown>> = {},
  makeMachine?: (id: ServerId, cluster: VirtualCluster) => StateMachine<unknown, unknown>,
): Promise<void> {
  const cluster = new VirtualCluster(size, makeMachine);
  await cluster.startAll(over);
  await body(cluster);
  cluster.heal();
  for (const store of cluster.stores.values()) {
    for (const write of store.writing) write.resolve();
    for (const read of store.reading) read.resolve();
    store.slowWrites = store.slowReads = false;
  }
  await cluster.stopAll();
  await cluster.environment.advance(5_000);
  if (cluster.environment.timerCount > 0) throw new Error(`${cluster.environment.timerCount} timers are left`);
}
