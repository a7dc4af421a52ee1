import { assert, assertEquals } from "@std/assert";
import { RawPeer } from "./raw_peer.ts";
import { worldTest } from "./world.ts";

worldTest(
  "of two dials that cross, that of the smaller id is kept, and nobody sees a connection fail",
  async (world) => {
    const [a, b] = [await world.join("a"), await world.join("b")];
    world.internet.isHeld = true;
    a.want("b");
    b.want("a");
    world.internet.answerAll();
    await world.clock.advance(10);
    assertEquals([a.calls, b.calls], [["connect b consensus"], ["connect a consensus"]]);
    assertEquals(world.internet.pairs.map(([, { remoteAddress }]) => remoteAddress), ["a:1", "b:1"]);
    assertEquals(world.internet.pairs.map(([dialling]) => dialling.isClosed), [false, true]);
    assert(a.say("b", [1]) && b.say("a", [2]));
    await world.clock.advance(10_000);
    assertEquals([a.heard, b.heard, a.calls.length, b.calls.length], [[[2]], [[1]], 1, 1]);
    assertEquals([a.troubles, b.troubles], [[], []]);
  },
);

worldTest("servers that start at once and dial in every order end with one connection", async (world) => {
  for (let order = 0; order < 8; order++) {
    const [x, y] = [`x${order}`, `y${order}`];
    const [a, b] = [await world.join(x), await world.join(y)];
    world.internet.isHeld = true;
    const [first, second] = (order & 1) === 0 ? [a, b] : [b, a];
    first.want(first === a ? y : x);
    if ((order & 2) !== 0) world.internet.answerAll();
    if ((order & 4) !== 0) { for (let turn = 0; turn < 3; turn++) await null; }
    second.want(second === a ? y : x);
    world.internet.answerAll();
    world.internet.isHeld = false;
    await world.clock.advance(5_000);
    assert(a.say(y, [order]) && b.say(x, [order]));
    await world.clock.advance(0);
    assertEquals([a.heard, b.heard], [[[order]], [[order]]], `order ${order}`);
    assertEquals([a.calls.length, b.calls.length], [1, 1], `order ${order}: ${a.calls} / ${b.calls}`);
  }
});

worldTest("a smaller id whose dial leads nowhere takes the other one's connection", async (world) => {
  const [a, b] = [await world.join("a"), await world.join("b")];
  world.internet.blackHoles.add("b:1");
  a.want("b");
  await world.clock.advance(10);
  b.want("a");
  await world.clock.advance(10);
  assertEquals([a.calls, b.calls], [["connect b consensus"], ["connect a consensus"]]);
  await world.clock.advance(10_000);
  assertEquals(a.calls.length, 1);
});

worldTest("a smaller id whose dial is accepted but never answered gives way in the end", async (world) => {
  const [a, b] = [await world.join("a"), await world.join("b")];
  const listener = await world.internet.layer("tarpit:1").listen((stream) => stream.start(() => {}));
  a.want(["b", "tarpit:1"]);
  await world.clock.advance(500);
  b.want("a");
  await world.clock.advance(4_000);
  assertEquals([a.calls, b.calls], [["connect b consensus"], ["connect a consensus"]]);
  await listener.close();
});

for (const [restarting, staying] of [["a", "b"], ["b", "a"]]) {
  worldTest(`a half-open connection doesn't keep out its successor (${restarting} restarts)`, async (world) => {
    const old = await world.join(restarting);
    const other = await world.join(staying);
    other.want(restarting);
    await world.clock.advance(0);
    // The machine of `restarting` loses power: nothing is said any more.
    for (const ends of world.internet.pairs) for (const end of ends) end.isDead = true;
    await old.transport.close();
    const again = await world.join(restarting, {}, { starts: 2 });
    again.want(staying);
    await world.clock.advance(10);
    assertEquals(again.calls, [`connect ${staying} consensus`]);
    assertEquals(other.calls.slice(1), [
      `disconnect ${restarting} consensus: replaced by a newer connection`,
      `connect ${restarting} consensus`,
    ]);
    assertEquals(other.peers.get(restarting)?.starts, 2);
    assert(other.say(restarting, [1]));
    await world.clock.advance(10);
    assertEquals(again.heard, [[1]]);
  });
}

worldTest(
  "a server that lost a connection we believe in gets a new one at once, whoever dialled the old one",
  async (world) => {
    for (const [believer, loser] of [["a", "b"], ["d", "c"]]) {
      const [p, q] = [await world.join(believer), await world.join(loser)];
      p.want(loser); // dialled by the believer
      await world.clock.advance(10);
      const [dialling, dialled] = world.internet.pairs.at(-1)!;
      dialling.isDead = dialled.isDead = true;
      dialling.twin!.receive(null); // only the loser learns of the end
      q.want(believer);
      await world.clock.advance(100);
      assertEquals(q.calls.slice(1), [
        `disconnect ${believer} consensus: closed by peer`,
        `connect ${believer} consensus`,
      ]);
      assertEquals([p.calls[1], p.closedBy], [`disconnect ${loser} consensus: replaced by a newer connection`, []]);
      assert(p.say(loser, [7]));
      await world.clock.advance(10);
      assertEquals(q.heard, [[7]]);
    }
  },
);

worldTest("an older start of the same disk doesn't replace a newer one", async (world) => {
  const b = await world.join("b");
  const [newer, older, otherDisk] = [1, 2, 3].map(() => new RawPeer(world.internet, "b"));
  newer.hello({ starts: 5 });
  await world.clock.advance(0);
  older.hello({ starts: 4 });
  await world.clock.advance(0);
  assertEquals(older.reply?.refusal?.code, "stale");
  assertEquals(b.calls.length, 1);
  otherDisk.hello({ starts: 1, incarnation: "new disk" });
  await world.clock.advance(0);
  assertEquals(otherDisk.reply?.refusal, undefined);
  assert(newer.isEnded);
});

worldTest("frames of a connection that was replaced are not taken any more", async (world) => {
  const b = await world.join("b");
  const [first, second] = [new RawPeer(world.internet, "b"), new RawPeer(world.internet, "b")];
  first.hello();
  await world.clock.advance(0);
  second.hello({ nonce: 6, lastNonce: 5 });
  first.send(3, new Uint8Array([1]));
  await world.clock.advance(0);
  first.send(3, new Uint8Array([2]));
  second.send(3, new Uint8Array([3]));
  await world.clock.advance(0);
  assertEquals(b.heard, [[3]]);
});
