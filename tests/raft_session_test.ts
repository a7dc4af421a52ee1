import { assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { ResultLostError, SessionExpiredError } from "../src/errors.ts";
import { createRaft } from "../src/raft.ts";
import { systemEnvironment } from "../src/driver/environment.ts";
import { keyBlock } from "../src/session.ts";
import { memoryStore } from "../src/store/memory.ts";
import { memoryNetwork } from "../src/transport/memory.ts";
import { KEY_SESSION_MIN } from "../src/wire/client_block.ts";
import { test } from "./harness.ts";
import { VirtualCluster, watch, withCluster } from "./virtual_cluster.ts";

test("Raft.session(): commands of a session on any server are applied once each, in all machines", () =>
  withCluster(3, async (cluster) => {
    await cluster.leader();
    const sessions = [];
    for (const id of cluster.ids) sessions.push(await cluster.settled(cluster.raft(id).session()));
    assertEquals(new Set(sessions.map(({ id }) => id)).size, 3);
    const calls = sessions.flatMap((session, s) => Array.from({ length: 20 }, (_, i) => session.apply(`${s}.${i}`)));
    const results = await cluster.settled(Promise.all(calls));
    assertEquals(new Set(results).size, 60);
    await cluster.converged();
    for (const id of cluster.ids) assertEquals(new Set(cluster.machine(id).values).size, 60);
    for (const session of sessions) await cluster.settled(session.close());
    assertInstanceOf((await cluster.outcome(sessions[0]!.apply("late"))).error, SessionExpiredError);
  }));

test("Session.apply() through the fall of leaders: sent again until it is answered, applied once (K1, BK02)", () =>
  withCluster(3, async (cluster) => {
    await cluster.leader();
    const sessions = [];
    for (const id of cluster.ids) sessions.push(await cluster.settled(cluster.raft(id).session()));
    const calls: Promise<unknown>[] = [];
    for (let round = 0; round < 6; round++) {
      const leader = await cluster.leader(cluster.ids, 60_000);
      for (const [s, session] of sessions.entries()) {
        for (let i = 0; i < 5; i++) calls.push(session.apply(`${round}.${s}.${i}`));
      }
      await cluster.environment.advance(round % 3);
      cluster.isolate(leader.id);
      await cluster.environment.advance(3_000);
      cluster.heal();
    }
    const results = await cluster.settled(Promise.all(calls), 120_000);
    assertEquals(new Set(results).size, 90);
    await cluster.converged();
    for (const id of cluster.ids) {
      assertEquals([cluster.machine(id).values.length, new Set(cluster.machine(id).values).size], [90, 90]);
    }
  }));

test("Session.apply(): the signal ends the waiting; a server that stops ends its sessions, and no timer is left", () =>
  withCluster(3, async (cluster) => {
    const leader = await cluster.leader();
    const session = await cluster.settled(leader.session());
    cluster.isolate(leader.id);
    const controller = new AbortController();
    const [aborted, stopped] = [watch(session.apply("a", { signal: controller.signal })), watch(session.apply("b"))];
    await cluster.environment.advance(20_000);
    controller.abort(new Error("enough"));
    assertEquals((await cluster.settled(aborted)).text, "Error: enough");
    const down = leader.shutdown();
    // An earlier attempt was in the log of a leader, and may be committed yet (K5).
    assertEquals((await cluster.settled(stopped)).text, "shutdown unknown");
    await cluster.settled(down);
    assertEquals((await cluster.outcome(session.apply("c"))).text, "shutdown not-applied");
    assertEquals((await cluster.outcome(leader.session())).text, "shutdown not-applied");
  }));

test("Session.apply(): who waits for another attempt is told when the server stops, not later (K4)", async () => {
  const cluster = new VirtualCluster(3);
  await cluster.startAll({ leaderWaitMs: 1 });
  const { id } = await cluster.leader();
  const session = await cluster.settled(cluster.raft(id).session());
  cluster.isolate(id);
  // Long enough for waits of a second between the attempts.
  await cluster.environment.advance(20_000);
  const texts: string[] = [];
  const calls = [session.apply("a"), cluster.raft(id).session()];
  for (const call of calls) void watch(call).then(({ text }) => texts.push(text));
  await cluster.environment.advance(20_000);
  assertEquals(texts, []);
  await cluster.settled(cluster.raft(id).shutdown());
  assertEquals(texts, ["shutdown not-applied", "shutdown not-applied"]);
  await cluster.stopAll();
});

test("a session is kept open while its server runs, and forgotten by the log's time when that is gone", () =>
  withCluster(3, async (cluster) => {
    const leader = await cluster.leader();
    const session = await cluster.settled(leader.session());
    assertEquals((await cluster.outcome(session.apply("x"))).text, "1");
    await cluster.environment.advance(10_000);
    assertEquals((await cluster.outcome(session.apply("y"))).text, "2");
    // The last word of the session is here; then nobody speaks for it, and time goes on in the log.
    const indexBefore = leader.lastIndex;
    cluster.isolate(leader.id);
    await cluster.environment.advance(10_000);
    const others = cluster.ids.filter((id) => id !== leader.id);
    const next = await cluster.leader(others, 60_000);
    assertEquals((await cluster.outcome(next.apply("z"))).text, "3");
    cluster.heal();
    assertEquals((await cluster.outcome(session.apply("late"), 60_000)).text, "session-expired not-applied");
    assertEquals(indexBefore > 2, true);
  }, { sessionTtlMs: 3_000 }));

test("sessions outlive a restart of every server, by log and by snapshot", () =>
  withCluster(3, async (cluster) => {
    const leader = await cluster.leader();
    const session = await cluster.settled(leader.session());
    await cluster.settled(session.apply("x"));
    await cluster.converged();
    const others = cluster.ids.filter((id) => id !== leader.id);
    for (const id of others) {
      await cluster.settled(cluster.raft(id).shutdown());
      await cluster.start(id);
    }
    await cluster.environment.advance(3_000);
    assertEquals((await cluster.outcome(session.apply("y"), 60_000)).text, "2");
    await cluster.converged();
    for (const id of cluster.ids) assertEquals(cluster.machine(id).values, ["x", "y"]);
  }));

test("Raft.apply() with a key is applied once on whatever server it is tried, and each attempt has the first result", async () => {
  let count = 0;
  await using raft = await createRaft<string, string>({
    id: "a",
    machine: { apply: (command) => `${command} ${++count}` },
    store: memoryStore(),
    transport: memoryNetwork().transport("a"),
    bootstrap: { a: "a" },
  });
  assertEquals(await raft.apply("x", { key: "k1" }), "x 1");
  assertEquals(await raft.apply("x", { key: "k1" }), "x 1");
  assertEquals(await Promise.all([raft.apply("y", { key: "k2" }), raft.apply("y", { key: "k2" })]), ["y 2", "y 2"]);
  assertEquals(await raft.apply("x"), "x 3");
  for (const key of ["", "x".repeat(1_025)]) {
    await assertRejects(() => raft.apply("x", { key }), TypeError, "1 to 1024");
  }
});

test("a command that is sent again, and whose first result is not kept, rejects as applied and says what to do", async () => {
  const applied: string[] = [];
  await using raft = await createRaft<string, string>({
    id: "a",
    machine: {
      apply: (command) => {
        applied.push(command);
        return command.repeat(1_000);
      },
    },
    store: memoryStore(),
    transport: memoryNetwork().transport("a"),
    bootstrap: { a: "a" },
    sessionsMax: 1,
    sessionsBytesMax: 1_200,
  });
  // The limits come into force with a session; it then has to make room for the key.
  await raft.session();
  assertEquals((await raft.apply("x", { key: "k" })).length, 1_000);
  assertEquals((await raft.apply("x", { key: "k" })).length, 1_000, "kept as long as there is room");
  assertEquals((await raft.apply("xy", { key: "l" })).length, 2_000);
  const error = await assertRejects(() => raft.apply("xy", { key: "l" }), ResultLostError, "applied before");
  assertEquals([error.code, error.outcome, error.retryAfterMs], ["result-lost", "applied", undefined]);
  assertMatch(error.message, /do not send the command again, read what it did$/);
  assertEquals(applied, ["x", "xy"]);
});

test("keyBlock(): 52 and 52 bits of the digest, in the range of keys", async () => {
  const blocks = await Promise.all(Array.from({ length: 50 }, (_, i) => keyBlock(`key ${i}`, systemEnvironment)));
  assertEquals(new Set(blocks.map(({ session, sequence }) => `${session} ${sequence}`)).size, 50);
  assertEquals(
    blocks.every(({ session, sequence }) =>
      session >= KEY_SESSION_MIN && Number.isSafeInteger(session) && sequence < 2 ** 52
    ),
    true,
  );
  assertEquals(await keyBlock("key 1", systemEnvironment), blocks[1]);
});
