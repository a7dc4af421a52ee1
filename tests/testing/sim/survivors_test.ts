import { assertEquals } from "@std/assert";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { canBeLed, type Cluster, lostEntries, type Survivor } from "../../../src/testing/sim/survivors.ts";
import { test } from "../../harness.ts";

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

test("lostEntries: committed ones of which no whole copy is left, in a log or in a snapshot", () => {
  const terms = [1, 1, 1];
  const lost = (...given: readonly Given[]) => lostEntries(cluster(terms, ...given));
  assertEquals(lost({ terms, damaged: [1] }, { terms, damaged: [2] }), 0);
  assertEquals(lost({ terms, damaged: [1, 2] }, { terms, damaged: [2] }), 1);
  assertEquals(lost({ terms, damaged: [1, 2] }, { terms, damaged: [2], snapshot: 2 }), 0);
  assertEquals(lost({ terms, damaged: [1, 2] }, { terms, isLost: true }), 2);
  assertEquals(lost({ terms: [1, 1, 2] }), 1, "another entry is no copy");
});
