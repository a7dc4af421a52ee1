import { assertEquals } from "@std/assert";
import { SessionTable } from "../../../src/driver/session_table.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import { test } from "../../harness.ts";

/** What breaks in a run whose clients use sessions. */
async function broken(seed: number): Promise<string | undefined> {
  const client = { sessions: 0.8, clients: 6 };
  return (await runSeed(seed, { steps: 1500, servers: 3, faults: ["kill"], client })).violation?.invariant;
}

/** The same where every second life goes by a clock of its own, which leaps now and then, to forget sessions (BR08). */
async function brokenByClocks(seed: number): Promise<string | undefined> {
  const { prototype } = SessionTable;
  const { onCommand } = prototype;
  const clocks = new WeakMap<SessionTable, { readonly leap: number; commands: number }>();
  let lives = 0;
  prototype.onCommand = function (block, entry) {
    const clock = clocks.get(this) ?? { leap: lives++ % 2 * 7_200_000, commands: 0 };
    clocks.set(this, clock);
    const ahead = Math.floor(++clock.commands / 20) * clock.leap;
    return onCommand.call(this, block, { ...entry, timeMs: entry.timeMs + ahead });
  };
  try {
    return await broken(seed);
  } finally {
    prototype.onCommand = onCommand;
  }
}

test(
  "sim: K2: sessions that are forgotten by a clock are found by the command that some servers pass over",
  async () => {
    for (const seed of [4, 5]) {
      assertEquals(await broken(seed), undefined);
      assertEquals(await brokenByClocks(seed), "K2");
    }
  },
  { timeoutMs: 60_000 },
);
