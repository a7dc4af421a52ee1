/**
 * Restores while servers stop, start, and are cut off: all end with the same state, and it is what the caller was told.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Snapshot } from "../src/raft.ts";
import { concatenate } from "../src/wire/bytes.ts";
import { test } from "./harness.ts";
import { type Outcome, SnapshotJournal, VirtualCluster, watch } from "./virtual_cluster.ts";

const settings = {
  clusterId: "c",
  commandBytesMax: 30,
  snapshotThreshold: 40,
  snapshotIntervalMs: 200,
  trailingLogs: 5,
};

const ids = ["a", "b", "c"];

async function bytesOf(cluster: VirtualCluster, snapshot: Snapshot): Promise<Uint8Array> {
  const reader = snapshot.open().getReader();
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await cluster.settled(reader.read());
    if (done) return concatenate(pieces);
    pieces.push(value);
  }
}

/** A cluster with the values `kept 0` to `kept 29` in its backup, and `wrong` ones after it. */
class Run {
  readonly cluster = new VirtualCluster(3, (id, cluster) => {
    const machine = new SnapshotJournal();
    cluster.machines.set(id, machine);
    return machine;
  });
  readonly #down = new Set<string>();
  #seed: number;
  #serial = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** A number below this, the same ones for each seed. */
  below(limit: number): number {
    this.#seed = (this.#seed * 48_271 + 11) % 2_147_483_647;
    return this.#seed % limit;
  }

  /** The bytes in pieces, now and then one. */
  slowly(bytes: Uint8Array): ReadableStream<Uint8Array> {
    let at = 0;
    return new ReadableStream<Uint8Array>({
      pull: (controller) =>
        new Promise<void>((resolve) => {
          this.cluster.environment.setTimeout(() => {
            if (at < bytes.length) controller.enqueue(bytes.slice(at, at += 100));
            else controller.close();
            resolve();
          }, 1);
        }),
    }, { highWaterMark: 0 });
  }

  async fault(): Promise<void> {
    const { cluster } = this;
    const leading = ids.find((id) => !this.#down.has(id) && cluster.raft(id).state === "leader");
    const id = this.below(2) === 0 && leading !== undefined ? leading : ids[this.below(3)]!;
    switch (this.below(4)) {
      case 0:
        return cluster.isolate(id);
      case 1:
        return cluster.heal();
      case 2:
        if (this.#down.size > 0) return;
        this.#down.add(id);
        return await cluster.settled(cluster.raft(id).shutdown());
      default:
        return await this.startAll();
    }
  }

  async startAll(): Promise<void> {
    for (const id of this.#down) await this.cluster.start(id, settings);
    this.#down.clear();
  }

  /** Somebody's command, of which nobody waits for the answer. */
  command(): void {
    const id = ids[this.below(3)]!;
    if (!this.#down.has(id)) void watch(this.cluster.raft(id).apply(`late ${this.#serial++}`));
  }

  async end(): Promise<readonly unknown[]> {
    const { cluster } = this;
    cluster.heal();
    await this.startAll();
    const leader = await cluster.leader(ids, 60_000);
    await cluster.settled(leader.barrier(), 60_000);
    await cluster.converged();
    const [first, ...others] = ids.map((id) => cluster.machine(id).values);
    for (const values of others) assertEquals(values, first);
    await cluster.stopAll();
    return first!;
  }
}

/** What the caller of the restore was told, and what all servers hold in the end. */
async function runOf(seed: number): Promise<{ readonly outcome: Outcome; readonly values: readonly unknown[] }> {
  const run = new Run(seed);
  const { cluster } = run;
  await cluster.startAll(settings);
  const leader = await cluster.leader();
  for (let at = 0; at < 30; at++) await cluster.settled(leader.apply(`kept ${at}`));
  const snapshot = await cluster.settled(leader.snapshot());
  const bytes = await bytesOf(cluster, snapshot);
  for (let at = 0; at < 5; at++) await cluster.settled(leader.apply(`wrong ${at}`));
  let outcome: Outcome | undefined;
  watch(leader.restore(snapshot.meta, new Blob([bytes as Uint8Array<ArrayBuffer>]).stream())).then((it) =>
    outcome = it
  );
  for (let at = 0; at < 40; at++) {
    run.command();
    if (run.below(at < 25 ? 4 : 3) === 0) await run.fault();
    await cluster.environment.advance(run.below(at < 25 ? 6 : 400));
  }
  const values = await run.end();
  await cluster.environment.until(() => outcome !== undefined, 60_000);
  return { outcome: outcome!, values };
}

test("Raft.restore() under faults: one state everywhere, and the one that its caller was told", async () => {
  const told = { done: 0, not: 0, unknown: 0 };
  for (let seed = 1; seed <= 80; seed++) {
    const { outcome: { text, error }, values } = await runOf(seed);
    const isRestored = !values.includes("wrong 0");
    // All of a state, never a part of one.
    assertEquals(values.filter((value) => String(value).startsWith("kept")).length, 30, `seed ${seed}`);
    assertEquals(
      values.filter((value) => String(value).startsWith("wrong")).length,
      isRestored ? 0 : 5,
      `seed ${seed}`,
    );
    if (error === undefined) {
      told.done++;
      assert(isRestored, `seed ${seed}: done, but not restored`);
    } else if (text.endsWith(" not-applied")) {
      told.not++;
      assert(!isRestored, `seed ${seed}: ${text}, but restored`);
    } else {
      assert(text.endsWith(" unknown"), `seed ${seed}: ${text}`);
      told.unknown++;
    }
  }
  assert(told.done > 10 && told.not > 10 && told.unknown > 0, JSON.stringify(told));
}, { timeoutMs: 120_000 });
