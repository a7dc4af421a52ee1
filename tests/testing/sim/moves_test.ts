import { assert, assertEquals } from "@std/assert";
import { serversAfter, towards } from "../../../src/core/change.ts";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { addressOf, drawMoveOf, drawSwap, type MoveInput } from "../../../src/testing/sim/moves.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { SimServer } from "../../../src/testing/sim/server.ts";
import type { Configuration, Server } from "../../../src/types.ts";
import { test } from "../../harness.ts";
import { lifeOf, rule, sceneOf } from "./clients_stage.ts";

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
    const request = { servers: 5, faults: [], moving: { voters: 3, chance: 1, swaps: 0.5, peers: 0.5, idlers: false } };
    return drawConfig(Random.seeded(seed), request).moving;
  });
  assertEquals(new Set(configs.map((it) => JSON.stringify(it))).size, 1);
  assertEquals(configs[0], { voters: 3, chance: 1, swaps: 0.5, peers: 0.5, idlers: false });
  const drawn = Array.from({ length: 80 }, (_, seed) => drawConfig(Random.seeded(seed), { servers: 5, faults: [] }));
  const moving = drawn.flatMap((it) => it.moving ?? []);
  assert(moving.length > 10 && moving.length < 60, `${moving.length}`);
  assert(moving.every(({ idlers, swaps }) => !idlers || swaps === 0));
  assert(moving.some(({ swaps }) => swaps! > 0) && moving.some(({ peers }) => peers! > 0));
});

test("moves: one server that is added or removed may be named by its address, which shifts nothing else", () => {
  const servers = ids.map((id) => ({ id, life: undefined }) as unknown as SimServer);
  const drawn = [0, 1].map((peers) => {
    const [random, others] = [Random.seeded(5), { swaps: Random.seeded(6), peers: Random.seeded(7) }];
    const moving = { voters: 3, chance: 1, idlers: false, peers };
    return Array.from({ length: 300 }, () => drawMoveOf(servers, random, others, "v", moving));
  });
  const withoutBy = (move: MoveInput) => ({ ...move, by: undefined });
  assertEquals(drawn[1]!.map(withoutBy), drawn[0]!.map(withoutBy));
  assert(drawn[0]!.every((move) => move.type === "transfer" || move.by === undefined));
  const named = drawn[1]!.filter((move) => move.type === "move" && move.by !== undefined);
  assert(named.length > 50, `${named.length}`);
  for (const move of named) {
    assert(move.type === "move" && move.changes.length === 1);
    const [change] = move.changes;
    assert(change!.type === "add-voter" ? move.by === change!.address : change!.type === "remove-server");
  }
});

/** What a server that knows s0 and s1 is asked for. */
async function askedFor(input: Partial<Extract<MoveInput, { type: "move" }>>): Promise<readonly unknown[]> {
  const asked: unknown[] = [];
  const ask = (name: string) => (...args: unknown[]) => (asked.push([name, ...args]), Promise.resolve({ index: 1 }));
  const raft = Object.fromEntries(["addPeer", "removePeer", "addVoter", "removeServer"].map((it) => [it, ask(it)]));
  const life = lifeOf(raft);
  Object.assign(life.core, { configurations: [known("s0", "s1")] });
  await sceneOf().calls.make(life, { type: "move", value: "v", changes: [], ...input }, "c");
  return asked;
}

test("moves: who is known by an address is added and removed by it, and nobody is added whose id it would make", async () => {
  const add = (id: string) => ({ type: "add-voter", id, address: addressOf(id) }) as const;
  const remove = (id: string) => ({ type: "remove-server", id }) as const;
  assertEquals(await askedFor({ changes: [add("s1")], by: "s1:1" }), [["addPeer", "s1:1", {}]]);
  assertEquals(await askedFor({ changes: [add("s2")], by: "s2:1" }), [["addVoter", "s2", "s2:1", {}]]);
  assertEquals(await askedFor({ changes: [add("s1")] }), [["addVoter", "s1", "s1:1", {}]]);
  assertEquals(await askedFor({ changes: [remove("s1")], by: "s1:1", prevIndex: 7 }), [["removePeer", "s1:1", {
    prevIndex: 7,
  }]]);
  assertEquals(await askedFor({ changes: [remove("s2")], by: "s2:1" }), [["removePeer", "s2:1", {}]]);
  assertEquals(await askedFor({ changes: [remove("s1")] }), [["removeServer", "s1", {}]]);
});

rule(
  "K3",
  "who was known by an address and is removed by it is not there any more",
  async ({ ghost, calls }, isBad) => {
    const life = lifeOf({ removePeer: () => Promise.resolve({ index: 1 }) });
    Object.assign(life.core, { configurations: [known("s0", "s1")] });
    const { configuration } = known("s0", ...isBad ? ["s1"] : []);
    ghost.commits.push({ term: 1, hash: 1, committedIn: 1, sets: [], configuration });
    const changes = [{ type: "remove-server", id: "s1" }] as const;
    await calls.make(life, { type: "move", value: "v", changes, by: "s1:1" }, "c");
  },
);

rule("K3", "who is named as leader after a transfer was leader", async ({ ghost, calls }, isBad) => {
  ghost.leaders.set(2, { leader: isBad ? "a" : "b", log: new ChainLog() });
  const life = lifeOf({ transferLeadership: () => Promise.resolve({ id: "b" }) });
  await calls.make(life, { type: "transfer", value: "v" }, "c");
});
