import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { CorruptionError, StorageError } from "../../../src/errors.ts";
import type { StoreWrite } from "../../../src/store/store.ts";
import { walStore } from "../../../src/store/wal/wal_store.ts";
import { type FileOperation, loseAll, MemoryFiles } from "../../../src/testing/memory_files.ts";
import { Atlas } from "../../../src/testing/sim/disk/atlas.ts";
import { damageAtRest } from "../../../src/testing/sim/disk/damage.ts";
import {
  DAMAGE_KINDS,
  type DiskAction,
  diskChoices,
  DRAWN_DISK_FAULTS,
  drawSpread,
} from "../../../src/testing/sim/disk/disk_actions.ts";
import { DiskTrouble } from "../../../src/testing/sim/disk/trouble.ts";
import type { WalDisk } from "../../../src/testing/sim/disk/wal_disk.ts";
import { cloneView, emptyView, isSameView, viewOf } from "../../../src/testing/sim/disk_view.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import type { Distortion } from "../../../src/testing/sim/script.ts";
import { DISK_FAULTS, type DiskFault, SURVIVABLE } from "../../../src/testing/sim/survivable.ts";
import type { DiskView } from "../../../src/testing/sim/view.ts";
import { commandsOf } from "../../../src/testing/store_cases.ts";
import { test } from "../../harness.ts";
import { instantDisk } from "./instant_disk.ts";

const operation = (kind: FileOperation["kind"], name: string): FileOperation => ({ kind, name, bytes: 0 });
const segment = "0000000000000001.wal";

function troubled(): { trouble: DiskTrouble; failed: string[]; retried: string[] } {
  const [failed, retried]: string[][] = [[], []];
  const trouble = new DiskTrouble({
    onFailed: ({ kind }) => failed.push(kind),
    onRetried: ({ kind, name }) => retried.push(`${kind} ${name}`),
  });
  return { trouble, failed, retried };
}

test("DiskTrouble: an error falls once, or until it is over, on what it is meant for", () => {
  const { trouble } = troubled();
  const fails = (kind: FileOperation["kind"]) => trouble.faultOf(operation(kind, "f")) !== undefined;
  trouble.arm("sync", false);
  assertEquals([fails("write"), fails("read"), fails("open"), fails("sync"), fails("sync")], [
    false,
    false,
    false,
    true,
    false,
  ]);
  trouble.arm("name", true);
  assertEquals([fails("rename"), fails("sync-directory"), fails("remove"), fails("read")], [true, true, true, false]);
  trouble.disarm("name");
  assertEquals(fails("rename"), false);
  trouble.arm("read", true);
  trouble.heal();
  assertEquals(fails("read"), false);
});

test("DiskTrouble: a sync that failed must not be done again, unless what it is of was written anew", () => {
  const { trouble, retried } = troubled();
  trouble.onFailure(operation("sync", "segment.tmp"), new Error("EIO"));
  trouble.faultOf(operation("sync", "other"));
  assertEquals(retried, []);
  trouble.faultOf(operation("sync", "segment.tmp"));
  assertEquals(retried.splice(0), ["sync segment.tmp"]);
  trouble.faultOf(operation("write", "segment.tmp"));
  trouble.faultOf(operation("sync", "segment.tmp"));
  assertEquals(retried, []);
  // A batch is never written twice.
  trouble.onFailure(operation("write", segment), new Error("EIO"));
  trouble.faultOf(operation("write", segment));
  assertEquals(retried.splice(0), [`write ${segment}`]);
  trouble.endLife();
  trouble.faultOf(operation("write", segment));
  assertEquals(retried, []);
  // Unless there was no room for it; a sync that finds none is a failure like any other.
  const full = Object.assign(new Error("no space left"), { code: "ENOSPC" });
  trouble.onFailure(operation("write", segment), full);
  trouble.faultOf(operation("write", segment));
  assertEquals(retried, []);
  trouble.onFailure(operation("sync", segment), full);
  trouble.faultOf(operation("write", segment));
  assertEquals(retried.splice(0), [`write ${segment}`]);
});

test("DiskTrouble explains what a server says of an error that it was told of, and nothing else", () => {
  const { trouble } = troubled();
  const storage = (message: string) => new StorageError(message, "write");
  const explain = (error: unknown) => trouble.explain(error, "disk of a");
  const error = storage('Cannot write to "disk of a": EIO: i/o error: see to the disk, then restart');
  assertEquals(explain(error), undefined, "nothing has failed");
  trouble.onFailure(operation("write", segment), new Error("EIO: i/o error"));
  assertEquals(explain(error), "write-error");
  assertEquals(explain(storage('Cannot write to "disk of a": something')), undefined, "it does not say what failed");
  assertEquals(explain(storage("Cannot write: EIO: i/o error")), undefined, "it does not say where");
  assertEquals(explain(new Error('"disk of a": EIO: i/o error')), undefined, "it is of no use to whoever catches it");
  const corrupt = new CorruptionError(`disk of a/${segment}`, 512, "its checksum is wrong");
  assertEquals(explain(corrupt), undefined, "nothing was misread");
  trouble.onMisread();
  assertEquals(explain(corrupt), "misread");
  assertEquals(explain(new CorruptionError(segment, 512, "its checksum is wrong")), undefined, "which disk is it?");
  trouble.endLife();
  assertEquals([explain(error), explain(corrupt)], [undefined, undefined], "it was told to another process");
});

test("Atlas: of no entry so many copies are damaged as a quorum has, and a quorum stays up", () => {
  for (const [servers, most] of [[1, 0], [2, 0], [3, 1], [4, 1], [5, 2], [7, 3]] as const) {
    const atlas = new Atlas(servers, false, new Ghost());
    let damaged = 0;
    for (let server = 0; server < servers; server++) {
      if (!atlas.allows(server)) continue;
      atlas.damage(server);
      atlas.lose(server);
      damaged++;
    }
    assertEquals([servers, damaged, atlas.isQuorumLeft], [servers, most, true]);
  }
});

test("Atlas: beyond what can be survived everything may be damaged, and a disk that was found whole counts no more", () => {
  const beyond = new Atlas(3, true, new Ghost());
  for (const server of [0, 1, 2]) {
    assertEquals(beyond.allows(server), true);
    beyond.damage(server);
    beyond.lose(server);
    assertEquals([beyond.isLost(server), beyond.isQuorumLeft, beyond.isExceeded], [true, server === 0, server > 0]);
  }
  const atlas = new Atlas(3, false, new Ghost());
  atlas.damage(0);
  assertEquals([atlas.allows(0), atlas.allows(1)], [true, false]);
  atlas.absolve(0);
  assertEquals(atlas.allows(1), true);
  atlas.damage(1);
  atlas.lose(1);
  assertEquals([atlas.allows(1), atlas.allows(0)], [false, false]);
});

const storeOf = (files: MemoryFiles) => walStore(files, { segmentBytes: 4096, random: () => "r", now: () => 0 });

async function recovered(files: MemoryFiles): Promise<DiskView> {
  const store = storeOf(files.clone());
  return await viewOf(store, await store.open("a"));
}

test(
  "damageAtRest: whatever is damaged at or below the mark, recovery refuses it or finds all that was there",
  async () => {
    const outcomes = new Map<string, number>();
    for (let seed = 0; seed < 250; seed++) {
      const random = Random.seeded(seed);
      const files = new MemoryFiles({ location: "/data" });
      let last = 0;
      for (let life = random.between(1, 3); life > 0; life--) {
        const store = storeOf(files);
        await store.open("a");
        for (let i = random.between(1, 12); i > 0; i--) {
          const write: StoreWrite = { records: [commandsOf(last + 1, 1, "x".repeat(random.below(1500)))] };
          await store.write({ ...write, vote: random.chance(0.3) ? { term: 2, votedFor: "b" } : undefined });
          last++;
        }
        if (random.chance(0.5)) await store.close();
        files.crash(loseAll);
      }
      const before = await recovered(files);
      assertEquals(before.log.last, last);
      for (const how of DAMAGE_KINDS) {
        const damaged = files.clone();
        const where = damageAtRest(damaged, random, how);
        const found = await recovered(damaged).catch((error: unknown) => error);
        const outcome = found instanceof Error ? "refused" : "found";
        if (found instanceof CorruptionError) assertMatch(found.file, /^\/data\/\d+\.wal$/, where);
        else assert(!(found instanceof Error), `seed ${seed}: ${where}: ${found}`);
        if (!(found instanceof Error)) assert(isSameView(found as DiskView, before), `seed ${seed}: ${where}`);
        outcomes.set(`${how} ${outcome}`, (outcomes.get(`${how} ${outcome}`) ?? 0) + 1);
      }
    }
    for (const how of DAMAGE_KINDS) assertGreater(outcomes.get(`${how} refused`) ?? 0, 20, how);
    assertGreater(outcomes.get("zeros found") ?? 0, 5);
  },
  { timeoutMs: 60_000 },
);

test("views of nothing are the same", () => assertEquals(isSameView(emptyView(), emptyView()), true));

test("every fault of a disk has an outcome and a reason, and none is drawn that is off", () => {
  assertEquals(Object.keys(SURVIVABLE).sort(), [...DISK_FAULTS].sort());
  for (const fault of DISK_FAULTS) {
    assertEquals(DRAWN_DISK_FAULTS.includes(fault), SURVIVABLE[fault].outcome !== "off");
    assertGreater(SURVIVABLE[fault].reason.length, 20);
    const choices = diskChoices(Random.seeded(1), [fault], 0, 1000).filter(([action]) => action !== undefined);
    assertEquals(choices.length, 1, `${fault} can be asked for`);
  }
});

/** A disk on which every operation is done at once, with so many entries that were acknowledged in two lives. */
async function diskOf(entries: number): Promise<WalDisk> {
  const disk = instantDisk(entries, { keepsCopies: true });
  for (const [from, end] of [[1, entries / 2], [entries / 2, entries + 1]] as const) {
    const store = await disk.factory().open({});
    await store.open("a");
    for (let index = from; index < end; index++) {
      await store.write({ records: [commandsOf(index, 1, "x".repeat(300))], vote: { term: index, votedFor: "b" } });
    }
    disk.crash("power");
  }
  return disk;
}

test("a damaged log is recovered with what it held, and followed from there", async () => {
  let found = 0;
  for (let pick = 1; pick <= 20; pick++) {
    const disk = await diskOf(20);
    const before = cloneView(disk.view);
    disk.faults.damage("zeros", pick, false);
    const view = await disk.recover(true).catch((error: unknown) => error);
    // More than entries is damaged.
    if (view instanceof Error) continue;
    const store = await disk.factory().open({});
    const { damaged, lastIndex } = await store.open("a");
    if (damaged.length === 0) continue;
    assert(isSameView(view as DiskView, before), `${pick}`);
    await store.write({ records: [commandsOf(lastIndex + 1, 1, "next")] });
    assertEquals(disk.view.log.last, lastIndex + 1);
    found++;
  }
  assertGreater(found, 3);
});

test("a log that was repaired is damaged again when its holes are gone, and not before", async () => {
  let found = 0;
  for (let pick = 1; pick <= 20; pick++) {
    const disk = await diskOf(20);
    disk.faults.damage("zeros", pick, false);
    let store = await disk.factory().open({});
    const state = await store.open("a").catch(() => undefined);
    if (state === undefined || state.damaged.length === 0) continue;
    const indexes = state.damaged.flatMap(({ from, end }) => Array.from({ length: end - from }, (_, i) => from + i));
    await store.write({ records: [], repairs: indexes.map((index) => commandsOf(index, 1, "x".repeat(300))) });
    disk.faults.absolve(true);
    disk.crash("power");
    assertStringIncludes(disk.faults.damage("zeros", pick, false), "already", `${pick}`);
    store = await disk.factory().open({});
    assertEquals((await store.open("a")).damaged, [], `${pick}`);
    for (let index = state.lastIndex + 1; index < 80; index++) {
      await store.write({ records: [commandsOf(index, 1, "x".repeat(300))] });
    }
    await store.write({ records: [], compactTo: { firstIndex: 79, prevTerm: 1 } });
    await store.close();
    disk.crash("power");
    assert(!disk.faults.damage("zeros", pick, false).includes("already"), `${pick}`);
    found++;
  }
  assertGreater(found, 3);
});

test("a bad place on a disk is read wrongly until the process ends, another only once", async () => {
  const changes = async (pick: number, ...lives: number[]) => {
    const disk = await diskOf(20);
    disk.faults.misread(pick);
    const counts: number[] = [];
    for (const reads of lives) {
      let count = 0;
      for (let i = 0; i < reads; i++) {
        const bytes = new Uint8Array(100);
        disk.faults.lie("another file", bytes, 700);
        if (bytes.some((byte) => byte !== 0)) count++;
      }
      counts.push(count);
      disk.crash("kill");
    }
    return counts;
  };
  assertEquals(await changes(2, 3, 2), [3, 0]);
  assertEquals(await changes(3, 3, 2), [1, 0]);
});

for (const fault of ["rot-above-mark", "lost-tail", "wipe", "old-copy"] as const) {
  test(`after ${fault} a server starts and does not know what it promised: off, unless others know its disk`, async () => {
    const isTold = fault === "wipe" || fault === "old-copy";
    assertEquals(SURVIVABLE[fault].outcome, isTold ? "goes on" : "off");
    let silent = 0;
    for (let pick = 1; pick <= 20; pick++) {
      const disk = await diskOf(20);
      assertEquals([disk.view.log.last, disk.view.term], [20, 20]);
      const told = disk.faults.identityAfter(fault)!;
      disk.faults.replace(fault, pick);
      if (isTold) {
        const { identity } = await (await disk.factory().open({})).open("a");
        assertEquals([identity.starts, identity.starts < 3], [told.starts, true]);
        assertEquals(identity.incarnation === "a-0", fault === "old-copy");
        disk.crash("power");
      }
      const found = await disk.recover(true).catch((error: unknown) => error);
      if (found instanceof Error) continue;
      const { term, log } = found as DiskView;
      assert(term < 20 && log.last < 20, `${pick}: it has lost something`);
      assert(isSameView(found as DiskView, disk.view));
      silent++;
    }
    assertGreater(silent, 5);
  });
}

test("servers with new disks and old names are told, take part again, and do no harm (M8)", async () => {
  for (const store of ["wal", "memory"] as const) {
    let readmitted = 0;
    for (let seed = 0; seed < 25; seed++) {
      const faults = ["wipe", "old-copy", "kill", "power", "partition"] as const;
      const { violation, marks } = await runSeed(seed, { steps: 2000, store, servers: 3, faults });
      if (violation !== undefined) throw violation;
      readmitted += marks["server-readmitted"]!;
    }
    assertGreater(readmitted, 2, store);
  }
}, { runtimes: ["deno"], timeoutMs: 120_000 });

test("more new disks than others can make up for are no pass, whatever comes of them", async () => {
  const found = new Set<string | undefined>();
  for (let seed = 0; seed < 12; seed++) {
    const faults = ["replace-beyond", "power"] as const;
    const { violation, script } = await runSeed(seed, { steps: 2000, store: "wal", servers: 3, faults });
    const hasGone = script.decisions.some((it) =>
      "action" in it && it.action.type === "replace-disk" && it.action.by === "wipe"
    );
    if (violation?.invariant === "S0") throw violation;
    if (hasGone) found.add(violation?.invariant);
  }
  assert(found.size > 0 && !found.has(undefined), [...found].join());
}, { runtimes: ["deno"], timeoutMs: 120_000 });

/** A run in which damage may go beyond what can be survived. */
const beyond = (seed: number, distort?: Distortion) =>
  runSeed(seed, { steps: 2000, store: "wal", servers: 3, faults: ["rot-beyond", "power"], distort });

test(
  "servers with damaged logs halt where nobody is left who may lead, and are repaired where somebody is",
  async () => {
    let [halted, repaired, lost] = [0, 0, 0];
    for (let seed = 125; seed < 150; seed++) {
      const { violation, hasHalted, lostEntries, marks, script } = await beyond(seed);
      if (violation !== undefined) throw violation;
      assert(hasHalted || lostEntries === 0, `seed ${seed} goes on without ${lostEntries} entries`);
      assertEquals(marks["cluster-halted"], hasHalted ? 1 : 0);
      lost += lostEntries;
      const struck = new Set(
        script.decisions.map((it) => "action" in it && it.action.type === "damage" && it.action.server),
      );
      const isSeveral = struck.size > 2 && marks["started-with-damage"]! > 1;
      if (isSeveral && hasHalted) halted++;
      if (isSeveral && !hasHalted && marks["damage-repaired"]! > 0) repaired++;
    }
    assert(halted > 2 && repaired > 0 && lost > 0, `${halted} halts, ${repaired} repairs, ${lost} entries lost`);
  },
  { runtimes: ["deno"], timeoutMs: 240_000 },
);

/** What is found in these runs, until this is. */
async function foundUntil(wanted: string, distort: Distortion): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (let seed = 125; seed < 150 && !found.has(wanted); seed++) {
    const { violation } = await beyond(seed, distort);
    if (violation !== undefined) found.add(violation.invariant);
  }
  return found;
}

test("D2: a server that forgets what is damaged leads a cluster that had to halt", async () => {
  const found = await foundUntil("D2", (state, event, now, step) => {
    state.damaged = [];
    return step(event, now);
  });
  assert(found.has("D2"), [...found].join());
}, { runtimes: ["deno"], timeoutMs: 240_000 });

test("V1: a cluster halts though enough is left, as who has lost something votes for nobody", async () => {
  const found = await foundUntil("V1", (state, event, now, step) => {
    const isAsked = event.type === "message-received" && event.message.type === "vote-request";
    return isAsked && state.damaged.length > 0 ? [] : step(event, now);
  });
  assert(found.has("V1"), [...found].join());
}, { runtimes: ["deno"], timeoutMs: 240_000 });

test("drawSpread: damage strikes others at the same time where it may go beyond what can be survived", () => {
  const random = Random.seeded(7);
  const action: DiskAction = { type: "damage", server: 1, how: "swapped", pick: 5, for: 100 };
  const draw = (faults: readonly DiskFault[], servers = 3, inSnapshots = false) =>
    Array.from({ length: 100 }, () => {
      const damage: DiskAction = { ...action, inSnapshots };
      return drawSpread(random, { servers, faults }, damage);
    });
  const all = draw(["rot-beyond"]);
  assertEquals(new Set(all.map((others) => others.length)), new Set([0, 1, 2]));
  for (const others of all) {
    const servers = others.map(({ server }) => server);
    assert(new Set([...servers, 1]).size === servers.length + 1 && servers.every((server) => server < 3));
  }
  for (const none of [draw(["rot"]), draw(["rot-beyond"], 1), draw(["rot-beyond"], 3, true)]) {
    assertEquals(none.flat(), []);
  }
  assertEquals(drawSpread(random, { servers: 3, faults: ["rot-beyond"] }, { type: "restart" }), []);
});

test("damage of fewer copies leaves a cluster that serves", async () => {
  let lostInAll = 0;
  for (let seed = 0; seed < 40; seed++) {
    const { violation, lost } = await runSeed(seed, {
      steps: 2000,
      store: "wal",
      servers: 5,
      faults: ["rot", "power"],
    });
    if (violation !== undefined) throw violation;
    assert(lost <= 2, `seed ${seed} loses ${lost}`);
    lostInAll += lost;
  }
  assertGreater(lostInAll, 0);
}, { runtimes: ["deno"], timeoutMs: 120_000 });

test("servers start with damaged logs, and have what they lost again at the end", async () => {
  let [started, repaired] = [0, 0];
  for (let seed = 0; seed < 20; seed++) {
    const faults = ["rot", "power"] as const;
    const { violation, marks } = await runSeed(seed, { steps: 2000, store: "wal", servers: 3, faults });
    if (violation !== undefined) throw violation;
    started += marks["started-with-damage"]!;
    repaired += marks["damage-repaired"]!;
  }
  assert(started > 0 && repaired > 0, `${started} of them, ${repaired} repairs`);
}, { runtimes: ["deno"], timeoutMs: 120_000 });
