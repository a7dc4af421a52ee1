import { assert, assertEquals } from "@std/assert";
import { networkTransport } from "../../src/transport/network.ts";
import type { LocalServer } from "../../src/transport/transport.ts";
import type { Hello, RefusalCode } from "../../src/wire/handshake_codec.ts";
import { join } from "./party.ts";
import { RawPeer } from "./raw_peer.ts";
import { type World, worldTest } from "./world.ts";

/** What the server `b` answers to such a hello. */
async function answerTo(world: World, hello: Partial<Hello>, group = 0): Promise<RefusalCode | "welcome" | undefined> {
  const raw = new RawPeer(world.internet, "b");
  raw.hello(hello, group);
  await world.clock.advance(0);
  const { reply } = raw;
  raw.stream.close();
  await world.clock.advance(0);
  return reply?.refusal?.code ?? (reply?.welcome === undefined ? undefined : "welcome");
}

worldTest("a handshake is refused for what can never be right, and only for that", async (world) => {
  await world.join("b");
  const answer = (hello: Partial<Hello>, group = 0) => answerTo(world, hello, group);
  assertEquals(await answer({}), "welcome");
  assertEquals(await answer({ clusterId: "other" }), "cluster-id");
  assertEquals(await answer({ clusterId: "" }), "welcome");
  assertEquals(await answer({ to: "c" }), "target-id");
  assertEquals(await answer({ from: "b" }), "own-id");
  assertEquals(await answer({ from: "nobody.knows-me" }), "welcome");
  assertEquals(await answer({ protocolMin: 1, protocolMax: 9 }), "welcome");
  assertEquals(await answer({ protocolMin: 1, protocolMax: 1 }), "welcome");
  assertEquals(await answer({ protocolMin: 2, protocolMax: 9 }), "welcome");
  assertEquals(await answer({ protocolMin: 3, protocolMax: 9 }), "protocol");
  assertEquals(await answer({ protocolMin: 0, protocolMax: 0 }), "protocol");
  assertEquals(await answer({}, 3), "group");
});

worldTest("a server without a cluster welcomes every cluster until it has adopted one", async (world) => {
  let clusterId = "";
  await world.join("b", {}, { clusterId: () => clusterId });
  assertEquals(await answerTo(world, { clusterId: "one" }), "welcome");
  clusterId = "one";
  assertEquals(await answerTo(world, { clusterId: "one" }), "welcome");
  assertEquals(await answerTo(world, { clusterId: "two" }), "cluster-id");
});

worldTest("a server that knows another first entry is refused, one that knows none is not", async (world) => {
  let firstEntry = "";
  await world.join("b", {}, { firstEntry: () => firstEntry });
  assertEquals(await answerTo(world, { firstEntry: "one" }), "welcome");
  firstEntry = "one";
  assertEquals(await answerTo(world, { firstEntry: "one" }), "welcome");
  assertEquals(await answerTo(world, { firstEntry: "" }), "welcome");
  assertEquals(await answerTo(world, { firstEntry: "two" }), "first-entry");
  // Nor is it told to two clusters that have names of their own.
  assertEquals(await answerTo(world, { firstEntry: "two", clusterId: "else" }), "cluster-id");
});

for (
  const [what, local, target, reason] of [
    [
      "another beginning",
      { firstEntry: () => "one" },
      "b",
      'the dialling server\'s first configuration is "one", that of the dialled one\'s "two"',
    ],
    [
      "another cluster",
      { clusterId: () => "else" },
      "b",
      'the dialling server\'s is "else", the dialled one\'s "cluster"',
    ],
    ["another server", {}, "c", 'wrong server: "c" was dialled, "b" answers'],
  ] as readonly (readonly [string, Partial<LocalServer>, string, string])[]
) {
  worldTest(`both sides learn why ${what} is refused, and say so once`, async (world) => {
    const a = await world.join("a", {}, local);
    const b = await world.join("b", {}, { firstEntry: () => "two" });
    a.want([target, "b:1"]);
    await world.clock.advance(8_000);
    for (const { calls, troubles } of [a, b]) {
      assertEquals(calls, []);
      assertEquals(troubles.map(({ kind }) => kind), ["handshake-refused"]);
      assert(troubles[0].reason.includes(reason), troubles[0].reason);
    }
    assertEquals([a.troubles[0].peer, b.troubles[0].peer], [target, "a"]);
    assertEquals(world.lines, [], "who is told logs it");
    assert(b.transport.counters!.handshakesRefused > 3);
  });
}

worldTest("trouble is told again after ten seconds, with the number of times it wasn't", async (world) => {
  const a = await world.join("a");
  a.want("b");
  await world.clock.advance(13_000);
  assertEquals(a.troubles.length, 2);
  assert(/\(and \d+ more like it\)$/.test(a.troubles[1].reason));
});

worldTest("a server with our own id is refused", async (world) => {
  const a = await world.join("a");
  const twin = await world.join("x", {}, { serverId: "a" });
  twin.want(["b", "a:1"]);
  await world.clock.advance(0);
  assertEquals(a.troubles.map(({ reason }) => reason), [
    'both servers have the id "a": give each server an id of its own',
  ]);
});

worldTest("whoever has a certificate can't speak for another server", async (world) => {
  const layer = world.internet.layer("a:1", "someone else");
  const a = await join(networkTransport(layer, { clock: world.clock }), "a");
  const honest = await join(networkTransport(world.internet.layer("c:1", "c"), { clock: world.clock }), "c");
  const b = await world.join("b");
  a.want("b");
  honest.want("b");
  await world.clock.advance(0);
  assertEquals(b.calls, ["connect c consensus"]);
  assert(a.troubles[0].reason.includes('belongs to "someone else"'));
  await a.transport.close();
  await honest.transport.close();
});

worldTest("a server that answers for another one is refused by the dialling side too", async (world) => {
  const a = await world.join("a", {}, { firstEntry: () => "one" });
  a.want(["b", "liar:1"]);
  const { encodeReply } = await import("../../src/wire/handshake_codec.ts");
  const { encodeFrameHeader, FrameKind } = await import("../../src/wire/frame.ts");
  const welcome = {
    protocol: 1,
    clusterId: "",
    serverId: "liar",
    incarnation: "liar",
    starts: 1,
    address: "",
    firstEntry: "",
  };
  const answers = [
    [welcome, "wrong server"],
    [{ ...welcome, serverId: "b", protocol: 3 }, "not offered"],
    [{ ...welcome, serverId: "b", clusterId: "else" }, "wrong cluster id"],
    [{ ...welcome, serverId: "b", firstEntry: "two" }, "another bootstrap"],
    [{ ...welcome, serverId: "b", incarnation: "" }, "names no disk"],
  ] as const;
  let turn = 0;
  const listener = await world.internet.layer("liar:1").listen((stream) => {
    stream.start(() => {});
    const body = encodeReply({ welcome: answers[turn][0] });
    stream.write([encodeFrameHeader(FrameKind.reply, 0, 0, [body]), body]);
  });
  for (; turn < answers.length; turn++) {
    await world.clock.advance(11_000);
    assert(a.troubles.at(-1)!.reason.includes(answers[turn][1]), a.troubles.at(-1)!.reason);
  }
  assertEquals(a.calls, []);
  await listener.close();
});

worldTest("strangers are welcome, but not without bound", async (world) => {
  const b = await world.join("b", { strangersMax: 3, handshakesPerHostMax: 100 });
  b.want("member");
  const raws = ["p", "q", "r", "s", "member"].map((from) => {
    const raw = new RawPeer(world.internet, "b");
    raw.hello({ from });
    return raw;
  });
  await world.clock.advance(0);
  const codes = raws.map(({ reply }) => reply?.refusal?.code);
  assertEquals(codes, [undefined, undefined, undefined, "overloaded", undefined]);
});
