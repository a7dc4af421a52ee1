/**
 * Pools on their way from one part to another. Each part has its own numbers for servers, messages and memories: what the
 * other has not been told of yet travels along.
 *
 * @module
 */
import type { Ghost, Local, Packet } from "./model.ts";
import { IntList } from "./number_table.ts";
import type { Part, Row } from "./pool.ts";

type Named<T> = readonly (readonly [number, T])[];

/** What one part has for another. */
export interface Mail {
  readonly locals: Named<Local>;
  readonly ghosts: Named<Ghost>;
  readonly packets: Named<Packet>;
  readonly sets: Named<readonly number[]>;
  /** One after the other. */
  readonly rows: Int32Array;
}

/** Collects what one part has for another. */
export class Outbox {
  readonly #part: Part;
  readonly #rows = new IntList();
  readonly #told = {
    locals: new Set<number>(),
    ghosts: new Set<number>(),
    packets: new Set<number>(),
    sets: new Set(),
  };
  #locals: [number, Local][] = [];
  #ghosts: [number, Ghost][] = [];
  #packets: [number, Packet][] = [];
  #sets: [number, readonly number[]][] = [];

  constructor(part: Part) {
    this.#part = part;
  }

  add(row: Row): void {
    const servers = this.#part.space.bounds.servers;
    const { locals, ghosts } = this.#part.space;
    for (let i = 0; i < servers; i++) {
      const local = row[i]!;
      if (isNew(this.#told.locals, local)) this.#locals.push([local, locals.items[local]!]);
      this.#tellSet(row[servers + 2 + i]!);
    }
    const ghost = row[servers]!;
    if (isNew(this.#told.ghosts, ghost)) this.#ghosts.push([ghost, ghosts.items[ghost]!]);
    this.#rows.reserve(row.length);
    for (const item of row) this.#rows.push(item);
  }

  #tellSet(set: number): void {
    if (!isNew(this.#told.sets, set)) return;
    const packets = this.#part.sets.items[set]!;
    this.#sets.push([set, packets]);
    for (const id of packets) {
      if (isNew(this.#told.packets, id)) this.#packets.push([id, this.#part.space.packets.items[id]!]);
    }
  }

  /** All since the last time; undefined when there is nothing. */
  take(): Mail | undefined {
    if (this.#rows.length === 0) return;
    const rows = this.#rows.items.slice(0, this.#rows.length);
    const mail = { locals: this.#locals, ghosts: this.#ghosts, packets: this.#packets, sets: this.#sets, rows };
    this.#rows.length = 0;
    this.#locals = [];
    this.#ghosts = [];
    this.#packets = [];
    this.#sets = [];
    return mail;
  }
}

function isNew<T>(told: Set<T>, item: T): boolean {
  if (told.has(item)) return false;
  told.add(item);
  return true;
}

/** Hands one part what another has for it. */
export class Letterbox {
  readonly #part: Part;
  readonly #locals = new Map<number, number>();
  readonly #ghosts = new Map<number, number>();
  readonly #packets = new Map<number, number>();
  readonly #sets = new Map<number, number>();

  constructor(part: Part) {
    this.#part = part;
  }

  accept({ locals, ghosts, packets, sets, rows }: Mail): void {
    const { space, sets: known } = this.#part;
    for (const [id, local] of locals) this.#locals.set(id, space.locals.idOf(local));
    for (const [id, ghost] of ghosts) this.#ghosts.set(id, space.ghosts.idOf(ghost));
    for (const [id, packet] of packets) this.#packets.set(id, space.packets.idOf(packet));
    for (const [id, set] of sets) this.#sets.set(id, known.idOf(set.map((packet) => this.#packets.get(packet)!)));
    const n = space.bounds.servers;
    const width = 2 * n + 3;
    for (let at = 0; at < rows.length; at += width) {
      const row = rows.subarray(at, at + width);
      for (let i = 0; i < n; i++) {
        row[i] = this.#locals.get(row[i]!)!;
        row[n + 2 + i] = this.#sets.get(row[n + 2 + i]!)!;
      }
      row[n] = this.#ghosts.get(row[n]!)!;
      this.#part.accept(row);
    }
  }
}
