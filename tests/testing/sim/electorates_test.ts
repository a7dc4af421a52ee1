import { assert, assertEquals, assertGreater } from "@std/assert";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { Atlas } from "../../../src/testing/sim/disk/atlas.ts";
import { electorates } from "../../../src/testing/sim/disk/electorates.ts";
import { emptyView } from "../../../src/testing/sim/disk_view.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { runSeed } from "../../../src/testing/sim/run.ts";
import type { Distortion } from "../../../src/testing/sim/script.ts";
import type { Configuration } from "../../../src/types.ts";
import { configuration } from "../../core/states.ts";
import { test } from "../../harness.ts";

/** A log with these configurations, of terms 1, 2, …, and nothing else. */
function logWith(...configurations: Configuration[]): ChainLog {
  const log = new ChainLog();
  for (const [i, it] of configurations.entries()) {
    log.add(i + 1, 0);
    log.configure(i + 1, it);
  }
  return log;
}

/** A ghost of so many servers who knows that this log is committed. */
function ghostOf(servers: number, committed: ChainLog): Ghost {
  const ghost = new Ghost();
  for (let i = 0; i < servers; i++) ghost.disks.set(`s${i}`, emptyView());
  for (const { index, configuration } of committed.configurations) {
    const [term, hash] = [committed.termAt(index), committed.hashAt(index)];
    ghost.commits.push({ term, hash, committedIn: term, sets: [], configuration });
  }
  return ghost;
}

test("electorates: whoever votes in the last committed configuration, or in one that somebody has in mind", () => {
  const [one, two] = [configuration("s0 s1 s2"), configuration("s0 s1 ~s2")];
  const joint = configuration("s0 s3 s4 / s0 s1");
  const ghost = ghostOf(5, logWith(one, two));
  const sets = (...logs: ChainLog[]) => electorates(ghost, logs).map((voters) => voters.join(" "));
  assertEquals(sets(), ["s0 s1"]);
  // What came before is over, whoever still goes by it.
  assertEquals(sets(logWith(one), logWith(one, two)), ["s0 s1"]);
  assertEquals(sets(logWith(one, two, joint)), ["s0 s1", "s0 s3 s4", "s0 s1"]);
  assertEquals(electorates(new Ghost(), [logWith(one)]), [["s0", "s1", "s2"]]);
});

function atlasOf(servers: number, ...sets: string[]): Atlas {
  return new Atlas(servers, false, ghostOf(servers, logWith()), () => sets.map((voters) => voters.split(" ")));
}

test("Atlas: where servers come and go those count that may decide, in either half", () => {
  const three = atlasOf(5, "s0 s1 s2");
  // Without a vote nobody is needed.
  for (const server of [3, 4, 0]) {
    assertEquals(three.allows(server), true);
    three.damage(server);
  }
  assertEquals([three.allows(1), three.allows(2), three.allows(0)], [false, false, true]);
  for (const server of [3, 4, 0]) three.lose(server);
  assertEquals([three.isQuorumLeft, three.isQuorumSound], [true, true]);
  three.lose(1);
  assertEquals([three.isQuorumLeft, three.isQuorumSound], [false, false]);

  const apart = atlasOf(5, "s0 s1 s2", "s2 s3 s4");
  apart.damage(0);
  assertEquals([1, 2, 3, 4].map((server) => apart.allows(server)), [false, false, true, true]);
  const common = atlasOf(5, "s0 s1 s2", "s2 s3 s4");
  common.damage(2);
  assertEquals([0, 1, 3, 4].map((server) => common.allows(server)), [false, false, false, false]);
  // One that votes in a change that may yet be made can't be spared, though it can be today.
  assertEquals(atlasOf(3, "s0 s1 s2", "s0 s1").allows(1), false);
  assertEquals(atlasOf(3, "s0 s1 s2", "s0 s1").allows(2), true);
});

/** A configuration that knows each of these servers by a disk of its name. */
function known(servers: string): Configuration {
  const { servers: all, ...rest } = configuration(servers);
  return { ...rest, servers: all.map((server) => ({ ...server, disk: { incarnation: server.id, starts: 1 } })) };
}

/** Five servers, the first of which have these logs; all that the first has is committed. */
function atlasWith(sets: string, ...logs: ChainLog[]): Atlas {
  const ghost = ghostOf(5, logs[0]!);
  for (const [i, log] of logs.entries()) ghost.disks.get(`s${i}`)!.log = log;
  return new Atlas(5, false, ghost, () => [sets.split(" ")]);
}

test("Atlas: a disk may be replaced where all who may decide can tell, whoever else there is", () => {
  const other = { incarnation: "other", starts: 1 };
  const three = known("s0 s1 s2");
  const allows = (sets: string, ...logs: ChainLog[]) => atlasWith(sets, ...logs).allowsReplacement(2, other);
  const [full, empty] = [() => logWith(three), () => new ChainLog()];
  assertEquals(allows("s0 s1 s2", full(), full(), full()), true);
  assertEquals(allows("s0 s1 s2", full(), empty(), full()), false, "a voter can't tell");
  assertEquals(allows("s0 s1 s2 s3", full(), full(), full()), false, "one that is to vote can't tell");
  // Nobody knows it any more.
  assertEquals(allows("s0 s1", logWith(three, known("s0 s1")), full(), full()), false);
});

test("Atlas: no disk is replaced before there are servers that may decide", () => {
  const other = { incarnation: "other", starts: 1 };
  const allows = (...sets: string[][]) =>
    new Atlas(3, false, ghostOf(3, logWith()), () => sets).allowsReplacement(2, other);
  assertEquals([allows(), allows([])], [false, true]);
});

test("Atlas: no disk is replaced where those with an earlier configuration could then go on by that", () => {
  const other = { incarnation: "other", starts: 1 };
  const [four, five] = [known("s0 s1 s2 s3"), known("s0 s1 s2 s3 s4")];
  const [now, before] = [() => logWith(four, five), () => logWith(four)];
  const allows = (...logs: ChainLog[]) => atlasWith("s0 s1 s2 s3 s4", ...logs).allowsReplacement(2, other);
  assertEquals(allows(now(), now(), now(), before(), now()), true);
  // With the one that has forgotten these are three of the four that decided before.
  assertEquals(allows(now(), before(), now(), before(), now()), false);
});

test("disks rot where servers come and go, and what is lost is had from others", async () => {
  const faults = ["rot", "kill", "power", "partition"] as const;
  let [damaged, repaired] = [0, 0];
  for (let seed = 0; seed < 24; seed++) {
    const { violation, marks, script } = await runSeed(seed, {
      steps: 2000,
      store: "wal",
      faults,
      moving: { idlers: false },
    });
    if (violation !== undefined) throw violation;
    if (script.decisions.some((it) => "action" in it && it.action.type === "damage")) damaged++;
    repaired += marks["damage-repaired"]!;
  }
  assertGreater(damaged, 12);
  assertGreater(repaired, 0);
}, { runtimes: ["deno"], timeoutMs: 240_000 });

test("seeds draw rot with servers that come and go, also beyond what can be survived", () => {
  let [both, beyond] = [0, 0];
  for (let seed = 0; seed < 600; seed++) {
    const { moving, faults } = drawConfig(Random.seeded(seed));
    if (moving === undefined) continue;
    if (faults.includes("rot") || faults.includes("rot-in-snapshots")) both++;
    if (faults.includes("rot-beyond")) beyond++;
  }
  assertGreater(both, 10);
  assertGreater(beyond, 1);
});

/** What is found in runs in which servers come and go and more may be damaged than can be survived, and how many halt. */
async function damagedBeyond(seeds: number, distort?: Distortion): Promise<[found: Set<string>, halts: number]> {
  const faults = ["rot-beyond", "power", "kill", "partition"] as const;
  const found = new Set<string>();
  let halts = 0;
  for (let seed = 1000; seed < 1000 + seeds; seed++) {
    const moving = { voters: 3, idlers: false };
    const { violation, hasHalted } = await runSeed(seed, { steps: 2000, store: "wal", faults, moving, distort });
    if (distort === undefined && violation !== undefined) throw violation;
    if (violation !== undefined) found.add(violation.invariant);
    if (hasHalted) halts++;
    if (found.has("D2")) break;
  }
  return [found, halts];
}

test("servers that come and go halt where none of them could be elected by any that it knows", async () => {
  const [, halts] = await damagedBeyond(20);
  assertGreater(halts, 1);
}, { runtimes: ["deno"], timeoutMs: 240_000 });

test("D2: … unless one of them forgets what is damaged, and leads", async () => {
  const [found] = await damagedBeyond(20, (state, event, now, step) => {
    state.damaged = [];
    return step(event, now);
  });
  assert(found.has("D2"), [...found].join());
}, { runtimes: ["deno"], timeoutMs: 240_000 });

test("servers that get other disks where servers come and go are re-admitted, or removed, and do no harm", async () => {
  const faults = ["wipe"] as const;
  let [replaced, readmitted] = [0, 0];
  for (let seed = 0; seed < 8; seed++) {
    const moving = { voters: 5, chance: 0.02 };
    const { violation, marks } = await runSeed(seed, { steps: 3000, servers: 7, store: "wal", faults, moving });
    if (violation !== undefined) throw violation;
    replaced += marks["disk-replaced"]! + marks["disk-older"]!;
    readmitted += marks["server-readmitted"]!;
  }
  assertGreater(replaced, 1);
  assertGreater(readmitted, 0);
}, { runtimes: ["deno"], timeoutMs: 240_000 });
