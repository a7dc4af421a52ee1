import { assertEquals } from "@std/assert";
import type { ApplyContext, BatchedCommand, StateMachine } from "../src/machine.ts";
import { test } from "./harness.ts";
import { type VirtualCluster, withCluster } from "./virtual_cluster.ts";

/** Keeps what it was told beside each command. */
class Contexts implements StateMachine<unknown, unknown> {
  readonly seen: ApplyContext[] = [];

  apply(_: unknown, context: ApplyContext): unknown {
    return this.seen.push(context);
  }
}

class BatchedContexts extends Contexts {
  applyBatch(commands: readonly BatchedCommand<unknown>[]) {
    return commands.map(({ command, context }) => ({ value: this.apply(command, context) }));
  }
}

for (const Machine of [Contexts, BatchedContexts]) {
  test(`Raft.applyEntry() with extensions: every server's machine finds them, and no others (${Machine.name})`, () => {
    const machines = new Map<string, Contexts>();
    const make = (id: string) => {
      const machine = new Machine();
      machines.set(id, machine);
      return machine;
    };
    return withCluster(
      3,
      async (cluster) => {
        const { leader, followers: [follower] } = await cluster.elect();
        const bytes = Uint8Array.of(1, 2, 3);
        await cluster.settled(leader.applyEntry({ data: "with", extensions: bytes }));
        // Forwarded, and with a block of the library's own before them.
        await cluster.settled(follower!.applyEntry({ data: "keyed", extensions: bytes }, { key: "k" }));
        await cluster.settled(leader.applyEntry({ data: "empty", extensions: new Uint8Array() }));
        await cluster.settled(leader.apply("without", { key: "l" }));
        await converged(cluster);
        for (const { seen } of machines.values()) {
          assertEquals(seen.map(({ extensions }) => extensions), [bytes, bytes, undefined, undefined]);
          assertEquals(seen.map((context) => "extensions" in context), [true, true, false, false]);
        }
      },
      {},
      make,
    );
  });
}

async function converged(cluster: VirtualCluster): Promise<void> {
  await cluster.environment.until(() => {
    const [first, ...rest] = [...cluster.rafts.values()].map((raft) => raft.appliedIndex);
    return rest.every((index) => index === first);
  });
}

test("Raft.applyEntry() with the most extensions is taken, with one byte more or none at all it is refused", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    const apply = async (extensions: unknown) => {
      const { text } = await cluster.outcome(raft.applyEntry({ data: "x", extensions: extensions as Uint8Array }));
      return text.replace(/:.*/, "");
    };
    assertEquals(await apply(new Uint8Array(65_536)), "[object Object]");
    assertEquals(await apply(new Uint8Array(65_537)), "RangeError");
    assertEquals(await apply("text"), "TypeError");
    assertEquals(cluster.machine("a").values, ["x"]);
  }));
