import { assertEquals } from "@std/assert";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { Eras } from "../../../src/testing/sim/eras.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { bytesOfContent } from "../../../src/testing/sim/machine.ts";
import { EntryType } from "../../../src/types.ts";
import { encodeRecords } from "../../../src/wire/record.ts";
import { encodeRestoreEntry, type RestoreEntry } from "../../../src/wire/restore_codec.ts";
import { test } from "../../harness.ts";

const [first, second] = [5, 6].map((hash) => bytesOfContent({ hash, states: new Map([["k", `${hash}:v`]]) }));
const half = first!.length >> 1;

const part = (id: number, sequence: number, bytes: Uint8Array = new Uint8Array(0)): RestoreEntry => {
  return { kind: "part", id, sequence, bytes };
};
const end = (id: number, sequence: number): RestoreEntry => ({ kind: "end", id, sequence, bytes: new Uint8Array(0) });
const givenUp = (id: number): RestoreEntry => ({ kind: "given-up", id, sequence: 0, bytes: new Uint8Array(0) });

/** Where eras begin, in a log of these entries: a number begins a term, and undefined is any other entry. */
function erasOf(entries: readonly (RestoreEntry | number | undefined)[]): readonly (readonly [number, number])[] {
  const eras = new Eras(new Ghost());
  let [term, index] = [1, 0];
  for (const entry of entries) {
    if (typeof entry === "number") term = entry;
    else eras.onCommitted(++index, term, entry, 1);
  }
  return eras.restored.map(({ from, state }) => [from, state]);
}

const logs: Readonly<Record<string, readonly [log: readonly (RestoreEntry | number | undefined)[], eras: unknown]>> = {
  "all parts and an end": [[part(1, 0, first!.slice(0, half)), undefined, part(1, 1, first!.slice(half)), end(1, 2)], [[
    4,
    5,
  ]]],
  "an end without a part": [[end(1, 0)], []],
  "an end that knows of more parts": [[part(1, 0, first), end(1, 2)], []],
  "an end of another restore": [[part(1, 0, first), end(2, 1)], []],
  "an end by another leader": [[part(1, 0, first), 2, end(1, 1)], []],
  "parts that another leader's entry follows": [[part(1, 0, first), 2, undefined, part(1, 1), end(1, 2)], []],
  "parts that were given up": [[part(1, 0, first), givenUp(1), end(1, 1)], []],
  "parts of which others were given up": [[part(1, 0, first), givenUp(2), end(1, 1)], [[3, 5]]],
  "parts that another restore began after": [[part(1, 0, first), part(2, 0, second), end(1, 1), end(2, 1)], [[4, 6]]],
  "two restores": [[part(1, 0, first), end(1, 1), undefined, part(2, 0, second), end(2, 1)], [[2, 5], [5, 6]]],
};

for (const [what, [log, expected]] of Object.entries(logs)) {
  test(`sim eras: ${what}: ${JSON.stringify(expected)}`, () => assertEquals(erasOf(log), expected));
}

test("sim eras: every entry is in one, and a restore is the first of its own", () => {
  const eras = new Eras(new Ghost());
  const log = [undefined, part(1, 0, first), end(1, 1), undefined];
  for (const [i, entry] of log.entries()) eras.onCommitted(i + 1, 1, entry, i);
  assertEquals([0, 1, 2, 3, 4, 100].map((index) => eras.of(index)), [0, 0, 0, 1, 1, 1]);
  assertEquals([eras.at(0).states.get("k"), eras.at(1).states.get("k"), eras.at(1).event], [undefined, "5:v", 2]);
});

/** The invariant that breaks when the state 5 is restored, after what callers were told. */
function told(play: (eras: Eras) => void, isRestored = true): string | undefined {
  const ghost = new Ghost();
  play(ghost.eras);
  if (isRestored) {
    for (const [i, entry] of [part(1, 0, first), end(1, 1)].entries()) {
      ghost.eras.onCommitted(i + 1, 1, entry, 9);
    }
  }
  return ghost.violation?.invariant;
}

test("sim eras: K5: what is restored was given, and nobody who gave it was told that it is not", () => {
  assertEquals(told((eras) => eras.give(5, 1)), undefined);
  assertEquals(told(() => {}), "K5");
  assertEquals(told((eras) => eras.give(6, 1)), "K5");
  const refused = (eras: Eras) => {
    eras.give(5, 1);
    eras.refuse(5);
  };
  assertEquals([told(refused), told(refused, false)], ["K5", undefined]);
  const twice = (eras: Eras) => {
    refused(eras);
    eras.give(5, 1);
  };
  assertEquals(told(twice), undefined);
  const ghost = new Ghost();
  ghost.eras.give(5, 3);
  for (const [i, entry] of [part(1, 0, first), end(1, 1)].entries()) ghost.eras.onCommitted(i + 1, 1, entry, 9);
  assertEquals([ghost.violation, ghost.eras.givenAt(ghost.eras.at(1))], [undefined, 3]);
  ghost.eras.refuse(5);
  assertEquals(ghost.violation?.invariant, "K5");
});

test("sim eras: K3: whose restore is acknowledged finds it there", () => {
  for (const [index, state] of [[2, 5], [1, 5], [2, 6]] as const) {
    const ghost = new Ghost();
    ghost.eras.give(5, 1);
    for (const [i, entry] of [part(1, 0, first), end(1, 1)].entries()) ghost.eras.onCommitted(i + 1, 1, entry, 9);
    ghost.eras.acknowledge(index, state);
    assertEquals(ghost.violation?.invariant, index === 2 && state === 5 ? undefined : "K3");
  }
});

test("sim eras: a log knows its restores, in whatever way it comes to have them", () => {
  const payload = encodeRestoreEntry(part(1, 0, first));
  const command = { type: EntryType.command, payload: new Uint8Array(1) };
  const records = encodeRecords(1, 1, 0, [{ type: EntryType.restore, payload }, command]);
  const log = new ChainLog();
  log.append(records);
  const filled = new ChainLog();
  filled.fill(log, 3);
  const added = new ChainLog();
  added.appendFrom(log, 3);
  for (const it of [log, filled, added, log.clone()]) {
    assertEquals([it.restoreAt(1), it.restoreAt(2)], [part(1, 0, first), undefined]);
    const copy = it.clone();
    copy.truncateFrom(2);
    assertEquals(copy.restoreAt(1)?.id, 1);
    copy.truncateFrom(1);
    assertEquals([copy.restoreAt(1), it.restoreAt(1)?.id], [undefined, 1]);
  }
});
