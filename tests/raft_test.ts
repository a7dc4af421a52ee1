import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import { createRaft } from "../src/raft.ts";
import { memoryStore } from "../src/store/memory.ts";
import { memoryNetwork } from "../src/transport/memory.ts";
import { test } from "./harness.ts";
import { watch, withCluster } from "./virtual_cluster.ts";

for (const size of [1, 2, 3, 4, 5, 7, 9]) {
  test(`Raft.apply(), read() and barrier() work on every one of ${size} servers`, () =>
    withCluster(size, async (cluster) => {
      const leader = await cluster.leader();
      for (const id of cluster.ids) {
        const raft = cluster.raft(id);
        assertEquals(await cluster.settled(raft.apply({ from: id })), cluster.ids.indexOf(id) + 1);
        assertEquals(await cluster.settled(raft.read(() => cluster.machine(id).values.at(-1))), { from: id });
        const index = await cluster.settled(raft.barrier());
        assertEquals([raft.appliedIndex >= index, leader.commitIndex >= index], [true, true]);
        const { pending, bytes } = {
          pending: raft.metrics().proposalsPending,
          bytes: raft.metrics().proposalsPendingBytes,
        };
        assertEquals([pending, bytes], [0, 0]);
      }
      await cluster.converged();
      for (const id of cluster.ids) assertEquals(cluster.machine(id).values, cluster.ids.map((from) => ({ from })));
    }));
}

test("Raft.applyEntry() tells the entry's place, the same that the machines saw", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    for (const raft of [leader, ...followers]) {
      const { index, term, result } = await cluster.settled(raft.applyEntry({ data: "x" }));
      assertEquals([term, result], [leader.currentTerm, cluster.machine(raft.id).values.length]);
      assertEquals(cluster.machine(raft.id).indexes.at(-1), index);
    }
  }));

test("Raft.apply() of many commands at once: all servers apply them in one order, each once (K1)", () =>
  withCluster(3, async (cluster) => {
    await cluster.leader();
    const calls = cluster.ids.flatMap((id) =>
      Array.from({ length: 50 }, (_, i) => cluster.raft(id).apply(`${id}${i}`))
    );
    const results = await cluster.settled(Promise.all(calls));
    assertEquals(new Set(results).size, 150);
    await cluster.converged();
    const [first] = cluster.ids;
    assertEquals(new Set(cluster.machine(first!).values).size, 150);
    for (const id of cluster.ids) assertEquals(cluster.machine(id).values, cluster.machine(first!).values);
  }));

test("Raft.apply() before there is a leader waits for one", () =>
  withCluster(3, async (cluster) => {
    const calls = cluster.ids.map((id) => cluster.raft(id).apply(id));
    assertEquals((await cluster.settled(Promise.all(calls))).toSorted(), [1, 2, 3]);
  }));

test("Raft.apply() passes bytes untouched and everything else through the codec", () => {
  const seen: unknown[] = [];
  const machine = { apply: (command: unknown) => void seen.push(command) };
  return withCluster(
    3,
    async (cluster) => {
      const { followers: [follower] } = await cluster.elect();
      const bytes = Uint8Array.of(0xc1, 0xff, 0);
      await cluster.settled(follower!.apply(bytes));
      await cluster.settled(follower!.apply({ text: "ü", list: [1, -2.5, null, true], bytes }));
      await cluster.settled(follower!.barrier());
      assertEquals(seen, [bytes, { text: "ü", list: [1, -2.5, null, true], bytes }]);
      assertEquals(seen[0] !== bytes, true);
    },
    {},
    (id) => id === "a" ? machine : { apply: () => {} },
  ).then(() => assertEquals(seen.length, 2));
});

test("Raft.apply() takes a command of commandBytesMax and refuses one byte more, as not applied", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    assertEquals(await cluster.settled(raft.apply(new Uint8Array(100))), 1);
    const error = await assertRejects(() => raft.apply(new Uint8Array(101)), RangeError, "'commandBytesMax' is 100");
    assertEquals(error instanceof RangeError, true);
    assertEquals([cluster.machine("a").values.length, raft.metrics().proposalsPending], [1, 0]);
  }, { commandBytesMax: 100 }));

test("Raft.metrics() counts the stages of a command at the leader that was handed it, and there alone", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    await cluster.settled(leader.apply("x"));
    await cluster.settled(followers[0]!.apply("forwarded"));
    const counts = (raft: typeof leader) => Object.values(raft.metrics().stagesMs).map(({ count }) => count).join();
    assertEquals([counts(leader), ...followers.map(counts)], ["1,1,1,1,1,1", "0,0,0,0,0,0", "0,0,0,0,0,0"]);
  }));

test("Raft.apply() of what the codec can't encode rejects, and costs nothing", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    await assertRejects(() => raft.apply(() => {}), Error);
    assertEquals(raft.metrics().proposals, 0);
  }));

test("Raft.apply() rejects with what the machine throws; all servers take that path and go on (BA06, BA07)", () =>
  withCluster(
    3,
    async (cluster) => {
      const { leader, followers } = await cluster.elect();
      for (const raft of [leader, ...followers]) {
        const { error } = await cluster.outcome(raft.apply("bad"));
        assertEquals(error, new TypeError("bad command"));
        assertEquals((await cluster.outcome(raft.apply("good"))).text, "good");
      }
      await cluster.converged();
      assertEquals(cluster.ids.map((id) => cluster.raft(id).state !== "shutdown"), [true, true, true]);
    },
    {},
    () => ({
      apply: (command) => {
        if (command === "bad") throw new TypeError("bad command");
        return command;
      },
    }),
  ));

test("Raft.apply() with a machine that answers later: one command at a time, reads never in between", () => {
  const running = new Map<string, number>();
  let most = 0;
  const enter = (id: string, step: number) => {
    running.set(id, (running.get(id) ?? 0) + step);
    most = Math.max(most, running.get(id)!);
  };
  return withCluster(
    3,
    async (cluster) => {
      const { leader, followers: [follower] } = await cluster.elect();
      const calls = [1, 2, 3, 4].map((value) => leader.apply(value));
      const reads = [leader, follower!].map((raft) => raft.read(() => running.get(raft.id) ?? 0));
      assertEquals(await cluster.settled(Promise.all([...calls, ...reads])), [1, 2, 3, 4, 0, 0]);
      assertEquals(most, 1);
    },
    {},
    (id, { environment }) => ({
      apply: (command) => {
        enter(id, 1);
        return new Promise((resolve) => environment.setTimeout(() => (enter(id, -1), resolve(command)), 5));
      },
    }),
  );
});

test("Raft.read() is answered while an async machine is never idle", () =>
  withCluster(
    1,
    async (cluster) => {
      const raft = await cluster.leader();
      let isOver = false;
      let count = 0;
      const clients = Array.from({ length: 4 }, async () => {
        while (!isOver) {
          await raft.apply(0);
          count++;
        }
      });
      await cluster.environment.until(() => count > 10);
      await cluster.settled(raft.read(() => 0), 100);
      isOver = true;
      await cluster.settled(Promise.all(clients));
    },
    {},
    (_, { environment }) => ({
      apply: () => new Promise((resolve) => environment.setTimeout(() => resolve(0), 5)),
    }),
  ));

test("Raft.apply() leaves the log alone when the machine changes its bytes", () =>
  withCluster(
    3,
    async (cluster) => {
      await cluster.leader();
      const command = Uint8Array.of(1, 2, 3);
      await cluster.settled(cluster.raft("a").apply(command));
      await cluster.converged();
      assertEquals(command, Uint8Array.of(1, 2, 3));
      for (const id of cluster.ids) {
        const [records] = await cluster.stores.get(id)!.inner.read(cluster.raft(id).lastIndex, 1e9, 1e6);
        assertEquals(records!.payload(records!.from), Uint8Array.of(1, 2, 3));
      }
    },
    {},
    () => ({ apply: (command) => void (command as Uint8Array).fill(9) }),
  ));

test("Raft.apply() by a machine that applies: the inner command is neither lost nor in the way", () => {
  const inner: Promise<unknown>[] = [];
  return withCluster(
    3,
    async (cluster) => {
      const { leader, followers: [follower] } = await cluster.elect();
      for (const raft of [leader, follower!]) {
        assertEquals((await cluster.outcome(raft.apply({ by: raft.id, depth: 3 }))).text, "3");
      }
      await cluster.environment.until(() => inner.length === 6);
      assertEquals(await cluster.settled(Promise.all(inner)), [2, 1, 0, 2, 1, 0]);
    },
    {},
    (id, cluster) => ({
      apply: (command) => {
        const { by, depth } = command as { by: string; depth: number };
        if (id === by && depth > 0) inner.push(cluster.raft(id).apply({ by, depth: depth - 1 }));
        return depth;
      },
    }),
  );
});

test("Raft.read() rejects with what the query throws, and harms nobody", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    const fail = () => {
      throw new SyntaxError("no such column");
    };
    for (const raft of [leader, follower!]) {
      for (const consistency of ["linearizable", "stale"] as const) {
        assertEquals(
          (await cluster.outcome(raft.read(fail, { consistency }))).error,
          new SyntaxError("no such column"),
        );
      }
    }
    assertEquals(await cluster.settled(leader.apply("after")), 1);
  }));

test("Raft.read() whose query applies and reads at once: the inner calls are settled too", () =>
  withCluster(3, async (cluster) => {
    await cluster.leader();
    for (const id of cluster.ids) {
      const raft = cluster.raft(id);
      const inner = await cluster.settled(
        raft.read(() => [raft.apply(id), raft.read(() => "r", { consistency: "stale" })]),
      );
      const [applied, read] = await cluster.settled(Promise.all(inner as Promise<unknown>[]));
      assertEquals([typeof applied, read], ["number", "r"]);
    }
  }));

test("Raft.read() that is stale is answered by every server at once, without a leader", () =>
  withCluster(3, async (cluster) => {
    const { followers: [follower] } = await cluster.elect();
    cluster.isolate(follower!.id);
    await cluster.environment.advance(2_000);
    const before = cluster.environment.now();
    assertEquals(await cluster.settled(follower!.read(() => 5, { consistency: "stale" })), 5);
    assertEquals(cluster.environment.now(), before);
  }));

test("Raft.read() refuses a consistency that it does not know", () =>
  withCluster(1, async (cluster) => {
    const consistency = "linearisable" as "linearizable";
    await assertRejects(() => cluster.raft("a").read(() => 0, { consistency }), TypeError, "linearisable");
  }));

// --- signals ---

test("Raft.apply() with an aborted signal rejects with its reason and proposes nothing", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const reason = new Error("too late");
    const { error } = await watch(raft.apply("x", { signal: AbortSignal.abort(reason) }));
    assertStrictEquals(error, reason);
    assertStrictEquals((await watch(raft.read(() => 0, { signal: AbortSignal.abort(reason) }))).error, reason);
    await cluster.environment.advance(100);
    assertEquals(cluster.machine("a").values, []);
  }));

test("Raft.apply() aborted before its command was appended: it is in no log", () =>
  withCluster(3, async (cluster) => {
    const controller = new AbortController();
    const calls = cluster.ids.map((id) => cluster.raft(id).apply(id, { signal: controller.signal }));
    controller.abort(new Error("gone"));
    for (const call of calls) assertEquals((await watch(call)).text, "Error: gone");
    await cluster.leader();
    await cluster.settled(cluster.raft("a").barrier());
    assertEquals([cluster.machine("a").values, cluster.raft("a").metrics().proposalsPending], [[], 0]);
  }));

test("Raft.apply() aborted after its command was appended: it is applied all the same, and counts to zero", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    for (const raft of [leader, follower!]) {
      const controller = new AbortController();
      const last = leader.lastIndex;
      const call = raft.apply(raft.id, { signal: controller.signal });
      await cluster.environment.until(() => leader.lastIndex > last);
      controller.abort("gone");
      assertEquals((await watch(call)).error, "gone");
      await cluster.settled(raft.barrier());
      assertEquals(cluster.machine(raft.id).values.at(-1), raft.id);
      assertEquals(raft.metrics().proposalsPending, 0);
    }
  }));

test("Raft.read() aborted while it waits rejects at once and runs no query", () =>
  withCluster(3, async (cluster) => {
    const controller = new AbortController();
    let ran = false;
    const call = cluster.raft("a").read(() => ran = true, { signal: controller.signal });
    controller.abort("gone");
    assertEquals((await watch(call)).error, "gone");
    await cluster.leader();
    await cluster.environment.advance(1_000);
    assertEquals(ran, false);
  }));

test("Raft.apply() lets go of its signal", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const { signal } = new AbortController();
    let listeners = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
    await cluster.settled(
      Promise.all([raft.apply(1, { signal }), raft.read(() => 0, { signal }), raft.barrier({ signal })]),
    );
    assertEquals(listeners, 0);
  }));

// --- overload ---

test("Raft.apply() refuses what exceeds the limits, takes it again later, and counts to zero", () =>
  withCluster(3, async (cluster) => {
    const { followers: [follower] } = await cluster.elect();
    const calls = Array.from({ length: 6 }, (_, i) => watch(follower!.apply(i)));
    const ended = await cluster.settled(Promise.all(calls));
    assertEquals(ended.map(({ text }) => text), [
      "1",
      "2",
      "3",
      "4",
      "overloaded not-applied",
      "overloaded not-applied",
    ]);
    assertEquals(await cluster.settled(follower!.apply("later")), 5);
    const { proposals, proposalsFailed, proposalsPending, proposalsPendingBytes } = follower!.metrics();
    assertEquals([proposals, proposalsFailed, proposalsPending, proposalsPendingBytes], [5, 2, 0, 0]);
  }, { inFlightCountMax: 4 }));

test("Raft.apply() waits for room for enqueueTimeoutMs, on a server that forwards as on one that leads", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    for (const raft of [leader, follower!]) {
      const calls = Array.from({ length: 4 }, (_, i) => watch(raft.apply(i, { enqueueTimeoutMs: 1_000 })));
      const refused = await cluster.outcome(raft.apply("at once"));
      assertEquals(refused.text, "overloaded not-applied");
      assertEquals((await cluster.settled(Promise.all(calls))).every(({ error }) => error === undefined), true);
      assertEquals(raft.metrics().proposalsPending, 0);
    }
  }, { inFlightCountMax: 2 }));

test("Raft.apply() ends its waiting for room with the signal, the time or the server", () =>
  withCluster(3, async (cluster) => {
    const { followers: [follower] } = await cluster.elect();
    cluster.isolate(follower!.id);
    const [first] = [watch(follower!.apply(1))];
    const controller = new AbortController();
    const aborted = watch(follower!.apply(2, { signal: controller.signal }));
    await cluster.environment.advance(10);
    controller.abort(new Error("enough"));
    assertEquals((await cluster.settled(aborted)).error, controller.signal.reason);
    const late = watch(follower!.apply(3, { enqueueTimeoutMs: 20 }));
    await cluster.environment.advance(19);
    assertEquals(follower!.metrics().proposalsFailed, 0);
    await cluster.environment.advance(1);
    assertEquals((await late).text, "overloaded not-applied");
    const last = watch(follower!.barrier());
    await cluster.settled(follower!.shutdown());
    assertEquals([(await last).text, (await first!).error instanceof Error], ["shutdown not-applied", true]);
  }, { inFlightCountMax: 1, enqueueTimeoutMs: 10_000, leaderWaitMs: 60_000 }));

test("Raft.apply() refuses an 'enqueueTimeoutMs' that is no time", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    for (const enqueueTimeoutMs of [-1, Number.NaN, Infinity, 2 ** 30 + 1, "1" as unknown as number]) {
      const { error } = await cluster.outcome(raft.apply(1, { enqueueTimeoutMs }));
      assertInstanceOf(error, RangeError);
    }
    assertEquals(await cluster.settled(raft.apply(1, { enqueueTimeoutMs: 2 ** 30 })), 1);
  }));

test("createRaft() runs on the runtime's own clock and parts", async () => {
  let sum = 0;
  const raft = await createRaft<number, number>({
    id: "a",
    machine: { apply: (n) => sum += n },
    store: memoryStore(),
    transport: memoryNetwork().transport("a"),
    bootstrap: { a: "a" },
  });
  assertEquals([await raft.apply(2), await raft.read(() => sum), `${raft}`], [2, 2, "Raft a [leader]"]);
  await raft[Symbol.asyncDispose]();
  assertEquals([`${raft}`, raft.leader, await raft.closed], ["Raft a [shutdown]", undefined, undefined]);
  assertInstanceOf((await watch(raft.apply(1))).error, Error);
});
