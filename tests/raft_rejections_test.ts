/**
 * Every way in which `apply` rejects, as docs/clients.md has it: what is known, who leads, when to try again.
 *
 * @module
 */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { RaftError } from "../src/errors.ts";
import type { Raft } from "../src/raft.ts";
import { test } from "./harness.ts";
import { Journal, type VirtualCluster, withCluster } from "./virtual_cluster.ts";

/** What a rejection says: code, outcome, leader, when to try again. */
async function rejection(cluster: VirtualCluster, promise: Promise<unknown>) {
  const { error } = await cluster.outcome(promise, 60_000);
  assertInstanceOf(error, RaftError);
  return [error.code, error.outcome, error.leader?.id, error.retryAfterMs] as const;
}

const none = undefined;

test("apply() without a leader is not applied, and worth another try when one may be elected", () =>
  withCluster(3, async (cluster) => {
    const { followers: [follower] } = await cluster.elect();
    cluster.isolate(follower!.id);
    await cluster.environment.advance(2_000);
    assertEquals(await rejection(cluster, follower!.apply(1)), ["not-leader", "not-applied", none, 500]);
  }));

test("apply() beyond what may be in flight is not applied, names the leader, and is soon worth another try", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    for (const raft of [leader, follower!]) {
      const first = raft.apply(1);
      assertEquals(await rejection(cluster, raft.apply(2)), ["overloaded", "not-applied", leader.id, 50]);
      await cluster.settled(first);
    }
  }, { inFlightCountMax: 1 }));

test("apply() whose place another leader has taken is not applied, and worth another try at once, at that leader", () =>
  withCluster(3, async (cluster) => {
    const { leader } = await cluster.elect();
    cluster.isolate(leader.id);
    const lost = rejection(cluster, leader.apply(1));
    const next = await cluster.leader(cluster.ids.filter((id) => id !== leader.id));
    await cluster.settled(next.apply(2));
    cluster.heal();
    assertEquals(await lost, ["leadership-lost", "not-applied", next.id, 0]);
  }));

test("apply() whose leader is lost has an unknown outcome, which no other try makes known", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    const lost = rejection(cluster, follower!.apply(1));
    await cluster.environment.advance(1);
    cluster.isolate(follower!.id);
    const [code, outcome, , retryAfterMs] = await lost;
    assertEquals([code, outcome, retryAfterMs], ["leadership-lost", "unknown", none]);
    assertEquals(await rejection(cluster, cut(cluster, leader)), ["leadership-lost", "unknown", none, none]);
  }));

/** A command in the log of a leader that nobody hears again. */
async function cut(cluster: VirtualCluster, leader: Raft<unknown, unknown>): Promise<unknown> {
  cluster.isolate(leader.id);
  return await leader.apply(1);
}

test("apply() that a shutdown ends is not applied when it was handed to nobody, and unknown when it was", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    const handed = rejection(cluster, follower!.apply(1));
    await cluster.environment.advance(1);
    cluster.isolate(follower!.id, leader.id);
    const [first, stopped] = [handed, follower!.shutdown()];
    await cluster.settled(stopped);
    const [code, outcome] = await first;
    assertEquals([["shutdown", "leadership-lost"].includes(code), outcome], [true, "unknown"]);
    const [after, isApplied, , retryAfterMs] = await rejection(cluster, follower!.apply(2));
    assertEquals([after, isApplied, retryAfterMs], ["shutdown", "not-applied", none]);
  }));

test("apply() that is called wrongly is refused before anything is sent", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const before = raft.lastIndex;
    const wrong: [() => Promise<unknown>, typeof Error][] = [
      [() => raft.apply(new Uint8Array(101)), RangeError],
      [() => raft.apply(1, { key: "" }), TypeError],
      [() => raft.apply(1, { enqueueTimeoutMs: -1 }), RangeError],
    ];
    for (const [call, kind] of wrong) assertInstanceOf((await cluster.outcome(call())).error, kind);
    assertEquals(raft.lastIndex, before);
  }, { commandBytesMax: 100 }));

test("apply() of a command that is too large for the leader alone is refused, and those with it are applied", () =>
  withCluster(2, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    await cluster.settled(follower!.shutdown());
    const other = await cluster.start(follower!.id, { commandBytesMax: 1_000 });
    await cluster.settled(other.barrier());
    const calls = [new Uint8Array(10), new Uint8Array(101), new Uint8Array(20)].map((command) => other.apply(command));
    const ended = await Promise.all(calls.map((call) => cluster.outcome(call)));
    assertEquals(ended.map(({ error }) => error === undefined ? "applied" : (error as Error).name), [
      "applied",
      "RangeError",
      "applied",
    ]);
    assertEquals(cluster.machine(leader.id).values.length, 2);
  }, { commandBytesMax: 100 }));

test("apply() rejects with what the machine threw, and with the reason of its signal", () =>
  withCluster(
    3,
    async (cluster) => {
      const { leader, followers: [follower] } = await cluster.elect();
      for (const raft of [leader, follower!]) {
        assertEquals((await cluster.outcome(raft.apply("bad"))).text, "Error: my own");
        const controller = new AbortController();
        const call = raft.apply("good", { signal: controller.signal });
        controller.abort(new Error("enough"));
        assertEquals((await cluster.outcome(call)).text, "Error: enough");
      }
    },
    {},
    () => new Refusing(),
  ));

class Refusing extends Journal {
  override apply(command: unknown, context: { readonly index: number }): unknown {
    if (command === "bad") throw new Error("my own");
    return super.apply(command, context);
  }
}
