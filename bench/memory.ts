/**
 * Three servers in one process, on memory parts: what the library itself costs.
 *
 * @module
 */
import { createRaft, memoryNetwork, memoryStore, type Raft } from "@securecollc/raft";
import type { LoadShape } from "./load.ts";
import { Counter } from "./machine.ts";
import { runStagedLoad, type StagedLoad } from "./stages.ts";

/** Starts a cluster of servers with these ids and waits for its leader. */
export async function startMemory(ids: readonly string[]): Promise<Raft<Uint8Array, number>[]> {
  const network = memoryNetwork();
  const bootstrap = Object.fromEntries(ids.map((id) => [id, id]));
  const servers: Raft<Uint8Array, number>[] = [];
  for (const id of ids) {
    const [machine, store, transport] = [new Counter(), memoryStore(), network.transport(id)];
    servers.push(await createRaft({ id, machine, store, transport, bootstrap }));
  }
  await servers[0]!.barrier();
  return servers;
}

/** Runs every shape on one cluster of three, at its leader; `reads` measures linearizable reads instead. */
export async function measureMemory(
  shapes: readonly LoadShape[],
  bytes: number,
  reads: boolean,
): Promise<StagedLoad[]> {
  const servers = await startMemory(["a", "b", "c"]);
  const leader = servers.find((server) => server.state === "leader")!;
  const command = new Uint8Array(bytes);
  const results: StagedLoad[] = [];
  for (const shape of shapes) {
    const call = reads ? () => leader.read(() => leader.appliedIndex) : () => leader.apply(command);
    results.push(await runStagedLoad(leader, call, shape));
  }
  await Promise.all(servers.map((server) => server.shutdown()));
  return results;
}
