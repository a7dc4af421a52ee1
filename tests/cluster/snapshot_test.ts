import { assert, assertEquals, assertGreater } from "@std/assert";
import { test } from "../harness.ts";
import { sendOnce } from "./http_client.ts";
import { type Cluster, type ServerProcess, withCluster } from "./process.ts";
import { until } from "./until.ts";

const args = ["--snapshot-after", "50", "--keep-entries", "10"];
const VALUE = "x".repeat(64 * 1024);

/** Writes keys, some of them over and over, and gives the index of the last write. */
async function fill({ url }: ServerProcess, from: number, count: number): Promise<number> {
  let index = 0;
  for (let i = from; i < from + count; i++) {
    const answer = await sendOnce("PUT", `${url}/kv/key${i % 200}`, `${i}:${VALUE}`, 10_000);
    assertEquals(answer.status, 200, answer.text);
    index = JSON.parse(answer.text).index;
  }
  return index;
}

const says = ({ child }: ServerProcess, words: string) => child.lastLines.some((line) => line.includes(words));

async function firstIndexOf({ url }: ServerProcess): Promise<number> {
  const answer = await sendOnce("GET", `${url}/raft/status`, undefined, 5_000);
  return JSON.parse(answer.text).firstIndex;
}

/** What a server itself has, whoever leads. */
async function valuesOf({ url }: ServerProcess): Promise<string[]> {
  const values: string[] = [];
  for (let key = 0; key < 200; key += 7) {
    const { text } = await sendOnce("GET", `${url}/kv/key${key}`, undefined, 10_000);
    values.push(text.slice(0, 20));
  }
  return values;
}

/** Kills a follower, and lets the others write until their log no longer has what it lacks. */
async function leaveBehind(cluster: Cluster) {
  const leader = await cluster.agreedLeader();
  const behind = cluster.servers.find((server) => server !== leader)!;
  await fill(leader, 0, 20);
  await behind.kill();
  const last = await fill(leader, 20, 400);
  await until("the log to be compacted", async () => await firstIndexOf(leader) > 300);
  return { leader, behind, last };
}

test("cluster: a follower that is far behind catches up by a snapshot", async () => {
  await withCluster({ runtimes: ["deno", "deno", "deno"], args }, async (cluster) => {
    const { leader, behind, last } = await leaveBehind(cluster);
    behind.start();
    await until("the follower to catch up", async () => ((await behind.status())?.appliedIndex ?? 0) >= last);
    assert(says(behind, "snapshot installed up to entry"), behind.describe());
    assertGreater(await firstIndexOf(behind), 300);
    assertEquals(await valuesOf(behind), await valuesOf(leader));
    // It starts from that snapshot, and goes on.
    await behind.terminate();
    behind.start();
    const again = await fill(leader, 420, 5);
    await until("the follower to be back", async () => ((await behind.status())?.appliedIndex ?? 0) >= again);
    assert(!says(behind, "snapshot installed up to entry"), behind.describe());
    assertEquals(await valuesOf(behind), await valuesOf(leader));
  });
}, { runtimes: ["deno"], timeoutMs: 90_000 });

test("cluster: a follower that is killed again and again while it catches up by a snapshot gets there", async () => {
  await withCluster({ runtimes: ["deno", "bun", "node"], args }, async (cluster) => {
    const { leader, behind, last } = await leaveBehind(cluster);
    for (const moment of ["snapshot receiving: 0 of", "snapshot installed", "snapshot receiving"]) {
      behind.start();
      await until(moment, async () => says(behind, moment) || ((await behind.status())?.appliedIndex ?? 0) >= last);
      await behind.kill();
    }
    behind.start();
    await until("the follower to catch up", async () => ((await behind.status())?.appliedIndex ?? 0) >= last);
    await cluster.agreedLeader();
    assertEquals(await valuesOf(behind), await valuesOf(leader));
  });
}, { runtimes: ["deno"], timeoutMs: 120_000 });
