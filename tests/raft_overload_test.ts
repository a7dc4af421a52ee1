/**
 * More than a server, its machine or a follower can take: callers wait or are refused, and nothing else.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { RaftError } from "../src/errors.ts";
import type { StateMachine } from "../src/machine.ts";
import type { LogCache } from "../src/store/log_cache.ts";
import { test } from "./harness.ts";
import {
  Journal,
  type Outcome,
  VirtualCluster,
  type VirtualCluster as Cluster,
  watch,
  withCluster,
} from "./virtual_cluster.ts";

/** A machine that takes its time for each command. */
class Slow extends Journal {
  readonly #cluster: Cluster;
  readonly #ms: number;

  constructor(cluster: Cluster, ms: number) {
    super();
    this.#cluster = cluster;
    this.#ms = ms;
  }

  override apply(command: unknown, context: { readonly index: number }): unknown {
    return new Promise((resolve) => {
      this.#cluster.environment.setTimeout(() => resolve(super.apply(command, context)), this.#ms);
    });
  }
}

test("a slow machine makes callers wait, and is neither waited for by heartbeats nor a reason for an election", () =>
  withCluster(
    3,
    async (cluster) => {
      const { leader } = await cluster.elect();
      const { term } = leader.status;
      const calls: Promise<Outcome>[] = [];
      // Ten times as many as it can take, for 20 s.
      for (let i = 0; i < 200; i++) {
        for (let k = 0; k < 10; k++) calls.push(watch(leader.apply(i)));
        await cluster.environment.advance(100);
        assert(leader.metrics().proposalsPending <= 8);
      }
      const outcomes = await cluster.settled(Promise.all(calls));
      const served = outcomes.filter(({ error }) => error === undefined).length;
      assertEquals(
        new Set(outcomes.filter(({ error }) => error !== undefined).map(({ text }) => text)),
        new Set([
          "overloaded not-applied",
        ]),
      );
      assert(served > 150 && served < 250, `${served}`);
      assertEquals([leader.state, leader.status.term, leader.metrics().leaderChanges], ["leader", term, 1]);
    },
    { inFlightCountMax: 8 },
    (_, cluster) => new Slow(cluster, 100),
  ));

test("a follower that takes nothing does not grow what its leader keeps in memory, and gets it all when it does", async () => {
  const caches: LogCache[] = [];
  const cluster = new VirtualCluster(3);
  cluster.environment.observe = (_, cache) => void caches.push(cache);
  await cluster.startAll({ logCacheBytesMax: 32 * 1024, snapshotThreshold: 2 ** 40 });
  const { leader, followers: [follower] } = await cluster.elect();
  const lagging = cluster.stores.get(follower!.id)!;
  lagging.slowWrites = true;
  const cache = caches[cluster.ids.indexOf(leader.id)]!;
  const command = new Uint8Array(1024);
  for (let i = 0; i < 300; i++) {
    await cluster.settled(leader.apply(command));
    // A batch more than the bound, while that is written.
    assert(cache.end - cache.firstIndex <= 40, `${cache.firstIndex} to ${cache.end}`);
  }
  assertEquals(follower!.status.durableIndex < leader.lastIndex, true);
  lagging.slowWrites = false;
  for (const write of lagging.writing) write.resolve();
  await cluster.converged();
  await cluster.stopAll();
});

/** Throws, throws later, throws for good; or is as it should be. */
const machine = (): StateMachine<unknown, unknown> => ({
  apply: (command) => {
    if (command === "throw") throw new RangeError("thrown");
    return command === "reject" ? Promise.reject(new RangeError("rejected")) : command;
  },
  snapshot: () => new Blob(["x"]).stream(),
  restore: async (bytes) => void await new Response(bytes as ReadableStream<Uint8Array<ArrayBuffer>>).text(),
});

test("whatever happens to a server, each call that was made there gets one answer (K4)", () =>
  withCluster(
    3,
    async (cluster) => {
      const answers: Outcome[] = [];
      let asked = 0;
      const ask = (...calls: Promise<unknown>[]) => {
        asked += calls.length;
        for (const call of calls) void watch(call).then((answer) => answers.push(answer));
      };
      const askAll = () => {
        for (const raft of cluster.rafts.values()) {
          const { signal } = new AbortController();
          ask(raft.apply("x"), raft.apply("throw"), raft.apply("reject"), raft.apply("k", { key: "k" }));
          ask(raft.read(() => 1), raft.read(() => 1, { consistency: "lease" }), raft.barrier(), raft.readIndex());
          ask(
            raft.apply("aborted", { signal: AbortSignal.abort(new Error("gave up")) }),
            raft.read(() => 1, { signal }),
          );
          ask(raft.verifyLeader(), raft.installSnapshot());
        }
      };
      const { leader, followers: [one, other] } = await cluster.elect();
      askAll();
      ask(leader.transferLeadership(one!.id), other!.transferLeadership());
      await cluster.environment.advance(20);
      askAll();
      const taken = await cluster.outcome(leader.snapshot());
      if (one!.state === "leader" && taken.error === undefined) {
        const { meta, open } = taken.value as Awaited<ReturnType<typeof leader.snapshot>>;
        ask(one!.restore(meta, open()));
      }
      askAll();
      cluster.isolate(cluster.raft(one!.id).id);
      await cluster.environment.advance(700);
      askAll();
      cluster.heal();
      await cluster.environment.advance(300);
      askAll();
      await cluster.stopAll();
      // Virtual time says nothing about the checksum of a key, which another thread makes.
      const deadline = performance.now() + 20_000;
      while (answers.length < asked && performance.now() < deadline) await cluster.environment.advance(10);
      // One answer each, which says what is known.
      await cluster.environment.advance(10_000);
      assertEquals(answers.length, asked);
      for (const { error, text } of answers) {
        const isKnown = error === undefined || error instanceof RaftError || error instanceof RangeError ||
          text === "Error: gave up";
        assert(isKnown, text);
      }
    },
    { snapshotThreshold: 2 ** 40 },
    machine,
  ));
