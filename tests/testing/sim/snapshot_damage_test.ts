import { assert, assertEquals, assertGreater } from "@std/assert";
import { StorageError } from "../../../src/errors.ts";
import { fileSnapshots } from "../../../src/store/snapshot_files.ts";
import type { SnapshotStore } from "../../../src/store/snapshot_store.ts";
import { walStore } from "../../../src/store/wal/wal_store.ts";
import { MemoryFiles } from "../../../src/testing/memory_files.ts";
import { DAMAGE_KINDS } from "../../../src/testing/sim/disk/disk_actions.ts";
import { damageSnapshot } from "../../../src/testing/sim/disk/snapshot_damage.ts";
import { SNAPSHOTS_NAME, wholeSnapshots } from "../../../src/testing/sim/disk/snapshot_layout.ts";
import type { Fault } from "../../../src/testing/sim/config.ts";
import { unexplained } from "../../../src/testing/sim/check/disks.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import type { Invariant } from "../../../src/testing/sim/invariants.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { test } from "../../harness.ts";
import { instantDisk } from "./instant_disk.ts";

const configuration = { servers: [{ id: "a", address: "a:1", suffrage: "voter" as const }] };

async function take(snapshots: SnapshotStore, index: number, random: Random): Promise<void> {
  const sink = await snapshots.create({ index, term: 1, configuration, configurationIndex: 1, timeMs: 0 });
  await sink.write(Uint8Array.from({ length: random.between(1, 3000) }, () => random.below(256)));
  await sink.close();
}

test("damageSnapshot: whatever is damaged, the store finds the same snapshots whole as whoever looks at the bytes", async () => {
  const outcomes = new Map<string, number>();
  for (let seed = 0; seed < 40; seed++) {
    const random = Random.seeded(seed);
    const files = new MemoryFiles();
    const log = walStore(files, { segmentBytes: 4096, random: () => "r", now: () => 0 });
    await log.open("a");
    const snapshots = fileSnapshots(files.directory(SNAPSHOTS_NAME));
    await snapshots.open();
    for (let index = random.between(1, 3); index > 0; index--) await take(snapshots, 10 - index, random);
    for (const how of DAMAGE_KINDS) {
      const damaged = files.clone();
      const where = damageSnapshot(damaged, random, how);
      assert(where !== undefined);
      const whole = wholeSnapshots(damaged);
      const store = fileSnapshots(damaged.directory(SNAPSHOTS_NAME));
      await store.open();
      const found = [];
      for (const { id } of await store.list()) if (await store.verify(id)) found.push(id);
      assertEquals(found.sort(), [...whole.keys()].sort(), `seed ${seed}: ${where}`);
      if (whole.size < wholeSnapshots(files).size) outcomes.set(how, (outcomes.get(how) ?? 0) + 1);
    }
  }
  for (const how of DAMAGE_KINDS) assertGreater(outcomes.get(how) ?? 0, 10, how);
});

test("damageSnapshot: where there is no snapshot, nothing is damaged", () => {
  assertEquals(damageSnapshot(new MemoryFiles(), Random.seeded(1), "flip"), undefined);
});

test("D3: a server is down by damage to its snapshots only where no whole one reaches its log", async () => {
  const gap = new StorageError(
    "Cannot start as the log begins after entry 2 of term 1, and there is no snapshot",
    "open",
  );
  const seen = new Map<boolean, number>();
  for (let pick = 1; pick <= 40; pick++) {
    const disk = instantDisk(pick, { keepsCopies: false, keepsSnapshots: true });
    const factory = disk.factory();
    const store = await factory.open({});
    await store.open("a");
    await store.write({ records: [commandsOf(1, 1, "one", "two", "three")] });
    const snapshots = await factory.snapshots!.open();
    await snapshots.open();
    await take(snapshots, 2, Random.seeded(pick));
    await take(snapshots, 3, Random.seeded(pick));
    await store.write({ records: [], compactTo: { firstIndex: 3, prevTerm: 1 } });
    assertEquals([disk.view.snapshot, disk.faults.explain(gap)], [3, undefined], "nothing is damaged");
    disk.crash("power");
    disk.faults.damage("zeros", pick, true);
    if (pick % 2 === 0) disk.faults.damage("missing", pick * 1000, true);
    disk.faults.absolve();
    const isGapless = disk.view.snapshot >= 2;
    seen.set(isGapless, (seen.get(isGapless) ?? 0) + 1);
    const isExplained = disk.faults.explain(gap) !== undefined;
    assertEquals([disk.faults.hasRot, isExplained], [true, !isGapless], `${pick}`);
    // D3: recovery had to pass over what is damaged; V0: something else is wrong.
    const downBy = (error: StorageError): Invariant | undefined => {
      const ghost = new Ghost();
      unexplained(ghost, { id: "a", storage: disk }, "start", error);
      return ghost.violation?.invariant;
    };
    if (!isExplained) assertEquals(downBy(gap), "D3", `${pick}`);
    const other = new StorageError("something else", "open");
    assertEquals([disk.faults.explain(other), downBy(other)], [undefined, "V0"]);
  }
  assertEquals([seen.get(true), seen.get(false)], [20, 20]);
});

test("a disk is examined as it was, though another one takes its place before that ends", async () => {
  const found: unknown[] = [];
  for (let pick = 1; pick <= 8; pick++) {
    const disk = instantDisk(pick, { keepsCopies: false, keepsSnapshots: true }, (_, view) => found.push(view));
    const factory = disk.factory();
    const store = await factory.open({});
    await store.open("a");
    await store.write({ records: [commandsOf(1, 1, "one", "two")] });
    const snapshots = await factory.snapshots!.open();
    await snapshots.open();
    for (const index of [1, 2]) await take(snapshots, index, Random.seeded(pick));
    disk.faults.damage("zeros", pick, true);
    // It was found whole but for that.
    disk.faults.absolve();
    const before = found.length;
    disk.examine();
    disk.faults.replace("wipe", pick);
    // Its operations take no time, but turns.
    for (let turn = 0; turn < 100; turn++) await new Promise<void>((resolve) => setTimeout(resolve, 0));
    assertGreater(found.length, before);
  }
  assertEquals(found.filter((view) => view instanceof Error), []);
});

test("a disk is examined again when anything on it has changed, and when its server loses power", async () => {
  const found: unknown[] = [];
  // Some examinations are of two recoveries: all that begin are counted once.
  let examined = new Set<unknown>();
  const disk = instantDisk(3, { keepsCopies: false, keepsSnapshots: true }, (said, view) => {
    examined.add(said);
    found.push(view);
  });
  const count = async (examine: () => void): Promise<number> => {
    examined = new Set();
    examine();
    for (let turn = 0; turn < 100; turn++) await new Promise<void>((resolve) => setTimeout(resolve, 0));
    return examined.size;
  };
  const factory = disk.factory();
  const store = await factory.open({});
  await store.open("a");
  const snapshots = await factory.snapshots!.open();
  await snapshots.open();
  const examine = () => count(() => disk.examine());
  assertEquals([await examine(), await examine()], [1, 0]);
  await store.write({ records: [commandsOf(1, 1, "one")] });
  assertEquals([await examine(), await examine()], [1, 0]);
  await take(snapshots, 1, Random.seeded(1));
  assertEquals([await examine(), await examine()], [1, 0]);
  assertEquals(await count(() => disk.crash("power")), 1);
  assertEquals(found.filter((view) => view instanceof Error), []);
});

/** How many of so many runs came by each of these. */
async function marksOf(seeds: number, names: readonly string[], faults: readonly Fault[]): Promise<number[]> {
  const runs = new Map(names.map((name) => [name, 0]));
  for (let seed = 0; seed < seeds; seed++) {
    // Where next to nothing is written there are no snapshots.
    const client = { leaseReads: false };
    const { violation, marks } = await runSeed(seed, { steps: 2500, store: "wal", servers: 3, faults, client });
    if (violation !== undefined) throw violation;
    for (const name of names) if (marks[name]! > 0) runs.set(name, runs.get(name)! + 1);
  }
  return [...runs.values()];
}

test("servers with a write-ahead log take snapshots, and lose some in crashes", async () => {
  const names = [
    "snapshot-installed",
    "snapshot-leftover-removed",
    "truncated-and-compacted-at-once",
    "compacted-segment-removed",
    "compacted-log-recovered",
    "compaction-said-again",
  ];
  const runs = await marksOf(20, names, ["power", "kill", "partition", "write-error"]);
  assert(runs.every((count) => count > 0), `${runs}`);
}, { runtimes: ["deno"], timeoutMs: 180_000 });

test("servers whose newest snapshot is damaged start from an older one, or not at all", async () => {
  const runs = await marksOf(40, ["snapshot-found-damaged", "older-snapshot-used"], ["rot-in-snapshots"]);
  assert(runs.every((count) => count > 0), `${runs}`);
}, { runtimes: ["deno"], timeoutMs: 180_000 });
