/**
 * Clusters that begin on servers that run already.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { clusterIdOf } from "../src/bootstrap.ts";
import { CannotBootstrapError, ShutdownError } from "../src/errors.ts";
import type { Configuration } from "../src/types.ts";
import { fingerprintOf } from "../src/wire/configuration.ts";
import { test } from "./harness.ts";
import { VirtualCluster, withCluster } from "./virtual_cluster.ts";

const waiting = { bootstrap: undefined! };

/** Named, so that no digest has to be waited for, which takes real time. */
const named = { ...waiting, clusterId: "c" };

/** Lets real turns pass until the digest of the configuration is there. */
async function digested(raft: { readonly lastIndex: number }): Promise<void> {
  for (let turns = 0; raft.lastIndex === 0 && turns < 10_000; turns++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function configurationOf(...ids: readonly string[]): Configuration {
  return { servers: ids.map((id) => ({ id, address: id, suffrage: "voter" })) };
}

test("Raft.bootstrap() on one of three: the others learn the cluster from its leader, or do the same", async () => {
  for (const count of [1, 2, 3]) {
    await withCluster(3, async (cluster) => {
      await cluster.environment.advance(5_000);
      const configuration = configurationOf("a", "b", "c");
      await cluster.settled(
        Promise.all(cluster.ids.slice(0, count).map((id) => cluster.raft(id).bootstrap(configuration))),
      );
      const leader = await cluster.leader();
      await cluster.settled(leader.apply("x"));
      await cluster.converged();
      const clusters = new Set(cluster.ids.map((id) => cluster.raft(id).status.clusterId));
      assertEquals([...clusters], ["c"]);
      for (const id of cluster.ids) assertEquals(cluster.machine(id).values, ["x"]);
    }, named);
  }
});

test("Raft.bootstrap() is durable, and the same as the option", () =>
  withCluster(1, async (cluster) => {
    const raft = cluster.raft("a");
    const begun = raft.bootstrap(configurationOf("a"));
    await digested(raft);
    await cluster.settled(begun);
    const { clusterId } = raft.status;
    await cluster.settled(raft.shutdown());
    const again = await cluster.start("a", waiting);
    assertEquals([again.status.clusterId, again.configuration.servers.map(({ id }) => id)], [clusterId, ["a"]]);
    await cluster.settled((await cluster.leader()).apply(1));
    await cluster.settled(again.shutdown());
    cluster.stores.delete("a");
    assertEquals((await cluster.start("a")).status.clusterId, clusterId);
  }, waiting));

test("Raft.bootstrap() refuses a server that has anything, and wrong configurations, and changes nothing", () =>
  withCluster(1, async (cluster) => {
    const raft = cluster.raft("a");
    const nonvoter: Configuration = {
      servers: [{ id: "a", address: "a", suffrage: "nonvoter" }, { id: "b", address: "b", suffrage: "voter" }],
    };
    for (
      const wrong of [configurationOf("b"), { servers: [] }, nonvoter, { ...configurationOf("a"), outgoing: ["b"] }]
    ) {
      await assertRejects(() => raft.bootstrap(wrong), TypeError, "Cannot bootstrap as");
    }
    for (
      const wrong of [{ servers: [null] }, { servers: new Array(1) }, { servers: "a" }, { servers: [], outgoing: 5 }]
    ) {
      await assertRejects(() => raft.bootstrap(wrong as never), TypeError, "Cannot bootstrap as");
    }
    assertEquals([raft.lastIndex, raft.currentTerm, raft.status.clusterId], [0, 0, "c"]);
    const [first, second] = await cluster.settled(
      Promise.allSettled([raft.bootstrap(configurationOf("a")), raft.bootstrap(configurationOf("a", "b"))]),
    );
    assertEquals([first!.status, (second as PromiseRejectedResult).reason.code], ["fulfilled", "cannot-bootstrap"]);
    await cluster.leader();
    await assertRejects(() => raft.bootstrap(configurationOf("a")), CannotBootstrapError, 'server "a"');
    assertEquals(raft.configuration.servers.length, 1);
    await cluster.settled(raft.shutdown());
    await assertRejects(() => raft.bootstrap(configurationOf("a")), ShutdownError);
  }, named));

test("Raft.bootstrap() whose write is under way when the server shuts down is answered", () =>
  withCluster(1, async (cluster) => {
    const store = cluster.stores.get("a")!;
    store.slowWrites = true;
    const outcome = cluster.outcome(cluster.raft("a").bootstrap(configurationOf("a")));
    await cluster.environment.until(() => store.writing.length > 0);
    const stopped = cluster.raft("a").shutdown();
    assertEquals((await outcome).text, "shutdown unknown");
    for (const write of store.writing) write.resolve();
    await cluster.settled(stopped);
  }, named));

// --- another beginning ---

/** Of what one server was told, with the configuration of all others beside it. */
const differing = { a: "a", b: "b", c: "c", d: "d" };

/** The three begin together, `c` with another configuration; why it was refused. */
async function refusedBeginner(clusterId: string | undefined): Promise<string> {
  const cluster = new VirtualCluster(3);
  const over = clusterId === undefined ? {} : { clusterId };
  const reasons: string[] = [];
  for (const id of ["a", "b"]) await cluster.start(id, over);
  const wrong = await cluster.start("c", { ...over, bootstrap: differing });
  for (const raft of [cluster.raft("a"), wrong]) {
    const events = raft.events({ filter: ({ type }) => type === "peer-trouble" });
    void events.next().then(({ value }) => reasons.push((value as { reason: string }).reason));
  }
  const leader = await cluster.leader(["a", "b"]);
  await cluster.settled(leader.apply("x"));
  await cluster.environment.until(() => reasons.length === 2);
  assertEquals([wrong.leader, wrong.lastIndex, cluster.machine("c").values], [undefined, 1, []]);
  assertEquals(leader.status.servers.map(({ id }) => id), ["a", "b", "c"]);
  // With an empty store and the right configuration, or none, it is welcome.
  await cluster.settled(wrong.shutdown());
  cluster.stores.delete("c");
  await cluster.start("c", over);
  await cluster.environment.until(() => cluster.machine("c").values.length === 1);
  await cluster.stopAll();
  return reasons.join("\n");
}

test("bootstrap: a server with a differing option is refused by all, with both fingerprints, and changes nothing", async () => {
  const [theirs, own] = [await clusterIdOf({ a: "a", b: "b", c: "c" }), await clusterIdOf(differing)];
  const reason = await refusedBeginner(undefined);
  assertEquals([theirs, own].filter((fingerprint) => reason.includes(`"${fingerprint}"`)), [theirs, own]);
  assertEquals(reason.split("\n").every((line) => line.startsWith("wrong cluster id")), true);
});

test("bootstrap: so it is under one clusterId, where Raft could not tell the first entries apart", async () => {
  const reason = await refusedBeginner("shop");
  for (const ids of ["abc", "abcd"]) {
    const fingerprint = fingerprintOf(configurationOf(...ids));
    for (const line of reason.split("\n")) assertEquals(line.includes(`"${fingerprint}"`), true, line);
  }
});

test("Raft.bootstrap() rejects once a server of another beginning was greeted, with both fingerprints", async () => {
  for (const clusterId of [undefined, "shop"]) {
    const cluster = new VirtualCluster(3);
    const over = clusterId === undefined ? {} : { clusterId };
    const late = await cluster.start("c", { ...over, bootstrap: undefined! });
    // Nobody leads yet: `a` alone dials, and `c` learns of its cluster by the handshake only.
    await cluster.start("a", over);
    await cluster.environment.until(() => cluster.raft("a").status.servers.at(-1)!.connected);
    assertEquals(late.currentTerm, 0);
    const error = await late.bootstrap(configurationOf("c")).catch((error) => error);
    assertEquals(error instanceof CannotBootstrapError, true, String(error));
    const theirs = clusterId ?? await clusterIdOf(cluster.bootstrap);
    assertEquals(
      [error.message.includes(`server "a" of cluster "${theirs}"`), late.lastIndex],
      [true, 0],
      error.message,
    );
    await late.bootstrap(configurationOf("a", "b", "c"));
    await cluster.leader(["a", "c"]);
    await cluster.stopAll();
  }
});
