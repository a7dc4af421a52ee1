/**
 * Clusters that begin on servers that run already.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { CannotBootstrapError, ShutdownError } from "../src/errors.ts";
import type { Configuration } from "../src/types.ts";
import { test } from "./harness.ts";
import { withCluster } from "./virtual_cluster.ts";

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
