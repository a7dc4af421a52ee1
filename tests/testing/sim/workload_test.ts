import { drawConfig } from "../../../src/testing/sim/config.ts";
import type { SimInput } from "../../../src/testing/sim/calls.ts";
import { hashText, type SimCommand, type SimResult } from "../../../src/testing/sim/machine.ts";
import { Port } from "../../../src/testing/sim/queue.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { SimServer } from "../../../src/testing/sim/server.ts";
import { Workload } from "../../../src/testing/sim/workload.ts";
import { lifeOf, rule } from "./clients_stage.ts";

rule("R4", "what clients are answered follows from some order of their calls", async ({ world, ghost }, isBad) => {
  let index = 0;
  const results: SimResult[] = [null, !isBad];
  // All machines alike say that nothing was exchanged where it could have been.
  const applyEntry = ({ data: { value } }: { data: SimCommand }) => {
    const result = results[index++]!;
    ghost.commits.push({ term: 1, hash: index, committedIn: 1, sets: [] });
    ghost.applied.set(index, { term: 1, state: index, result: hashText(String(result), 0) });
    ghost.noteApplied(value, index, index, result);
    return Promise.resolve({ index, term: 1, result });
  };
  const server = { life: lifeOf({ applyEntry }) } as unknown as SimServer;
  const workload = new Workload(world, [server], drawConfig(Random.seeded(1)), ghost, Random.seeded(2));
  const cas: SimInput = { type: "cas", key: "k", expect: "1:v1", value: "v2" };
  for (const input of [{ type: "put", key: "k", value: "v1" } as const, cas]) {
    await workload.call(server, input, "c");
    // The next one is asked for after that.
    world.schedule(-1, Port.phase, 1, "goes on", () => {});
    await world.run(() => false);
  }
  workload.checkHistory();
});
