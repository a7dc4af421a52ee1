/**
 * A log in a key-value database whose values are lost or changed.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { isDamaged } from "../../src/damage.ts";
import { CorruptionError, DamagedEntryError } from "../../src/errors.ts";
import { bytesOf, type Kv, type KvKey } from "../../src/store/kv/kv.ts";
import { kvLog } from "../../src/store/kv/kv_store.ts";
import { decodeText, encodeText } from "../../src/store/kv/kv_text.ts";
import type { Store, StoreState } from "../../src/store/store.ts";
import { StoreModel } from "../../src/testing/conformance/store_model.ts";
import { sizedCommands } from "../../src/testing/conformance/store_support.ts";
import { KvSwitch, MemoryKv } from "../../src/testing/memory_kv.ts";
import { Random } from "../../src/testing/sim/random.ts";
import { commandsOf, textsOf } from "../../src/testing/store_cases.ts";
import { test } from "../harness.ts";
import { damageEntry, keyOfEntry } from "./kv_damage.ts";

const prefix = ["raft"];

const logOn = (kv: Kv): Store => kvLog(kv, { prefix, closes: false });

const entryKeys = (kv: MemoryKv): KvKey[] => kv.keys.filter((key) => key[1] === "log");

/** A closed log, and what it holds. */
async function filled(kv: MemoryKv, ...writes: Parameters<Store["write"]>[0][]): Promise<StoreModel> {
  const store = logOn(kv);
  await store.open("a");
  let model = new StoreModel();
  for (const write of writes) {
    await store.write(write);
    model = model.after(write);
  }
  await store.close();
  return model;
}

/** Five entries of terms 1, 1, 2, 3 and 3. */
const fiveEntries = (kv: MemoryKv) =>
  filled(kv, { records: [commandsOf(1, 1, "a", "b"), commandsOf(3, 2, "c"), commandsOf(4, 3, "d", "e")] });

async function remove(kv: Kv, index: number): Promise<void> {
  await kv.atomic().delete(await keyOfEntry(kv, prefix, index)).commit();
}

const rangesOf = ({ damaged }: StoreState) =>
  damaged.map(({ from, end, isTermKnown }) => `${from}-${end - 1}${isTermKnown ? "" : "?"}`).join(" ");

test("kvLog() names entries whose keys are gone; of those between two terms the next one, whose term it knows, is the last", async () => {
  for (
    const [gone, expected, terms] of [
      [[2], "2-3?", [1, 2, 2, 3, 3]],
      [[1], "1-1", [1, 1, 2, 3, 3]],
      [[1, 2], "1-3?", [2, 2, 2, 3, 3]],
      [[4], "4-5?", [1, 1, 2, 3, 3]],
      [[5], "5-5", [1, 1, 2, 3, 3]],
      [[4, 5], "4-5?", [1, 1, 2, 3, 3]],
      [[3, 4, 5], "3-5?", [1, 1, 3, 3, 3]],
      [[1, 2, 3, 4, 5], "1-5?", [3, 3, 3, 3, 3]],
    ] as const
  ) {
    const kv = new MemoryKv();
    const model = await fiveEntries(kv);
    for (const index of gone) await remove(kv, index);
    const store = logOn(kv);
    const state = await store.open("a");
    assertEquals([rangesOf(state), state.firstIndex, state.lastIndex], [expected, 1, 5], `${gone}`);
    assertEquals([1, 2, 3, 4, 5].map((at) => state.terms.findLast(({ from }) => from <= at)?.term), [...terms]);
    const [{ file, offset, detail }] = state.damaged;
    assertEquals([file, offset, detail], ["key-value database, raft, log", gone[0], "it is missing"]);
    const repairs = model.entries.filter(({ index }) => isDamaged(state.damaged, index)).map(({ record }) => record);
    await store.write({ records: [], repairs });
    await store.close();
    const again = logOn(kv);
    await model.checkAll(again, await again.open("a"), `${gone}`);
    await again.close();
  }
});

test("kvLog() finds damage while it is open, too: that entry alone can't be read until it is repaired", async () => {
  for (const harm of [damageEntry, (kv: Kv, _: KvKey, index: number) => remove(kv, index)]) {
    const kv = new MemoryKv();
    const store = logOn(kv);
    await store.open("a");
    const records = commandsOf(1, 1, "a", "b", "c");
    await store.write({ records: [records] });
    await harm(kv, prefix, 2);
    const read = async (from: number) => textsOf(await store.read(from, 4, 1_000)).join("");
    assertEquals([await read(1), await read(3)], ["a", "c"]);
    const error = await assertRejects(() => read(2), DamagedEntryError);
    assertEquals([error.index, error.offset], [2, 2]);
    assertStringIncludes(error.message, harm === damageEntry ? "payload's checksum is wrong" : "it is missing");
    await store.write({ records: [], repairs: [records.slice(2, 3)] });
    assertEquals(await read(1), "abc");
    await store.close();
  }
});

test("kvLog() looks once more at what seems damaged, when it starts and when it reads", async () => {
  const kv = new MemoryKv();
  const model = await fiveEntries(kv);
  let liesLeft = 0;
  const liar: Kv = {
    get: (key) => kv.get(key),
    async *list(range, options) {
      for await (const entry of kv.list(range, options)) {
        const isLie = entry.key[1] === "log" && entry.key[3] === 3 && liesLeft-- > 0;
        yield isLie ? { ...entry, value: bytesOf(entry)!.map((byte, i) => i === 48 ? byte ^ 1 : byte) } : entry;
      }
    },
    atomic: () => kv.atomic(),
    close: () => {},
  };
  for (const [lies, isDamaged] of [[1, false], [2, true]] as const) {
    liesLeft = lies;
    const store = logOn(liar);
    const state = await store.open("a");
    assertEquals(rangesOf(state), isDamaged ? "3-3" : "");
    await store.close();
    const other = logOn(liar);
    await model.checkAll(other, await other.open("a"), "an honest look");
    liesLeft = lies;
    const read = other.read(3, 4, 100);
    if (isDamaged) await assertRejects(() => Promise.resolve(read), DamagedEntryError);
    else assertEquals(textsOf(await read), ["c"]);
    await other.close();
  }
});

/** Does something to a random value. */
async function harm(kv: MemoryKv, random: Random): Promise<void> {
  const keys = entryKeys(kv);
  const [key, other] = [keys[random.below(keys.length)]!, keys[random.below(keys.length)]!];
  const [bytes, others] = [bytesOf(await kv.get(key))!, bytesOf(await kv.get(other))!];
  const cut = random.below(bytes.length + 1);
  const change = [
    () => kv.atomic().delete(key),
    () => kv.atomic().set(key, others),
    () => kv.atomic().set(key, bytes.slice(0, cut)),
    () => kv.atomic().set(key, new Uint8Array([...bytes.subarray(0, 65_000), 1])),
    () => kv.atomic().set(key, bytes.map((byte, i) => i === cut ? byte ^ (1 << random.below(8)) : byte)),
  ];
  await change[random.below(change.length)]!().commit();
}

/** A log of some terms with entries of one part and of several. */
async function sample(kv: MemoryKv, random: Random): Promise<StoreModel> {
  const store = logOn(kv);
  await store.open("a");
  let model = new StoreModel();
  for (let i = 0, term = 1; i < 6; i++, term += random.below(3)) {
    const sizes = Array.from({ length: 1 + random.below(4) }, () => random.below(5) === 0 ? 90_000 : random.below(60));
    const { firstIndex, lastIndex } = model;
    const truncateFrom = random.below(3) === 0 ? Math.max(firstIndex, lastIndex) : lastIndex + 1;
    const write = { truncateFrom, records: [sizedCommands(truncateFrom, term, ...sizes)] };
    await store.write(write);
    model = model.after(write);
  }
  await store.close();
  return model;
}

test("kvLog() is honest about any damage to any log: entries are what they were, or known to be damaged", async () => {
  let damagedCount = 0;
  for (let seed = 0; seed < 150; seed++) {
    const random = Random.seeded(seed);
    const kv = new MemoryKv();
    const model = await sample(kv, random);
    for (let i = 0; i <= random.below(4); i++) await harm(kv, random);
    const store = logOn(kv);
    const state = await store.open("a");
    const at = `seed ${seed}, ${rangesOf(state)}`;
    assertEquals([state.firstIndex, state.lastIndex], [model.firstIndex, model.lastIndex], at);
    for (const { index, record } of model.entries) {
      const range = state.damaged.find(({ from, end }) => from <= index && index < end);
      const found = state.terms.findLast(({ from }) => from <= index)!.term;
      const isKnown = range === undefined || range.isTermKnown || index === range.end - 1;
      assert(isKnown ? found === record.term(index) : found >= record.term(index), `${at}: term of ${index}`);
      if (range === undefined) assertEquals((await store.read(index, index + 1, 1))[0]!.bytes, record.bytes, at);
      else await assertRejects(async () => await store.read(index, index + 1, 1), DamagedEntryError);
    }
    const repairs = model.entries.filter(({ index }) => isDamaged(state.damaged, index)).map(({ record }) => record);
    damagedCount += repairs.length;
    await store.write({ records: [], repairs });
    await store.close();
    const again = logOn(kv);
    await model.checkAll(again, await again.open("a"), at);
    await again.close();
  }
  assert(damagedCount > 150, `${damagedCount}`);
});

test("kvLog() killed at every operation of a repair: entries are whole, or named again", async () => {
  const large = [200_000, 300_000, 400_000, 500_000];
  for (let operations = 0, isOver = false; !isOver; operations++) {
    const kv = new MemoryKv();
    const model = await filled(kv, { records: [sizedCommands(1, 1, ...large)] });
    for (const index of [1, 2, 4]) await damageEntry(kv, prefix, index);
    const line = new KvSwitch();
    const store = logOn(line.user(kv));
    await store.open("a");
    const count = line.operationCount;
    line.operationsLeft = operations;
    const repairs = [1, 2, 4].map((index) => model.entries[index - 1]!.record);
    isOver = await Promise.resolve(store.write({ records: [], repairs })).then(() => true, () => false);
    const again = logOn(kv);
    const state = await again.open("a");
    if (isOver) {
      assert(line.operationCount - count > 1, "it is done in several operations");
      await model.checkAll(again, state, "repaired");
    }
    for (const { index, record } of model.entries) {
      if (isDamaged(state.damaged, index)) continue;
      assertEquals((await again.read(index, index + 1, 1))[0]!.bytes, record.bytes, `after ${operations}`);
    }
    await again.close();
  }
});

test("kvLog() goes on with what the version before wrote; where that did not say of which term a lost last entry is, it refuses", async () => {
  for (const [gone, isRefused] of [[undefined, false], [2, false], [5, true]] as const) {
    const kv = new MemoryKv();
    const model = await fiveEntries(kv);
    const metaKey = [...prefix, "meta"];
    const { lastTerm: _, ...older } = decodeText(bytesOf(await kv.get(metaKey))!)!;
    await kv.atomic().set(metaKey, encodeText({ ...older, form: 1 })).commit();
    if (gone !== undefined) await remove(kv, gone);
    const store = logOn(kv);
    if (isRefused) {
      await assertRejects(() => store.open("a"), CorruptionError, "it is missing");
      continue;
    }
    const state = await store.open("a");
    assertEquals(rangesOf(state), gone === undefined ? "" : "2-3?");
    await store.write({ records: [], repairs: model.entries.map(({ record }) => record) });
    await store.close();
    await remove(kv, 5);
    const again = logOn(kv);
    assertEquals(rangesOf(await again.open("a")), "5-5");
    await again.close();
  }
});
