/**
 * What anybody tries first. A fault that breaks this would be found without a simulator, and is no mutant.
 *
 * @module
 */
import { walStore } from "../../src/store/wal/wal_store.ts";
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { VirtualCluster } from "../virtual_cluster.ts";

/** Commands in all. */
const commands = 60;

/** Three servers that are well: commands and reads everywhere, a restart. Throws when anything is not as it should be. */
export async function useOrdinarily(): Promise<void> {
  const cluster = new VirtualCluster(3);
  const disks = new Map(cluster.ids.map((id) => [id, new MemoryFiles()]));
  const start = (id: string) => {
    const open = () => Promise.resolve(walStore(disks.get(id)!, { segmentBytes: 8192 }));
    return cluster.start(id, { store: { open } });
  };
  for (const id of cluster.ids) await start(id);
  for (let i = 0; i < commands; i++) {
    const { leader, followers } = await cluster.elect();
    const id = cluster.ids[i % 3]!;
    const place = await cluster.settled(cluster.raft(id).apply({ i }));
    must(typeof place === "number" && place > 0, `command ${i} is answered with ${place}`);
    const seen = await cluster.settled(cluster.raft(id).read(() => cluster.machine(id).values.length));
    must(typeof seen === "number" && seen >= 1, `a read after command ${i} saw ${seen}`);
    if (i !== commands / 2) continue;
    // Somebody stops one and starts it again, as for a new release.
    const restarted = followers[0]!.id;
    must(leader.id !== restarted, "a follower leads");
    await cluster.settled(followers[0]!.shutdown());
    await start(restarted);
  }
  await cluster.converged();
  const journals = cluster.ids.map((id) => JSON.stringify(cluster.machine(id).values));
  const all = JSON.stringify(Array.from({ length: commands }, (_, i) => ({ i })));
  must(journals.every((journal) => journal === all), `machines hold ${journals.join(" and ")}`);
  must(cluster.errors.length === 0, cluster.errors.join("; "));
  await cluster.stopAll();
}

function must(condition: boolean, problem: string): void {
  if (!condition) throw new Error(problem);
}
