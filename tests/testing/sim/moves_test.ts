import { assert, assertEquals } from "@std/assert";
import { serversAfter, towards } from "../../../src/core/change.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { drawSwap } from "../../../src/testing/sim/moves.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { Configuration, Server } from "../../../src/types.ts";
import { test } from "../../harness.ts";

const ids = ["s0", "s1", "s2", "s3", "s4"];

function known(...voters: string[]) {
  const servers = voters.map((id): Server => ({ id, address: `${id}:1`, suffrage: "voter" }));
  return { index: 7, configuration: { servers } satisfies Configuration };
}

test("moves: several votes at once take a joint configuration, and leave a voter", () => {
  for (const voters of [["s0"], ["s0", "s1"], ["s1", "s2", "s3"], ids]) {
    const random = Random.seeded(5);
    const { index, configuration } = known(...voters);
    for (let i = 0; i < 100; i++) {
      const move = drawSwap(random, "v1", ids, { index, configuration });
      // Nobody comes where all vote already, and of one more that goes nothing is joint.
      if (move === undefined) {
        assertEquals(voters.length, ids.length);
        continue;
      }
      assert(move.type === "move");
      const after = serversAfter(configuration.servers, move.changes, new Set(ids));
      assert(towards(configuration, after).outgoing !== undefined, JSON.stringify(move));
      assert(after.some(({ suffrage }) => suffrage === "voter"), JSON.stringify(move));
    }
  }
  assertEquals(drawSwap(Random.seeded(5), "v1", ["s0", "s1"], known("s0")), undefined);
});

test("moves: what is fixed of them is not drawn, and what is not still is", () => {
  const configs = Array.from({ length: 40 }, (_, seed) => {
    const request = { servers: 5, faults: [], moving: { voters: 3, chance: 1, swaps: 0.5, idlers: false } };
    return drawConfig(Random.seeded(seed), request).moving;
  });
  assertEquals(new Set(configs.map((it) => JSON.stringify(it))).size, 1);
  assertEquals(configs[0], { voters: 3, chance: 1, swaps: 0.5, idlers: false });
  const drawn = Array.from({ length: 80 }, (_, seed) => drawConfig(Random.seeded(seed), { servers: 5, faults: [] }));
  const moving = drawn.flatMap((it) => it.moving ?? []);
  assert(moving.length > 10 && moving.length < 60, `${moving.length}`);
  assert(moving.every(({ idlers, swaps }) => !idlers || swaps === 0));
  assert(moving.some(({ swaps }) => swaps! > 0));
});
