/**
 * Servers, messages and memories under other names, as objects: what servers of those names would have become.
 *
 * @module
 */
import type { ServerId } from "../../src/types.ts";
import type { Renaming } from "./encode.ts";
import { type Entry, type Ghost, type Local, names, type Packet } from "./model.ts";

/** The same in all servers, whatever they are called. */
const shared: ReadonlySet<string> = new Set(["settings", "random", "configurations"]);
const ofEntries: ReadonlySet<string> = new Set(["entries"]);

/** Gives things other names. */
export class Renamer {
  readonly #to: readonly number[];

  constructor({ to }: Renaming) {
    this.#to = to;
  }

  local({ core, log, disk, writes, verified, acknowledged }: Local): Local {
    return {
      core: this.#value(core) as Local["core"],
      log: this.#entries(log),
      disk: { term: disk.term, votedFor: this.#maybe(disk.votedFor), log: this.#entries(disk.log) },
      writes: this.#value(writes) as Local["writes"],
      verified,
      acknowledged,
    };
  }

  packet({ from, to, message, entries }: Packet): Packet {
    const renamed = this.#value(message) as Packet["message"];
    return { from: this.#id(from), to: this.#id(to), message: renamed, entries: this.#entries(entries) };
  }

  ghost({ leaders, commits }: Ghost): Ghost {
    return {
      leaders: leaders.map((id) => this.#maybe(id)),
      commits: commits.map(({ entry, term }) => ({ entry: this.#entry(entry), term })),
    };
  }

  #id(id: ServerId): ServerId {
    return names[this.#to[id.charCodeAt(0) - 97]!]!;
  }

  #maybe(id: ServerId | undefined): ServerId | undefined {
    return id === undefined ? undefined : this.#id(id);
  }

  #entry(entry: Entry): Entry {
    const who = entry & 63;
    return who < 16 ? entry - who + this.#to[who]! : entry;
  }

  #entries(entries: readonly Entry[]): Entry[] {
    return entries.map((entry) => this.#entry(entry));
  }

  #value(value: unknown): unknown {
    if (typeof value === "string") return value.length === 1 && names.includes(value) ? this.#id(value) : value;
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map((item) => this.#value(item));
    if (value instanceof Map) {
      const renamed = [...value].map((
        [id, item],
      ): [ServerId, unknown] => [this.#id(id as ServerId), this.#value(item)]);
      // A leader goes through its peers in their order.
      return new Map(renamed.sort(([a], [b]) => a < b ? -1 : 1));
    }
    const fields: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      if (shared.has(key)) fields[key] = item;
      else if (ofEntries.has(key)) fields[key] = this.#entries(item as Entry[]);
      else fields[key] = this.#value(item);
    }
    return fields;
  }
}
