import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import fc from "fast-check";
import { bytesOf, restoreFrom, Restores } from "../../src/driver/restores.ts";
import { AbortedByRestoreError, DamagedEntryError, StorageError } from "../../src/errors.ts";
import { EntryType } from "../../src/types.ts";
import { encodeRecords, type Records } from "../../src/wire/record.ts";
import {
  decodeRestoreEntry,
  encodeRestoreEntry,
  RESTORE_HEAD_BYTES,
  type RestoreEntry,
  type RestoreKind,
} from "../../src/wire/restore_codec.ts";
import { test } from "../harness.ts";
import { drain } from "../virtual_environment.ts";
import { setUp } from "./played_peers.ts";
import { fromHex, toHex } from "../hex.ts";

const text = (value: string) => new TextEncoder().encode(value);

/** An entry of the restore `id` in a term; undefined is a command. */
type Entry = readonly [kind: RestoreKind, id: number, sequence: number, bytes?: string] | undefined;

function recordsOf(entries: readonly Entry[], from = 1, term = 1): Records {
  return encodeRecords(
    from,
    term,
    0,
    entries.map((entry) => {
      if (entry === undefined) return { type: EntryType.command, payload: text("command") };
      const [kind, id, sequence, bytes = ""] = entry;
      return { type: EntryType.restore, payload: encodeRestoreEntry({ kind, id, sequence, bytes: text(bytes) }) };
    }),
  );
}

/** Goes through the log, as an applier does; what comes of its last entry: what is restored, or how it is refused. */
async function outcomeOf(...logs: Records[]): Promise<string> {
  const restores = new Restores();
  let outcome = "nothing";
  for (const records of logs) {
    for (let index = records.from; index < records.end; index++) {
      restores.onTerm(records.term(index));
      if (records.type(index) !== EntryType.restore) continue;
      const verdict = restores.onEntry(records, index);
      if ("restore" in verdict) {
        const at = (index: number) => logs.find((some) => index >= some.from && index < some.end)!;
        outcome = await new Response(bytesOf(verdict.restore, index, at) as ReadableStream<Uint8Array<ArrayBuffer>>)
          .text();
      } else if (verdict.applied.ok) outcome = verdict.applied.value === false ? "refused" : "noted";
      else {
        assertInstanceOf(verdict.applied.error, AbortedByRestoreError);
        outcome = verdict.applied.error.outcome;
      }
    }
  }
  return restores.isOpen ? `${outcome}, open` : outcome;
}

for (
  const [what, entries, expected] of [
    ["its parts, in order", [["part", 7, 0, "a"], ["part", 7, 1, "b"], ["end", 7, 2]], "ab"],
    ["one empty part", [["part", 7, 0], ["end", 7, 1]], ""],
    [
      "parts with commands between",
      [["part", 7, 0, "a"], undefined, ["part", 7, 1, "b"], undefined, ["end", 7, 2]],
      "ab",
    ],
    ["the parts of one among those of another", [
      ["part", 6, 0, "x"],
      ["part", 7, 0, "a"],
      ["part", 6, 1, "y"],
      ["part", 7, 1, "b"],
      ["end", 7, 2],
    ], "ab"],
    ["a second attempt", [["part", 7, 0, "x"], ["given-up", 7, 0], ["part", 8, 0, "a"], ["end", 8, 1]], "a"],
    ["no part", [["end", 7, 0]], "not-applied"],
    ["a part too few", [["part", 7, 0, "a"], ["end", 7, 2]], "not-applied, open"],
    ["a part too many", [["part", 7, 0, "a"], ["part", 7, 1, "b"], ["end", 7, 1]], "not-applied, open"],
    ["the first part missing", [["part", 7, 1, "b"], ["end", 7, 2]], "not-applied"],
    ["a part left out", [["part", 7, 0, "a"], ["part", 7, 2, "c"], ["end", 7, 3]], "not-applied, open"],
    ["the end of another", [["part", 7, 0, "a"], ["end", 8, 1]], "not-applied, open"],
    ["one that another one replaced", [["part", 6, 0, "x"], ["part", 7, 0, "a"], ["end", 6, 1]], "not-applied, open"],
    ["one that was given up", [["part", 7, 0, "a"], ["given-up", 7, 0], ["end", 7, 1]], "not-applied"],
    ["another given up", [["part", 7, 0, "a"], ["given-up", 8, 0], ["end", 7, 1]], "a"],
    ["its end twice", [["part", 7, 0, "a"], ["end", 7, 1], ["end", 7, 1]], "not-applied"],
    ["parts alone", [["part", 7, 0, "a"], ["part", 7, 1, "b"]], "noted, open"],
    ["a part out of order", [["part", 7, 0, "a"], ["part", 7, 2, "c"]], "refused, open"],
  ] as readonly (readonly [string, readonly Entry[], string])[]
) {
  test(`Restores: ${what}: ${JSON.stringify(expected)}`, async () => {
    assertEquals(await outcomeOf(recordsOf(entries)), expected);
  });
}

test("Restores: an open one ends with the next leader, whose first entry says so", async () => {
  const parts = recordsOf([["part", 7, 0, "a"]]);
  assertEquals(await outcomeOf(parts, recordsOf([["end", 7, 1]], 2, 1)), "a");
  assertEquals(await outcomeOf(parts, recordsOf([["end", 7, 1]], 2, 2)), "not-applied");
  assertEquals(await outcomeOf(parts, recordsOf([undefined], 2, 2)), "noted");
  assertEquals(await outcomeOf(parts, recordsOf([undefined], 2, 2), recordsOf([["part", 7, 1, "b"]], 3, 2)), "refused");
});

test("Restores: what is given to a machine is no view of the log", async () => {
  const records = recordsOf([["part", 7, 0, "abc"]]);
  const before = records.bytes.slice();
  const stream = bytesOf({ id: 7, term: 1, from: 1, count: 1 }, 2, () => records);
  for await (const bytes of stream) bytes.fill(0);
  assertEquals(records.bytes, before);
});

test("restoreFrom() tells what the disk could not give, whatever the machine makes of it, and throws for anything else", async () => {
  const records = recordsOf([["part", 7, 0, "a"], ["part", 7, 1, "b"], ["end", 7, 2]]);
  const restore = { id: 7, term: 1, from: 1, count: 2 };
  const read = async (bytes: ReadableStream<Uint8Array>) => {
    for await (const _ of bytes);
  };
  const from = (machine: Parameters<typeof restoreFrom>[0], damage?: Error) => {
    const whole = records.slice(1, 2);
    return restoreFrom(machine, restore, 3, (index) => {
      return damage !== undefined && index > 1 ? Promise.reject(damage) : Promise.resolve(damage ? whole : records);
    });
  };
  assertEquals(await from({ restore: read }), undefined);
  const damage = new DamagedEntryError(2, "log", 0, "?");
  assertEquals(await from({ restore: read }, damage), damage);
  assertEquals(await from({ restore: (bytes) => read(bytes).catch(() => {}) }, damage), damage);
  const wrapped = (bytes: ReadableStream<Uint8Array>) => read(bytes).catch(() => Promise.reject(new Error("mine")));
  assertEquals(await from({ restore: wrapped }, damage), damage);
  await assertRejects(() => from({ restore: read }, new Error("gone")), StorageError, "gone");
  await assertRejects(() => from({ restore: () => Promise.reject(new Error("mine")) }), StorageError, "mine");
  await assertRejects(() => from({}), StorageError, "has no restore()");
});

test("an entry of a restore has these bytes", () => {
  const entry: RestoreEntry = { kind: "part", id: 2 ** 40 + 1, sequence: 3, bytes: Uint8Array.of(9, 8) };
  const hex = "0000000000000000" + "0100000000010000" + "0300000000000000" + "0908";
  assertEquals(toHex(encodeRestoreEntry(entry)), hex);
  assertEquals(decodeRestoreEntry(fromHex(hex)), entry);
  for (const kind of ["end", "given-up"] as const) {
    const other = { kind, id: 1, sequence: 2, bytes: new Uint8Array() };
    assertEquals(decodeRestoreEntry(encodeRestoreEntry(other)), other);
  }
});

test("decodeRestoreEntry() takes no bytes for an entry that are none, and survives any", () => {
  const good = encodeRestoreEntry({ kind: "end", id: 1, sequence: 2, bytes: new Uint8Array() });
  for (let length = 0; length < RESTORE_HEAD_BYTES; length++) {
    assertEquals(decodeRestoreEntry(good.subarray(0, length)), undefined);
  }
  const changed = (at: number, value: number) => decodeRestoreEntry(good.map((byte, i) => i === at ? value : byte));
  // An unknown kind, what is reserved, numbers beyond what is safe.
  for (const [at, value] of [[0, 3], [1, 1], [4, 1], [7, 1], [15, 1], [14, 0x20], [23, 1]] as const) {
    assertEquals(changed(at, value), undefined, `byte ${at}`);
  }
  assertEquals(decodeRestoreEntry(Uint8Array.of(...good, 1)), undefined);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void decodeRestoreEntry(bytes)));
});

test("a log keeps the parts of a restore that is not over, whatever is applied and in a snapshot (S4)", async () => {
  const { observed, append, receive, raft, stop } = await setUp();
  await append("b", { end: 4, commitIndex: 2 }, 2, 3);
  const entries = (["part", "part", "given-up"] as const).map((kind, sequence) => {
    const bytes = kind === "part" ? Uint8Array.of(sequence) : new Uint8Array();
    return { type: EntryType.restore, flags: 0, payload: encodeRestoreEntry({ kind, id: 7, sequence, bytes }) };
  });
  const request = {
    type: "append-request" as const,
    ...{ term: 2, sequence: 2, prevIndex: 3, prevTerm: 2, end: 7, runs: [], configurations: [], round: 2 },
    isLeased: false,
  };
  receive("b", { ...request, commitIndex: 5 }, [encodeRecords(4, 2, 0, entries).bytes]);
  await drain();
  // What the core knows is how far the log may be compacted.
  assertEquals([raft.appliedIndex, observed.core!.state.appliedIndex], [5, 3]);
  await append("b", { sequence: 3, prevIndex: 6, prevTerm: 2, end: 7, commitIndex: 6, round: 3 });
  assertEquals([raft.appliedIndex, observed.core!.state.appliedIndex], [6, 6]);
  await stop();
});
