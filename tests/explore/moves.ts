/**
 * What a server can do, alone and with the messages that are under way to it. Worked out once for each server and set of
 * messages.
 *
 * @module
 */
import type { LocalEvent } from "./model.ts";
import { PairMap } from "./number_table.ts";
import type { PacketSets } from "./packet_sets.ts";
import { indexOf, isIdle, type Space, type Transition } from "./space.ts";

/** A step of one server, and what it costs. */
export interface Move {
  readonly transition: Transition;
  /** Of the server before it. */
  readonly from: number;
  /** What it sends, as one set for each receiver. */
  readonly outs: readonly number[];
  readonly cost: number;
  /** The same for moves that lead to the same. */
  readonly kind: number;
}

/** All moves. */
export class Moves {
  readonly #space: Space;
  readonly #sets: PacketSets;
  readonly #without = new PairMap();
  readonly #by = new PairMap();
  readonly #moves: (readonly Move[])[] = [];
  readonly #moveOf = new Map<Transition, Move>();
  readonly #kinds = new Map<string, number>();

  constructor(space: Space, sets: PacketSets) {
    this.#space = space;
    this.#sets = sets;
  }

  /** What a server can do without a message. */
  without(local: number, spent: number): readonly Move[] {
    const known = this.#without.get(local, spent);
    if (known >= 0) return this.#moves[known]!;
    const moves = this.#space.ownEvents(local, spent).map((event) => this.#move(local, event, undefined));
    return this.#keep(this.#without, local, spent, moves);
  }

  /** What any of these messages makes of a server. */
  by(local: number, inbox: number): readonly Move[] {
    const known = this.#by.get(local, inbox);
    if (known >= 0) return this.#moves[known]!;
    const moves: Move[] = [];
    for (const packet of this.#sets.items[inbox]!) {
      for (const event of this.#space.deliveries(local, packet)) moves.push(this.#move(local, event, packet));
    }
    return this.#keep(this.#by, local, inbox, moves);
  }

  /** Several messages may do the same: that is one move. */
  #keep(known: PairMap, a: number, b: number, moves: readonly Move[]): readonly Move[] {
    const kinds = new Set<number>();
    const kept: Move[] = [];
    for (const move of moves) {
      const { transition, from, kind } = move;
      if ((transition.error === undefined && isIdle(transition, from)) || kinds.has(kind)) continue;
      kinds.add(kind);
      kept.push(move);
    }
    known.add(a, b, this.#moves.length);
    this.#moves.push(kept);
    return kept;
  }

  #move(local: number, event: LocalEvent, uses: number | undefined): Move {
    const transition = this.#space.transition(local, event, uses);
    const known = this.#moveOf.get(transition);
    if (known !== undefined) return known;
    const outs = Array.from({ length: this.#space.bounds.servers }, (_, server) => {
      const { items } = this.#space.packets;
      return this.#sets.idOf(transition.packets.filter((packet) => indexOf(items[packet]!.to) === server));
    });
    const cost = this.#space.cost(event, false);
    const text = [local, transition.local, transition.truncatedFrom, transition.error, cost, ...outs].join();
    const kind = this.#kinds.get(text) ?? this.#kinds.size;
    this.#kinds.set(text, kind);
    const move = { transition, from: local, outs, cost, kind };
    if (transition.local >= 0) this.#moveOf.set(transition, move);
    return move;
  }
}
