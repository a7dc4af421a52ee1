/**
 * States that differ in messages alone, pooled: one for each combination of servers, memory and budgets, together with
 * every message that is under way in any state of that combination.
 *
 * Messages stay under way once sent (any may come any number of times, or never), so that more of them never take
 * anything away: whatever can happen in a state can happen in its pool. Every invariant is one of servers, memory and
 * steps, never of what is under way. Therefore no invariant breaks in any state if none does in any pool. The other way
 * round does not hold: a pool may mix messages of different pasts, so that what breaks there has to be looked for among
 * real states before it counts as a bug.
 *
 * What is found is the least set of pools that holds the first state and all that can happen: there is one, whatever the
 * order in which it is looked for, and however many workers do.
 *
 * @module
 */
import type { StepCore } from "../core/cluster.ts";
import type { Bounds } from "./bounds.ts";
import { isDead } from "./dead.ts";
import { type Move, Moves } from "./moves.ts";
import { IntList, mix, PairMap } from "./number_table.ts";
import { emptySet, PacketSets } from "./packet_sets.ts";
import { progressOf } from "./progress.ts";
import { Renamer } from "./rename.ts";
import { indexOf, Space } from "./space.ts";

/** Pools of as much spent, by how far their servers have come. */
export const bucketsPerSpent: number = 1 << 16;

/** Servers, memory, budgets, one set of messages for each server, distance: each by its number in one part. */
export type Row = Int32Array;

/** Takes what belongs to others; the row is good for the call alone. */
export type Forward = (owner: number, row: Row) => void;

/** The pools whose names hash to this part. */
export class Part {
  readonly space: Space;
  readonly sets: PacketSets = new PacketSets();
  /** How many pools there are. */
  size = 0;
  transitions = 0;
  /** How often a pool was gone through; it is again when messages were added to it. */
  visits = 0;
  readonly #own: number;
  readonly #parts: number;
  readonly #forward: Forward;
  readonly #servers: number;
  readonly #width: number;
  readonly #pages: Int32Array[] = [];
  readonly #known = new PairMap();
  readonly #buckets = new Map<number, IntList>();
  readonly #renamers: readonly Renamer[];
  readonly #renamedLocals = new IntList();
  readonly #renamedPackets = new IntList();
  readonly #renamedGhosts = new IntList();
  readonly #renamedSets = new IntList();
  readonly #ranks = new IntList();
  readonly #moves: Moves;
  readonly #alive = new PairMap();
  // What a step leads to, before and after it gets its right names.
  readonly #locals: number[] = [];
  readonly #inboxes: number[] = [];
  readonly #row: Int32Array;

  constructor(bounds: Bounds, stepCore: StepCore, own: number, parts: number, forward: Forward) {
    this.space = new Space(bounds, stepCore);
    this.#moves = new Moves(this.space, this.sets);
    this.#own = own;
    this.#parts = parts;
    this.#forward = forward;
    this.#servers = bounds.servers;
    // Servers, memory, budgets, messages, distance; and here alone: how many moves it has, whether it waits.
    this.#width = 2 * bounds.servers + 5;
    this.#row = new Int32Array(2 * bounds.servers + 3);
    this.#renamers = this.space.renamings.map((renaming) => new Renamer(renaming));
  }

  /** Begins with the first state, if it belongs here. */
  begin(): void {
    const { locals, ghost } = this.space.first();
    this.#arrive(locals, ghost, 0, locals.map(() => emptySet), 0);
  }

  /** How many actions it takes to the farthest pool. */
  depth(): number {
    let depth = 0;
    for (let pool = 0; pool < this.size; pool++) {
      const { page, at } = this.#place(pool);
      depth = Math.max(depth, page[at + 2 * this.#servers + 2]!);
    }
    return depth;
  }

  /** The lowest bucket that has pools which wait, Infinity when none has. */
  get lowest(): number {
    let lowest = Infinity;
    for (const [bucket, list] of this.#buckets) {
      if (list.length === 0) this.#buckets.delete(bucket);
      else lowest = Math.min(lowest, bucket);
    }
    return lowest;
  }

  /** Goes through all that waits in buckets up to this one. */
  work(last: number): void {
    for (let bucket = this.lowest; bucket <= last && bucket < Infinity; bucket = this.lowest) {
      const list = this.#buckets.get(bucket)!;
      while (list.length > 0) this.#expand(list.items[--list.length]!);
    }
  }

  /** Takes what another part has forwarded, by this part's numbers. */
  accept(row: Row): void {
    const n = this.#servers;
    const inboxes = Array.from(row.subarray(n + 2, 2 * n + 2));
    this.#arrive(Array.from(row.subarray(0, n)), row[n]!, row[n + 1]!, inboxes, row[2 * n + 2]!);
  }

  #expand(pool: number): void {
    const { page, at } = this.#place(pool);
    const n = this.#servers;
    const locals = Array.from(page.subarray(at, at + n));
    const ghost = page[at + n]!;
    const spent = page[at + n + 1]!;
    const inboxes = Array.from(page.subarray(at + n + 2, at + 2 * n + 2));
    const depth = page[at + 2 * n + 2]!;
    page[at + 2 * n + 4] = 0;
    let moves = 0;
    for (let server = 0; server < n; server++) {
      const local = locals[server]!;
      for (const lists of [this.#moves.without(local, spent), this.#moves.by(local, inboxes[server]!)]) {
        moves += lists.length;
        for (const move of lists) this.#take(move, server, locals, ghost, spent, inboxes, depth + 1);
      }
    }
    this.visits++;
    this.transitions += moves - page[at + 2 * n + 3]!;
    page[at + 2 * n + 3] = moves;
  }

  #take(
    { transition, from, outs, cost }: Move,
    server: number,
    before: readonly number[],
    ghost: number,
    spent: number,
    pending: readonly number[],
    depth: number,
  ): void {
    if (transition.error !== undefined) throw transition.error;
    const locals = this.#locals;
    const inboxes = this.#inboxes;
    for (let i = 0; i < this.#servers; i++) {
      locals[i] = i === server ? transition.local : before[i]!;
      inboxes[i] = this.sets.union(pending[i]!, outs[i]!);
    }
    const remembered = transition.news ? this.space.remember(transition, from, locals, ghost) : ghost;
    let lasts = 0;
    for (let i = 0; i < this.#servers; i++) if (this.#isLast(locals[i]!)) lasts |= 1 << i;
    for (let i = 0; i < this.#servers; i++) inboxes[i] = this.#aliveOf(inboxes[i]!, locals[i]!, lasts);
    this.#arrive(locals, remembered, spent + cost, inboxes, depth);
  }

  #isLast(local: number): boolean {
    return (this.#rank(local) & 1) === 1;
  }

  /** Twice how far a server has come, and 1 more if it is in the last term. */
  #rank(local: number): number {
    const ranks = this.#ranks;
    while (ranks.length <= local) {
      const server = ranks.length;
      ranks.push(2 * progressOf(this.space.locals.items[server]!) + Number(this.space.isLast(server)));
    }
    return ranks.items[local]!;
  }

  /** The messages that something can still come of. */
  #aliveOf(inbox: number, local: number, lasts: number): number {
    if (inbox === emptySet || !this.space.bounds.prune) return inbox;
    const known = this.#alive.get(inbox * 32 + lasts, local);
    if (known >= 0) return known;
    const { packets, locals } = this.space;
    const receiver = locals.items[local]!;
    const alive = this.sets.items[inbox]!.filter((id) => {
      const packet = packets.items[id]!;
      return !isDead(packet, (lasts >> indexOf(packet.from) & 1) === 1, receiver);
    });
    const id = this.sets.idOf(alive);
    this.#alive.add(inbox * 32 + lasts, local, id);
    return id;
  }

  /**
   * A pool, under whatever names: it gets those that stand for all. Where several do, its servers can't be told apart, and
   * it gets the messages under each.
   */
  #arrive(locals: readonly number[], ghost: number, spent: number, inboxes: readonly number[], depth: number): void {
    const { locals: { hashes: ofLocals }, ghosts: { hashes: ofGhosts }, renamings } = this.space;
    const n = this.#servers;
    const count = renamings.length;
    const width = 2 * count;
    let low = 0;
    let high = 0;
    let ties = 0;
    for (let i = 0; i < count; i++) {
      let at = ghost * width + 2 * i;
      let l = ofGhosts[at]!;
      let h = ofGhosts[at + 1]!;
      for (let j = 0; j < n; j++) {
        at = locals[j]! * width + 2 * i;
        l = (l + ofLocals[at]!) | 0;
        h = (h + ofLocals[at + 1]!) | 0;
      }
      if (i === 0 || h < high || (h === high && l < low)) {
        low = l;
        high = h;
        ties = 1 << i;
      } else if (h === high && l === low) ties |= 1 << i;
    }
    const row = this.#row;
    let isFirst = true;
    for (let i = 0; i < count; i++) {
      if ((ties >> i & 1) === 0) continue;
      const { to } = renamings[i]!;
      if (isFirst) {
        for (let j = 0; j < n; j++) {
          row[to[j]!] = this.#renamedLocal(locals[j]!, i);
          row[n + 2 + to[j]!] = this.#renamedSet(inboxes[j]!, i);
        }
        row[n] = this.#renamedGhost(ghost, i);
        isFirst = false;
      } else {
        for (let j = 0; j < n; j++) {
          const at = n + 2 + to[j]!;
          row[at] = this.sets.union(row[at]!, this.#renamedSet(inboxes[j]!, i));
        }
      }
    }
    row[n + 1] = spent;
    row[2 * n + 2] = depth;
    const budgets = mix(spent, 0x51ed270b);
    low = (low + budgets) | 0;
    high ^= mix(budgets, spent);
    const owner = this.#parts === 1 ? 0 : (mix(high, low) >>> 8) % this.#parts;
    if (owner === this.#own) this.#meet(row, low, high);
    else this.#forward(owner, row);
  }

  /** A pool by its right names; the messages are added to those that are there. */
  #meet(row: Row, low: number, high: number): void {
    const n = this.#servers;
    const known = this.#known.add(low, high, this.size);
    if (known < 0) return this.#add(row);
    const { page, at } = this.#place(known);
    for (let i = 0; i < n + 2; i++) {
      if (page[at + i] !== row[i]) throw new Error("two states have the same 64 bits: one of them would be lost");
    }
    let changed = false;
    for (let i = n + 2; i < 2 * n + 2; i++) {
      const union = this.sets.union(page[at + i]!, row[i]!);
      changed ||= union !== page[at + i];
      page[at + i] = union;
    }
    if (row[2 * n + 2]! < page[at + 2 * n + 2]!) {
      page[at + 2 * n + 2] = row[2 * n + 2]!;
      changed = true;
    }
    if (changed) this.#enqueue(known, page, at);
  }

  #add(row: Row): void {
    const pool = this.size++;
    if ((pool & pageMask) === 0) this.#pages.push(new Int32Array(pageSize * this.#width));
    const { page, at } = this.#place(pool);
    page.set(row, at);
    this.#enqueue(pool, page, at);
    const locals = Array.from(row.subarray(0, this.#servers));
    this.space.judgeAll(locals, row[this.#servers]!);
  }

  #place(pool: number): { readonly page: Int32Array; readonly at: number } {
    return { page: this.#pages[pool >> pageBits]!, at: (pool & pageMask) * this.#width };
  }

  #enqueue(pool: number, page: Int32Array, at: number): void {
    const n = this.#servers;
    const waits = at + 2 * n + 4;
    if (page[waits] === 1) return;
    page[waits] = 1;
    const bucket = this.#bucketOf(page, at);
    let list = this.#buckets.get(bucket);
    if (list === undefined) this.#buckets.set(bucket, list = new IntList(64));
    list.push(pool);
  }

  // Whatever happens takes a server farther or spends something, with few exceptions: so that what leads to a pool is
  // mostly there before the pool is gone through, which is for speed alone.
  #bucketOf(page: Int32Array, at: number): number {
    const n = this.#servers;
    let bucket = 0;
    for (let spent = page[at + n + 1]!; spent > 0; spent >>>= 4) bucket += spent & 15;
    bucket *= bucketsPerSpent;
    for (let i = 0; i < n; i++) bucket += this.#rank(page[at + i]!) >> 1;
    return bucket;
  }

  #renamedLocal(id: number, renaming: number): number {
    const { locals } = this.space;
    const make = (it: Renamer) => locals.idOf(it.local(locals.items[id]!), { id, renaming });
    return renamed(this.#renamedLocals, id, renaming, this.#renamers, make);
  }

  #renamedGhost(id: number, renaming: number): number {
    const { ghosts } = this.space;
    const make = (it: Renamer) => ghosts.idOf(it.ghost(ghosts.items[id]!), { id, renaming });
    return renamed(this.#renamedGhosts, id, renaming, this.#renamers, make);
  }

  #renamedPacket(id: number, renaming: number): number {
    const { packets } = this.space;
    const make = (it: Renamer) => packets.idOf(it.packet(packets.items[id]!), { id, renaming });
    return renamed(this.#renamedPackets, id, renaming, this.#renamers, make);
  }

  #renamedSet(id: number, renaming: number): number {
    if (id === emptySet) return id;
    return renamed(
      this.#renamedSets,
      id,
      renaming,
      this.#renamers,
      () => this.sets.idOf(this.sets.items[id]!.map((packet) => this.#renamedPacket(packet, renaming))),
    );
  }
}

const pageBits = 14;
const pageSize = 1 << pageBits;
const pageMask = pageSize - 1;

/** Looks it up, and works it out the first time. */
function renamed(
  table: IntList,
  id: number,
  renaming: number,
  renamers: readonly Renamer[],
  make: (renamer: Renamer) => number,
): number {
  const at = id * renamers.length + renaming;
  while (table.length <= at) table.push(0);
  const known = table.items[at]!;
  if (known > 0) return known - 1;
  const made = make(renamers[renaming]!);
  table.items[at] = made + 1;
  return made;
}
