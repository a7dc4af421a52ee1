/**
 * What a read costs by what vouches for it, in the leader's process and over HTTP.
 *
 * @module
 */
import type { KvCluster } from "./kv.ts";
import { type LoadResult, type LoadShape, runLoad } from "./load.ts";
import { startMemory } from "./memory.ts";

/** What a read must have seen. */
export type Consistency = "linearizable" | "lease" | "stale";

/** All of them, the dearest first. */
export const consistencies: readonly Consistency[] = ["linearizable", "lease", "stale"];

/** A result per shape, by what is read where. */
export type ReadResults = Readonly<Record<string, readonly LoadResult[]>>;

/** In process: three servers on memory parts, at the leader and at another server. */
export async function measureReads(shapes: readonly LoadShape[]): Promise<ReadResults> {
  const servers = await startMemory(["a", "b", "c"]);
  const results: Record<string, LoadResult[]> = {};
  try {
    for (const role of ["leader", "follower"]) {
      const server = servers.find(({ state }) => state === role)!;
      for (const consistency of consistencies) {
        const row: LoadResult[] = results[`${consistency}, at ${role === "leader" ? "the leader" : "a follower"}`] = [];
        const read = () => server.read(() => server.appliedIndex, { consistency });
        for (const shape of shapes) row.push(await runLoad(read, shape));
      }
    }
  } finally {
    await Promise.all(servers.map((server) => server.shutdown()));
  }
  return results;
}

/** Over HTTP at the leader: `GET` of a value of so many bytes. Stops the cluster. */
export async function measureHttpReads(
  cluster: KvCluster,
  shapes: readonly LoadShape[],
  bytes: number,
): Promise<ReadResults> {
  try {
    const { port } = await cluster.leader();
    await cluster.put(port, "read", bytes);
    const results: Record<string, LoadResult[]> = {};
    for (const consistency of consistencies) {
      const row: LoadResult[] = results[`GET, ${consistency}`] = [];
      for (const shape of shapes) row.push(await runLoad(() => cluster.get(port, "read", consistency), shape));
    }
    return results;
  } finally {
    await cluster.stop();
  }
}
