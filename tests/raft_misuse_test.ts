/**
 * Callers that do what the types don't allow, or at the worst moment: the call ends, the server goes on.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import type { Codec } from "../src/machine.ts";
import { test } from "./harness.ts";
import { withCluster } from "./virtual_cluster.ts";

for (
  const [name, value] of [
    ["ArrayBuffer", new ArrayBuffer(8)],
    ["Promise", Promise.resolve(new Uint8Array(8))],
    ["string", "text"],
    ["Array", [1, 2]],
    ["Uint16Array", new Uint16Array(4)],
    ["null", null],
    ["undefined", undefined],
    ["object", Object.create(null)],
  ] as const
) {
  const codec = { encode: () => value, decode: () => 1 } as unknown as Codec<unknown>;
  test(`Raft.apply() rejects when a codec encodes to ${name}, and nothing gets into the log`, () =>
    withCluster(1, async (cluster) => {
      const raft = await cluster.leader();
      const before = raft.lastIndex;
      await assertRejects(() => raft.apply({}), TypeError, `Uint8Array, not ${name}`);
      await cluster.settled(raft.apply(new Uint8Array(3)));
      assertEquals([raft.state, raft.lastIndex], ["leader", before + 1]);
    }, { codec }));
}

test("Raft.apply() whose signal is ended by the codec proposes nothing", () => {
  const controller = new AbortController();
  const encode = () => {
    controller.abort(new Error("enough"));
    return new Uint8Array(1);
  };
  return withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    await assertRejects(() => raft.apply({}, { signal: controller.signal }), Error, "enough");
    assertEquals([raft.metrics().proposals, raft.metrics().proposalsPending], [0, 0]);
  }, { codec: { encode, decode: () => 1 } });
});
