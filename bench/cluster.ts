/**
 * Three processes with write-ahead logs over TCP, loaded in the leader's process.
 *
 * @module
 */
import { join } from "node:path";
import type { LoadResult, LoadShape } from "./load.ts";
import { Child, commandOf, freePorts, type RuntimeName, scriptPath } from "./processes.ts";
import type { Job, ServerPlan } from "./server.ts";

/** A running cluster. */
export interface Cluster {
  readonly children: readonly Child[];
  readonly leader: Child;
  stop(): Promise<void>;
}

/** Starts three servers under `dir` and waits for a leader. */
export async function startCluster(runtime: RuntimeName, dir: string): Promise<Cluster> {
  const ids = ["n1", "n2", "n3"];
  const ports = await freePorts(ids.length);
  const servers = Object.fromEntries(ids.map((id, i) => [id, `127.0.0.1:${ports[i]}`]));
  const command = await commandOf(runtime);
  const children = ids.map((id) => {
    const plan: ServerPlan = { id, dir: join(dir, id), servers };
    return new Child([...command, scriptPath("./server.ts"), JSON.stringify(plan)]);
  });
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop({ job: "stop" } satisfies Job)));
  };
  await Promise.all(children.map((child) => child.answer()));
  for (let tries = 0; tries < 200; tries++) {
    for (const child of children) {
      const { role } = await child.ask<{ role: string }>({ job: "role" } satisfies Job);
      if (role === "leader") return { children, leader: child, stop };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop();
  throw new Error("Cannot measure: no leader was elected within 10 s");
}

/** Runs every shape on one cluster, at its leader; `reads` measures linearizable reads instead. */
export async function measureCluster(
  runtime: RuntimeName,
  dir: string,
  shapes: readonly LoadShape[],
  bytes: number,
  reads: boolean,
): Promise<LoadResult[]> {
  const cluster = await startCluster(runtime, dir);
  try {
    const results: LoadResult[] = [];
    for (const shape of shapes) {
      results.push(await cluster.leader.ask<LoadResult>({ job: "load", shape, bytes, reads } satisfies Job));
    }
    return results;
  } finally {
    await cluster.stop();
  }
}
