/**
 * States as rows of small numbers, the same for states that can't be told apart. Whatever fields a core or a message has
 * are in its row: what must not tell states apart (times, the generator, counters) was made the same before.
 *
 * A row can be made as if the servers had other names. The core never compares names, so states that differ in names
 * alone have the same future, and the explorer looks at one of them.
 *
 * @module
 */
import type { ServerId } from "../../src/types.ts";
import { type Disk, type Entry, type Ghost, type Local, names, type Packet, type Write } from "./model.ts";

/** New names: server `i` is called `to[i]`, and `from` is the way back. */
export interface Renaming {
  readonly to: readonly number[];
  readonly from: readonly number[];
}

/** All renamings of so many servers; the first changes nothing. */
export function renamings(count: number): Renaming[] {
  const all: Renaming[] = [];
  const visit = (to: number[]) => {
    if (to.length === count) all.push({ to, from: to.map((_, i) => to.indexOf(i)) });
    for (let i = 0; i < count; i++) if (!to.includes(i)) visit([...to, i]);
  };
  visit([]);
  return all;
}

/** The same in all states of one exploration. */
const constant: ReadonlySet<string> = new Set(["settings", "random"]);

// Every number below these stands for itself; each of these says what follows.
const idBase = 60_000;
const nobody = idBase + 99;
const tags = { undefined: 60_100, false: 60_101, true: 60_102, array: 60_103, map: 60_104, record: 60_105 } as const;
const textTag = 60_106;
const numberTag = 60_107;

const hashes = new Map<string, number>();

/** The same for a text in every run: the order in which texts are met must not show. */
function hashOf(text: string): number {
  const known = hashes.get(text);
  if (known !== undefined) return known;
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hashes.set(text, hash >>> 0);
  return hash >>> 0;
}

const keySets = new Map<number, { readonly keys: readonly string[]; readonly hash: number }[]>();

/** The same for records of the same fields: there are few kinds, and all too many records to read their names each time. */
function hashOfKeys(keys: readonly string[]): number {
  let alike = keySets.get(keys.length);
  if (alike === undefined) keySets.set(keys.length, alike = []);
  for (const known of alike) if (known.keys.every((key, i) => key === keys[i])) return known.hash;
  const hash = hashOf(keys.join());
  alike.push({ keys, hash });
  return hash;
}

/** Writes rows. */
export class Encoder {
  readonly row: number[] = [];
  #names: Renaming;

  constructor(names: Renaming) {
    this.#names = names;
  }

  /** Starts anew under these names. */
  begin(names: Renaming): void {
    this.row.length = 0;
    this.#names = names;
  }

  #id(id: ServerId | undefined): void {
    this.row.push(id === undefined ? nobody : idBase + this.#names.to[id.charCodeAt(0) - 97]!);
  }

  #entries(entries: readonly Entry[]): void {
    this.row.push(entries.length);
    for (const entry of entries) {
      const who = entry & 63;
      this.row.push(who < 16 ? entry - who + this.#names.to[who]! : entry);
    }
  }

  /** A server. */
  local({ core, log, disk, writes, verified, acknowledged }: Local): void {
    const { row } = this;
    this.#id(core.id);
    row.push(verified, acknowledged.term, acknowledged.index);
    this.#entries(log);
    this.#disk(disk);
    row.push(writes.length);
    for (const write of writes) this.#write(write);
    this.value(core);
  }

  /** Anything made of plain records, arrays, and maps by server. */
  value(value: unknown): void {
    const { row } = this;
    switch (typeof value) {
      case "number":
        return this.#number(value);
      case "string":
        return this.#text(value);
      case "boolean":
        row.push(value ? tags.true : tags.false);
        return;
      case "undefined":
        row.push(tags.undefined);
        return;
      case "object":
        if (Array.isArray(value)) return this.#array(value);
        if (value instanceof Map) return this.#map(value);
        if (value !== null) return this.#record(value as Record<string, unknown>);
    }
    throw new TypeError(`a state must be plain data, not ${String(value)}`);
  }

  #number(value: number): void {
    const { row } = this;
    if (Number.isInteger(value) && value >= 0 && value < idBase) row.push(value);
    else if (!Number.isFinite(value)) row.push(numberTag, value > 0 ? 1 : 0);
    else this.#wide(value);
  }

  #wide(value: number): void {
    const hash = hashOf(`${value}`);
    this.row.push(numberTag, 2, hash >>> 16, hash & 0xffff);
  }

  #text(value: string): void {
    if (value.length === 1 && names.includes(value)) return this.#id(value);
    const hash = hashOf(value);
    this.row.push(textTag, hash >>> 16, hash & 0xffff);
  }

  /** In order, but for servers of a configuration: those stand in the order of their new names. */
  #array(items: readonly unknown[]): void {
    this.row.push(tags.array, items.length);
    const ids = items.map((item) => typeof item === "object" && item !== null && "id" in item ? item.id : undefined);
    if (items.length < 2 || !ids.every((id) => names.includes(id as ServerId))) {
      for (const item of items) this.value(item);
      return;
    }
    for (const server of this.#names.from) {
      const at = ids.indexOf(names[server]);
      if (at >= 0) this.value(items[at]);
    }
  }

  #map(map: ReadonlyMap<unknown, unknown>): void {
    this.row.push(tags.map, map.size);
    let found = 0;
    for (const server of this.#names.from) {
      const item = map.get(names[server]);
      if (item === undefined) continue;
      found++;
      this.#id(names[server]);
      this.value(item);
    }
    if (found !== map.size) throw new TypeError("a map of a state must be by server");
  }

  #record(fields: Readonly<Record<string, unknown>>): void {
    const keys = Object.keys(fields);
    const hash = hashOfKeys(keys);
    this.row.push(tags.record, hash >>> 16, hash & 0xffff);
    for (const key of keys) {
      if (key === "withheld") this.#unordered(fields[key] as unknown[]);
      else if (!constant.has(key)) this.value(fields[key]);
    }
  }

  /** Messages that leave together: the network keeps no order. */
  #unordered(items: readonly unknown[]): void {
    const { row } = this;
    const start = row.length;
    const rows = items.map((item) => {
      this.value(item);
      return row.splice(start);
    });
    rows.sort(compareRows);
    row.push(tags.array, rows.length, ...rows.flat());
  }

  #disk({ term, votedFor, log }: Disk): void {
    this.row.push(term);
    this.#id(votedFor);
    this.#entries(log);
  }

  #write(write: Write): void {
    const { row } = this;
    if (write.type === "vote") {
      row.push(1, write.sequence, write.term);
      this.#id(write.votedFor);
    } else if (write.type === "truncate") {
      row.push(2, write.from);
    } else {
      row.push(3, write.from, write.end, write.epoch);
      this.#entries(write.entries);
    }
  }

  /** A message under way. */
  packet({ from, to, message, entries }: Packet): void {
    this.#id(from);
    this.#id(to);
    this.value(message);
    this.#entries(entries);
  }

  /** What the world remembers. */
  ghost({ leaders, commits }: Ghost): void {
    this.row.push(leaders.length);
    for (const leader of leaders) this.#id(leader);
    this.#entries(commits.map(({ entry }) => entry));
    for (const { term } of commits) this.row.push(term);
  }

  /** The row as a key. */
  key(): string {
    return String.fromCharCode.apply(null, this.row);
  }

  /** Two independent hashes of the row, 32 bits each. */
  hash(into: Int32Array, at: number, kind: number): void {
    let low = 0x243f6a88 ^ kind;
    let high = 0x13198a2e ^ Math.imul(kind, 0x9e3779b1);
    for (const item of this.row) {
      low = Math.imul(low ^ item, 0x5bd1e995);
      low ^= low >>> 13;
      high = Math.imul(high ^ (item + 0x7feb352d), 0x1b873593);
      high ^= high >>> 15;
    }
    into[at] = finish(low);
    into[at + 1] = finish(high ^ this.row.length);
  }
}

function compareRows(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

function finish(hash: number): number {
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
