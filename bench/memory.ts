/**
 * Three servers in one process, on memory parts: what the library itself costs.
 *
 * @module
 */
import { createRaft, memoryNetwork, memoryStore, type Raft } from "@securecollc/raft";
import { type LoadResult, type LoadShape, runLoad } from "./load.ts";
import { Counter } from "./machine.ts";

/** Runs every shape on one cluster of three, at its leader; `reads` measures linearizable reads instead. */
export async function measureMemory(
  shapes: readonly LoadShape[],
  bytes: number,
  reads: boolean,
): Promise<LoadResult[]> {
  const network = memoryNetwork();
  const bootstrap = { a: "a", b: "b", c: "c" };
  const servers: Raft<Uint8Array, number>[] = [];
  for (const id of Object.keys(bootstrap)) {
    const [machine, store, transport] = [new Counter(), memoryStore(), network.transport(id)];
    servers.push(await createRaft({ id, machine, store, transport, bootstrap }));
  }
  await servers[0]!.barrier();
  const leader = servers.find((server) => server.state === "leader")!;
  const command = new Uint8Array(bytes);
  const results: LoadResult[] = [];
  for (const shape of shapes) {
    const call = reads ? () => leader.read(() => leader.appliedIndex) : () => leader.apply(command);
    results.push(await runLoad(call, shape));
  }
  await Promise.all(servers.map((server) => server.shutdown()));
  return results;
}
