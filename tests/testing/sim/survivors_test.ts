import { assertEquals } from "@std/assert";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { canBeLed, type Cluster, lostEntries, mightBeLed, type Survivor } from "../../../src/testing/sim/survivors.ts";
import { test } from "../../harness.ts";
import { configuration } from "../../core/states.ts";

/** How a server is: the terms of its log, what of it is damaged, what its snapshot includes, whether it never starts. */
interface Given {
  readonly terms: readonly number[];
  readonly damaged?: readonly number[];
  readonly snapshot?: number;
  readonly isLost?: boolean;
  /** What is on its way to its disk. */
  readonly memory?: readonly number[];
}

const logOf = (terms: readonly number[]) => {
  const log = new ChainLog();
  for (const [i, term] of terms.entries()) log.add(term, i);
  return log;
};

/** A cluster that has committed these entries. */
function cluster(committed: readonly number[], ...given: readonly Given[]): Cluster {
  const ghost = new Ghost();
  const log = logOf(committed);
  for (const [i, term] of committed.entries()) {
    ghost.commits.push({ term, hash: log.hashAt(i + 1), committedIn: term, sets: [] });
  }
  const servers = given.map(({ terms, damaged = [], snapshot = 0, memory }, index): Survivor => ({
    id: `s${index}`,
    index,
    disk: { term: 9, votedFor: undefined, log: logOf(terms), snapshot, damaged: new Set(damaged) },
    life: memory && { log: logOf(memory) },
  }));
  return { ghost, servers, plague: { atlas: { isLost: (index) => given[index]!.isLost === true } } };
}

const isLed = (...given: readonly Given[]) => {
  const all = cluster([], ...given);
  return canBeLed(all, all.servers);
};

test("canBeLed: by a server whose log is whole and reaches as far as those of a majority", () => {
  const whole: Given = { terms: [1, 1, 2] };
  assertEquals(isLed(whole, whole, whole), true);
  assertEquals(isLed(whole, { ...whole, damaged: [2] }, { ...whole, damaged: [2] }), true);
  assertEquals(isLed({ ...whole, damaged: [2] }, { ...whole, damaged: [2] }, { ...whole, damaged: [1] }), false);
  // Of each entry there is a copy, and the whole log is too short for the others.
  const short: Given = { terms: [1, 1] };
  assertEquals(isLed(short, { ...whole, damaged: [1] }, { ...whole, damaged: [2] }), false);
  assertEquals(isLed(short, { ...whole, damaged: [1] }, short), true);
  assertEquals(isLed({ terms: [1, 1, 1, 1] }, { ...whole, damaged: [1] }, { ...whole, damaged: [1] }), false);
});

test("canBeLed: only those count that are up, known by their disk, and asked about", () => {
  const whole: Given = { terms: [1] };
  const lost: Given = { terms: [1], isLost: true };
  assertEquals([isLed(whole, whole, lost), isLed(whole, lost, lost)], [true, false]);
  const all = cluster([], whole, whole, { terms: [1], damaged: [1] });
  const [a, b, c] = all.servers;
  assertEquals([canBeLed(all, [a!, c!]), canBeLed(all, [a!])], [true, false]);
  all.ghost.forgetful.set(b!.id, { disks: new Set(), current: new Set(), doubled: new Set(), since: 0, looked: 0 });
  assertEquals([canBeLed(all, [a!, c!]), canBeLed(all, [b!, c!])], [true, false]);
});

test("canBeLed: what is on its way to a disk makes a log longer", () => {
  assertEquals(isLed({ terms: [1] }, { terms: [1], damaged: [1] }), true);
  assertEquals(isLed({ terms: [1] }, { terms: [1], damaged: [1], memory: [1, 1] }), false);
});

/** Servers s0, s1 … each with these configurations in the place of its first entries. */
function movers(...given: readonly (Given & { readonly knows: readonly string[] })[]): Cluster {
  const all = cluster([], ...given);
  for (const [i, { disk }] of all.servers.entries()) {
    const log = new ChainLog();
    for (const [at, term] of given[i]!.terms.entries()) {
      log.add(term, at);
      const servers = given[i]!.knows[at];
      if (servers !== undefined) log.configure(at + 1, configuration(servers));
    }
    disk.log = log;
  }
  return all;
}

test("mightBeLed: by a server whose log is whole and reaches as far as those of the voters that it goes by", () => {
  const [three, knows] = [[1, 1, 1], ["s0 s1 s2"]];
  const [whole, bad] = [{ terms: three, knows }, { terms: three, knows, damaged: [2] }];
  const short = { terms: [1, 1], knows };
  const spare = { terms: [], knows: [] };
  assertEquals(mightBeLed(movers(whole, bad, bad, spare)), true);
  assertEquals(mightBeLed(movers(bad, bad, bad, spare)), false, "who has nothing leads nobody");
  assertEquals(mightBeLed(movers(short, bad, bad, spare)), false);
  // Whoever has no vote any more, or not yet, may lead by those that have.
  const removed = { terms: three, knows: ["s0 s1"] };
  assertEquals([mightBeLed(movers(bad, bad, removed)), mightBeLed(movers(bad, short, removed))], [true, true]);
  const lost = { ...bad, isLost: true };
  assertEquals([mightBeLed(movers(lost, bad, removed)), mightBeLed(movers(lost, bad, whole))], [false, true]);
  assertEquals(mightBeLed(movers({ ...whole, isLost: true }, bad, bad)), false);
});

test("mightBeLed: by both halves of a joint configuration, the last one in its log", () => {
  const terms = [1, 1, 1];
  const bad = { terms, knows: ["s0 s1 s2"], damaged: [1] };
  const led = (knows: readonly string[], ...others: Given[]) => {
    return mightBeLed(movers({ terms, knows }, ...others.map((other) => ({ ...bad, ...other }))));
  };
  const gone = { ...bad, isLost: true };
  assertEquals(led(["s0 s1 / s0 s2 s3"], bad, bad, gone), true);
  assertEquals(led(["s0 s1 / s0 s2 s3"], bad, gone, gone), false);
  assertEquals(led(["s0 s1 / s0 s2 s3", "s0 s1"], bad, gone, gone), true);
});

test("lostEntries: committed ones of which no whole copy is left, in a log or in a snapshot", () => {
  const terms = [1, 1, 1];
  const lost = (...given: readonly Given[]) => lostEntries(cluster(terms, ...given));
  assertEquals(lost({ terms, damaged: [1] }, { terms, damaged: [2] }), 0);
  assertEquals(lost({ terms, damaged: [1, 2] }, { terms, damaged: [2] }), 1);
  assertEquals(lost({ terms, damaged: [1, 2] }, { terms, damaged: [2], snapshot: 2 }), 0);
  assertEquals(lost({ terms, damaged: [1, 2] }, { terms, isLost: true }), 2);
  assertEquals(lost({ terms: [1, 1, 2] }), 1, "another entry is no copy");
});
