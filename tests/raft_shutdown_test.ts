/**
 * The end of a server, at any moment, and who closes what.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { startServer } from "../src/server.ts";
import type { RaftOptions } from "../src/options.ts";
import type { Raft } from "../src/raft.ts";
import { memoryNetwork } from "../src/transport/memory.ts";
import type { Transport, TransportFactory } from "../src/transport/transport.ts";
import { ManualStore } from "./driver/stores.ts";
import { test } from "./harness.ts";
import { Journal, watch, withCluster } from "./virtual_cluster.ts";
import { drain, VirtualEnvironment } from "./virtual_environment.ts";

/** Calls of every kind, with how often each was settled. */
function callAll(raft: Raft<unknown, unknown>) {
  const settled: string[][] = [];
  const note = (call: Promise<unknown>) => {
    const texts: string[] = [];
    settled.push(texts);
    return watch(call).then(({ text }) => void texts.push(text));
  };
  const ended = [
    raft.apply("x"),
    raft.applyEntry({ data: "y" }).then(() => "y"),
    raft.barrier().then(() => "barrier"),
    raft.read(() => "read"),
    raft.read(() => "stale", { consistency: "stale" }),
  ].map(note);
  return { settled, all: Promise.all(ended) };
}

const allowed = /^(\d+|y|barrier|read|stale|shutdown (not-applied|unknown)|not-leader not-applied)$/;

for (const role of ["leader", "follower"] as const) {
  test(`Raft.shutdown() of a ${role} at every moment settles every call once, and ends (P5, BA09, V8)`, async () => {
    for (let moment = 0; moment <= 16; moment++) {
      await withCluster(3, async (cluster) => {
        const { leader, followers } = await cluster.elect();
        const raft = role === "leader" ? leader : followers[0]!;
        for (const store of cluster.stores.values()) store.slowWrites = moment % 3 === 1;
        const before = callAll(raft);
        for (let i = 0; i < moment % 4; i++) await drain();
        await cluster.environment.advance(moment >> 2);
        const shutdown = raft.shutdown();
        const during = callAll(raft);
        assertStrictEquals(raft.shutdown(), shutdown);
        await cluster.environment.advance(1_100);
        for (const store of cluster.stores.values()) for (const write of store.writing) write.resolve();
        await cluster.settled(shutdown, 100);
        const after = callAll(raft);
        await cluster.settled(Promise.all([before.all, during.all, after.all]), 1);
        for (const texts of [...before.settled, ...during.settled, ...after.settled]) {
          assertEquals([texts.length, allowed.test(texts[0]!)], [1, true], `moment ${moment}: ${texts}`);
        }
        assertEquals(after.settled.flat(), Array(5).fill("shutdown not-applied"));
        assertEquals([await raft.closed, raft.state], [undefined, "shutdown"]);
        assertEquals([raft.metrics().proposalsPending, raft.metrics().proposalsPendingBytes], [0, 0]);
      });
    }
  });
}

test("Raft.shutdown() tells true outcomes: not-applied is nowhere, a result is everywhere (K3, K5)", () =>
  withCluster(3, async (cluster) => {
    const told = new Map<string, string>();
    for (let round = 0; round < 8; round++) {
      const { leader, followers } = await cluster.elect();
      const raft = round % 2 === 0 ? leader : followers[0]!;
      const calls = ["a", "b", "c"].map((name) =>
        watch(raft.apply(`${round}${name}`)).then(({ text }) => told.set(`${round}${name}`, text))
      );
      await cluster.environment.advance(round >> 1);
      await cluster.settled(raft.shutdown());
      await Promise.all(calls);
      await cluster.start(raft.id);
    }
    await cluster.leader();
    await cluster.settled(cluster.raft("a").barrier());
    await cluster.converged();
    const { values } = cluster.machine("a");
    assertEquals(told.size, 24);
    for (const [value, text] of told) {
      const count = values.filter((one) => one === value).length;
      if (text.endsWith("not-applied")) assertEquals(count, 0, `${value}: ${text}`);
      else if (text.endsWith("unknown")) assertEquals(count <= 1, true, `${value}: ${text}`);
      else assertEquals(count, 1, `${value}: ${text}`);
    }
  }));

test("Raft.shutdown() of a leader hands over: nobody waits for an election timeout", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    await cluster.settled(leader.apply(1));
    const before = cluster.environment.now();
    const shutdown = leader.shutdown();
    const next = await cluster.leader(followers.map(({ id }) => id), 400);
    assertEquals(cluster.environment.now() - before < 100, true);
    await cluster.settled(shutdown, 100);
    assertEquals(await cluster.settled(next.apply(2)), 2);
  }));

test("Raft.shutdown() of a leader with a follower that lags hands over to the one that does not", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [near, far] } = await cluster.elect();
    cluster.isolate(far!.id);
    for (let i = 0; i < 5; i++) await cluster.settled(leader.apply(i));
    cluster.heal();
    const shutdown = leader.shutdown();
    const next = await cluster.leader([near!.id, far!.id], 400);
    assertEquals(next.id, near!.id);
    await cluster.settled(shutdown);
  }));

test("Raft.shutdown() of a leader that nobody can take over from ends after shutdownTransferMs at the latest (P6)", async () => {
  for (const shutdownTransferMs of [0, 200, 1_000]) {
    await withCluster(3, async (cluster) => {
      const { leader } = await cluster.elect();
      cluster.isolate(leader.id);
      const before = cluster.environment.now();
      await cluster.settled(leader.shutdown());
      const tookMs = cluster.environment.now() - before;
      assertEquals(tookMs <= shutdownTransferMs, true, `took ${tookMs} of ${shutdownTransferMs} ms`);
    }, { shutdownTransferMs });
  }
});

test("Raft.shutdown() of a leader whose followers can't catch up ends when the transfer fails, not later (P6)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    for (const { id } of followers) cluster.stores.get(id)!.slowWrites = true;
    void watch(leader.apply(1));
    await cluster.environment.advance(100);
    const before = cluster.environment.now();
    await cluster.settled(leader.shutdown());
    const tookMs = cluster.environment.now() - before;
    assertEquals(tookMs >= 450 && tookMs < 600, true, `took ${tookMs} ms`);
  }, { shutdownTransferMs: 10_000 }));

test("Raft.shutdown() of a leader whose disk fails while it hands over ends at once", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers } = await cluster.elect();
    for (const { id } of followers) cluster.stores.get(id)!.slowWrites = true;
    const store = cluster.stores.get(leader.id)!;
    store.slowWrites = true;
    void watch(leader.apply(1));
    await cluster.environment.advance(10);
    const shutdown = leader.shutdown();
    const before = cluster.environment.now();
    store.writing[0]!.reject(new Error("EIO"));
    await cluster.settled(shutdown);
    assertEquals([cluster.environment.now(), (await leader.closed)?.code], [before, "storage"]);
    store.writing.length = 0;
  }, { shutdownTransferMs: 10_000 }));

test("Raft.shutdown() of the only server, and of one without a leader, does not wait", async () => {
  await withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const before = cluster.environment.now();
    await cluster.settled(raft.shutdown());
    assertEquals(cluster.environment.now(), before);
  });
  await withCluster(3, async (cluster) => {
    const before = cluster.environment.now();
    await cluster.settled(cluster.raft("b").shutdown());
    assertEquals(cluster.environment.now(), before);
  });
});

test("Raft.shutdown() of all servers at once ends", () =>
  withCluster(5, async (cluster) => {
    await cluster.leader();
    await cluster.stopAll();
    for (const raft of cluster.rafts.values()) assertEquals(await raft.closed, undefined);
  }));

test("Raft.shutdown() while the server has not found anybody ends", () =>
  withCluster(3, async (cluster) => {
    cluster.isolate("a");
    await cluster.environment.advance(700);
    await cluster.settled(cluster.raft("a").shutdown(), 10);
  }));

for (const who of ["machine", "query", "reader"] as const) {
  test(`Raft.shutdown() by a ${who} ends like any other`, () => {
    let raft: Raft<unknown, unknown> | undefined;
    const machine = {
      apply: (command: unknown) => {
        if (who === "machine" && command === "stop") void raft?.shutdown();
        return 0;
      },
    };
    const readEvents = async (raft: Raft<unknown, unknown>) => {
      for await (const event of raft.events()) {
        if (event.type === "leader" || event.type === "peer-disconnected") await raft.shutdown();
      }
    };
    return withCluster(
      3,
      async (cluster) => {
        raft = (await cluster.elect()).leader;
        const calls = [raft.apply("stop"), raft.apply("after"), raft.read(() => 0)].map(watch);
        if (who === "query") await watch(raft.read(() => void raft!.shutdown(), { consistency: "stale" }));
        const reader = who === "reader" ? readEvents(raft) : undefined;
        if (who === "reader") cluster.network.disconnect(raft.id, cluster.ids.find((id) => id !== raft!.id)!);
        await cluster.settled(raft.closed);
        await cluster.settled(Promise.all([reader, ...calls]));
      },
      {},
      () => machine,
    );
  });
}

test("Raft.shutdown() ends events with the role shutdown, and emits nothing afterwards (BA16)", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    for (const raft of [follower!, leader]) {
      const events = raft.events();
      await cluster.settled(raft.shutdown());
      const all = [];
      for await (const event of events) all.push(event);
      assertEquals(all.at(-1)!.type === "role" && all.at(-1), {
        type: "role",
        role: "shutdown",
        term: raft.currentTerm,
        reason: "shutdown",
      });
      assertEquals((await raft.events().next()).done, true);
    }
    const writes = cluster.stores.get(leader.id)!.writes.length;
    await cluster.environment.advance(10_000);
    assertEquals(cluster.stores.get(leader.id)!.writes.length, writes);
  }));

test("Raft.shutdown() does not begin a write after the one under way, and waits for that one", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    await cluster.environment.advance(10);
    const store = cluster.stores.get("a")!;
    store.slowWrites = true;
    const first = watch(raft.apply(1));
    await drain();
    const second = watch(raft.apply(2));
    await drain();
    assertEquals(store.writing.length, 1);
    let isDone = false;
    const shutdown = raft.shutdown().then(() => isDone = true);
    await cluster.environment.advance(10_000);
    assertEquals([isDone, store.closes], [false, 0]);
    assertEquals([(await first).text, (await second).text], ["shutdown unknown", "shutdown unknown"]);
    store.writing[0]!.resolve();
    await cluster.settled(shutdown);
    assertEquals([store.writing.length, store.closes], [1, 1]);
  }));

// --- ownership (a factory's part is opened and closed, an open one is borrowed) ---

interface Parts {
  readonly store: ManualStore;
  readonly log: string[];
  readonly options: RaftOptions<unknown, unknown>;
  readonly network: ReturnType<typeof memoryNetwork>;
  readonly environment: VirtualEnvironment;
}

function parts(over: Partial<RaftOptions<unknown, unknown>> = {}): Parts {
  const environment = new VirtualEnvironment();
  const network = memoryNetwork({ clock: environment, random: environment.random });
  const log: string[] = [];
  const store = new ManualStore();
  const { close } = store;
  store.close = () => (log.push("close store"), close.call(store));
  const factory = network.transport("a");
  const transport: TransportFactory = {
    open: async (context) => {
      const opened = await factory.open(context);
      const { close } = opened;
      opened.close = () => (log.push("close transport"), close.call(opened));
      return opened;
    },
  };
  const options = {
    id: "a",
    machine: new Journal(),
    store: { open: () => Promise.resolve(store) },
    transport,
    bootstrap: { a: "a" },
    ...over,
  };
  return { store, log, options, network, environment };
}

test("startServer() closes what its factories opened, the last first, once", async () => {
  const { log, options, environment } = parts();
  const raft = await startServer(options, environment);
  await environment.settled(raft.apply(1));
  await Promise.all([raft.shutdown(), raft.shutdown(), raft[Symbol.asyncDispose]()]);
  assertEquals(log, ["close transport", "close store"]);
});

test("startServer() leaves open what it was given open", async () => {
  const { log, options, environment, store, network } = parts();
  const transport: Transport = await network.transport("shared").open({});
  const raft = await startServer({ ...options, store, transport }, environment);
  await environment.settled(raft.apply(1));
  await raft.shutdown();
  assertEquals(log, []);
  // Its own link is gone all the same: another server may take its place.
  await store.close();
  const again = await startServer({ ...options, store, transport }, environment);
  assertEquals(await environment.settled(again.apply(2)), 3);
  await again.shutdown();
  await transport.close();
});

test("startServer() with an option that is wrong opens nothing", async () => {
  const { log, options, environment, store } = parts();
  let opened = 0;
  const counting = { ...options, store: { open: () => (opened++, Promise.resolve(store)) } };
  await assertRejects(() => startServer({ ...counting, heartbeatMs: 0 }, environment), RangeError);
  await assertRejects(() => startServer({ ...counting, id: "no id" }, environment), TypeError);
  await assertRejects(() => startServer({ ...counting, bootstrap: { b: "b" } }, environment), TypeError);
  assertEquals([opened, log], [0, []]);
});

test("startServer() closes the store when the transport can't be opened, and rejects with that error", async () => {
  const { log, options, environment, store } = parts();
  const error = new Error("EADDRINUSE");
  const transport: TransportFactory = { open: () => Promise.reject(error) };
  assertStrictEquals((await watch(startServer({ ...options, transport }, environment))).error, error);
  assertEquals(log, ["close store"]);
  // A borrowed one goes back as it came, so that the next start can open it.
  assertStrictEquals((await watch(startServer({ ...options, store, transport }, environment))).error, error);
  const raft = await startServer({ ...options, store }, environment);
  await raft.shutdown();
});

test("startServer() closes store and transport when the server can't be attached", async () => {
  const { log, options, environment, network } = parts();
  const transport: TransportFactory = {
    open: async (context) => {
      const opened = await network.transport("b").open(context);
      opened.attach = () => {
        throw new Error("group is taken");
      };
      const { close } = opened;
      opened.close = () => (log.push("close transport"), close.call(opened));
      return opened;
    },
  };
  await assertRejects(() => startServer({ ...options, transport }, environment), Error, "group is taken");
  assertEquals(log, ["close transport", "close store"]);
  assertEquals(environment.timerCount, 0);
});

test("startServer() that fails to write the bootstrap entry rejects and closes the store", async () => {
  const { log, options, environment, store } = parts();
  store.writeError = new Error("EROFS");
  await assertRejects(() => startServer(options, environment), Error, "EROFS");
  assertEquals(log, ["close store"]);
});

test("startServer(): parts that fail to close hold up neither one another nor the end", async () => {
  const { options, environment, store, log } = parts();
  store.close = () => Promise.reject(new Error("EIO"));
  const raft = await startServer(options, environment);
  await raft.shutdown();
  assertEquals([log, await raft.closed], [["close transport"], undefined]);
});
