import { assertEquals, assertRejects } from "@std/assert";
import { ReadAhead } from "../../src/driver/read_ahead.ts";
import { EntryType } from "../../src/types.ts";
import { encodeRecords } from "../../src/wire/record.ts";
import { test } from "../harness.ts";
import { drain } from "../virtual_environment.ts";
import { ManualStore } from "./stores.ts";

/** A reader of three entries, of which no two are read at once. */
async function setUp() {
  const store = new ManualStore();
  await store.open("a");
  const payload = new Uint8Array(700_000);
  const entries = Array.from({ length: 3 }, () => ({ type: EntryType.command, flags: 1, payload }));
  store.inner.write({ records: [encodeRecords(1, 1, 0, entries)] });
  store.slowReads = true;
  const reader = new ReadAhead(store);
  const asked = () => store.reads.map(([from]) => from);
  /** Lets the disk answer what it was asked first and has not answered yet. */
  const answer = async () => {
    store.reading.shift()!.resolve();
    await drain();
  };
  const read = async (from: number, end = 4) => {
    const found = await reader.read(from, end);
    return found.map((records) => records.from);
  };
  return { store, reader, asked, answer, read };
}

test("ReadAhead.read() has the next piece read while the last one is used", async () => {
  const { reader, asked, answer, read } = await setUp();
  const first = read(1);
  await answer();
  assertEquals(await first, [1]);
  assertEquals(asked(), [1, 2]);
  const second = read(2);
  assertEquals(asked(), [1, 2], "it is on its way");
  await answer();
  assertEquals(await second, [2]);
  assertEquals(reader.hasWaited, true);
  assertEquals(asked(), [1, 2, 3]);
});

test("ReadAhead.read() asks for nothing at or beyond the end", async () => {
  const { asked, answer, read } = await setUp();
  const first = read(1, 2);
  await answer();
  assertEquals(await first, [1]);
  assertEquals(asked(), [1]);
});

test("ReadAhead.read() asks again for what could not be read ahead, and says why it can't", async () => {
  const { store, asked, answer, read } = await setUp();
  const first = read(1);
  await answer();
  await first;
  store.reading.shift()!.reject(new Error("gone"));
  const second = read(2);
  await drain();
  assertEquals(asked(), [1, 2, 2]);
  store.reading.shift()!.reject(new Error("gone for good"));
  await assertRejects(() => second, Error, "gone for good");
});

test("ReadAhead.read() uses nothing that was read for another entry, or forgotten", async () => {
  const { reader, asked, answer, read } = await setUp();
  const first = read(1);
  await answer();
  await first;
  const other = read(3);
  await answer();
  await answer();
  assertEquals(await other, [3]);
  const again = read(1);
  await answer();
  await again;
  reader.forget();
  const second = read(2);
  await answer();
  await answer();
  assertEquals(await second, [2]);
  assertEquals(asked(), [1, 2, 3, 1, 2, 2, 3]);
});

test("ReadAhead.read() of a store that has all in memory reads nothing ahead", async () => {
  const { store, reader, asked, read } = await setUp();
  store.slowReads = false;
  assertEquals(await read(1), [1]);
  assertEquals(reader.hasWaited, false);
  assertEquals(asked(), [1]);
});
