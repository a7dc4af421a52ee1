/**
 * What can be reached from a state in one action. What one server does is worked out once and then looked up: there are
 * few different servers and messages, and millions of ways to combine them.
 *
 * @module
 */
import type { ServerId } from "../../src/types.ts";
import type { Bounds } from "./bounds.ts";
import { isDead } from "./dead.ts";
import { type Encoder, type Renaming, renamings } from "./encode.ts";
import { holdsCommits, isNews, judgePair, judgeStep, nothingYet } from "./global.ts";
import { Interner } from "./intern.ts";
import { type Ghost, type Local, type LocalEvent, must, names, type Packet, termOf } from "./model.ts";
import { PairMap } from "./number_table.ts";
import { Stepper } from "./stepper.ts";
import type { StepCore } from "../core/cluster.ts";

/** A state by the numbers of its parts. */
export interface State {
  readonly locals: number[];
  ghost: number;
  /** What was spent of each budget, see {@linkcode budgetOf}. */
  spent: number;
  /** Messages under way, ascending. */
  readonly packets: number[];
}

/** Something that can happen. */
export interface Action {
  readonly server: number;
  readonly event: LocalEvent;
  /** The message that it uses up. */
  readonly uses: number | undefined;
  readonly duplicates: boolean;
}

/** What an event leads to at one server. */
export interface Transition {
  readonly number: number;
  /** The server after it; -1 when it can't happen. */
  readonly local: number;
  readonly packets: readonly number[];
  readonly truncatedFrom: number | undefined;
  readonly news: boolean;
  readonly error: Error | undefined;
}

type Budget = "entries" | "crashes" | "duplicates" | "heartbeats" | "stepDowns" | "timeouts" | "transfers";
const shifts: Readonly<Record<Budget, number>> = {
  entries: 0,
  crashes: 4,
  duplicates: 8,
  heartbeats: 12,
  stepDowns: 16,
  timeouts: 20,
  transfers: 24,
};

const impossible: Transition = {
  number: -1,
  local: -1,
  packets: [],
  truncatedFrom: undefined,
  news: false,
  error: undefined,
};
const codes = {
  timeout: 0,
  heartbeat: 1,
  "step-down": 2,
  persist: 3,
  restart: 4,
  "give-up": 5,
  propose: 8,
  transfer: 16,
  deliver: 32,
} as const;

/** The state space of a cluster. */
export class Space {
  readonly bounds: Bounds;
  readonly renamings: readonly Renaming[];
  readonly locals: Interner<Local>;
  readonly packets: Interner<Packet>;
  readonly ghosts: Interner<Ghost>;
  /** How often a core was really stepped. */
  steps = 0;
  readonly #stepper: Stepper;
  readonly #known = new PairMap();
  readonly #transitions: Transition[] = [];
  readonly #memories = new PairMap();
  readonly #pairs = new PairMap();
  readonly #durable = new PairMap();

  constructor(bounds: Bounds, stepCore: StepCore) {
    this.bounds = bounds;
    const all = renamings(bounds.servers);
    this.renamings = bounds.symmetry ? all : all.slice(0, 1);
    this.locals = new Interner(this.renamings, 1, (encoder: Encoder, it: Local) => encoder.local(it));
    this.packets = new Interner(this.renamings, 2, (encoder: Encoder, it: Packet) => encoder.packet(it));
    this.ghosts = new Interner(this.renamings, 3, (encoder: Encoder, it: Ghost) => encoder.ghost(it));
    this.#stepper = new Stepper(bounds, stepCore);
  }

  /** All servers have started, nothing has happened. */
  first(): State {
    const locals = names.slice(0, this.bounds.servers).map((id) => this.locals.idOf(this.#stepper.first(id)));
    return { locals, ghost: this.ghosts.idOf(nothingYet), spent: 0, packets: [] };
  }

  /** How much of a budget is left. */
  #left(spent: number, budget: Budget): number {
    return this.bounds[budget] - spentOf(spent, budget);
  }

  /**
   * All that can happen; `visit` may stop it by returning false. Messages come in the order of their numbers, which
   * depends on what this space has seen before.
   */
  actions(state: State, visit: (action: Action) => boolean): void {
    if (this.#localActions(state, visit)) this.#deliveries(state, state.packets, visit);
  }

  /** All that can happen, in an order that is the same in every space of these bounds. */
  orderedActions(state: State): Action[] {
    const actions: Action[] = [];
    const visit = (action: Action) => actions.push(action) > 0;
    const { keys } = this.packets;
    const packets = state.packets.toSorted((a, b) => keys[a]! < keys[b]! ? -1 : 1);
    if (this.#localActions(state, visit)) this.#deliveries(state, packets, visit);
    return actions;
  }

  #localActions(state: State, visit: (action: Action) => boolean): boolean {
    for (const [server, id] of state.locals.entries()) {
      for (const event of this.ownEvents(id, state.spent)) {
        if (!visit({ server, event, uses: undefined, duplicates: false })) return false;
      }
    }
    return true;
  }

  /** What can happen at a server without any message, when so much is spent. */
  ownEvents(local: number, spent: number): LocalEvent[] {
    const { core, writes } = this.locals.items[local]!;
    const events: LocalEvent[] = [];
    if (writes.length > 0) events.push({ type: "persist" });
    if (core.role === "leader") {
      const command = spentOf(spent, "entries");
      if (this.#left(spent, "entries") > 0) events.push({ type: "propose", command });
      if (this.#left(spent, "heartbeats") > 0) events.push({ type: "heartbeat" });
      if (this.#left(spent, "stepDowns") > 0) events.push({ type: "step-down" });
      if (core.leading!.transfer !== undefined) events.push({ type: "give-up" });
      else if (this.#left(spent, "transfers") > 0) events.push(...this.#transfers(core.id));
    } else if (core.term <= this.bounds.terms && this.#left(spent, "timeouts") > 0) {
      events.push({ type: "timeout" });
    }
    if (this.#left(spent, "crashes") > 0) events.push({ type: "restart" });
    return events;
  }

  #transfers(leader: ServerId): LocalEvent[] {
    const others = names.slice(0, this.bounds.servers).filter((id) => id !== leader);
    return others.map((to) => ({ type: "transfer", to }));
  }

  #deliveries(state: State, packets: readonly number[], visit: (action: Action) => boolean): void {
    const staysAnyway = this.bounds.duplicates === Infinity;
    const mayDuplicate = this.#left(state.spent, "duplicates") > 0;
    let last = -1;
    for (const uses of packets) {
      if (uses === last) continue;
      last = uses;
      const server = indexOf(this.packets.items[uses]!.to);
      for (const event of this.deliveries(state.locals[server]!, uses)) {
        if (!staysAnyway && !visit({ server, event, uses, duplicates: false })) return;
        if (mayDuplicate && !visit({ server, event, uses, duplicates: true })) return;
      }
    }
  }

  /** The ways in which a message may come to a server. */
  deliveries(local: number, uses: number): LocalEvent[] {
    const packet = this.packets.items[uses]!;
    const { core } = this.locals.items[local]!;
    const lapses = packet.message.type === "vote-request" && core.leaderHeardAt !== -Infinity;
    return (lapses ? [false, true] : [false]).map((lapsed) => ({ type: "deliver", packet, lapsed }));
  }

  /** What an event leads to at a server; `uses` is the number of the message that is delivered. */
  transition(local: number, event: LocalEvent, uses: number | undefined): Transition {
    let code: number = codes[event.type];
    if (event.type === "propose") code += event.command;
    else if (event.type === "transfer") code += indexOf(event.to);
    else if (event.type === "deliver") code += 2 * uses! + Number(event.lapsed);
    const at = this.#known.get(local, code);
    if (at >= 0) return this.#transitions[at]!;
    const made = this.#work(local, event);
    this.#known.add(local, code, this.#transitions.length);
    this.#transitions.push(made);
    return made;
  }

  #work(local: number, event: LocalEvent): Transition {
    this.steps++;
    const before = this.locals.items[local]!;
    try {
      const outcome = this.#stepper.step(before, event);
      if (outcome === undefined) return impossible;
      const { local: after, truncatedFrom } = outcome;
      const packets = outcome.packets.map((packet) => this.packets.idOf(packet));
      const news = isNews({ before, after, truncatedFrom });
      const number = this.#transitions.length;
      return { number, local: this.locals.idOf(after), packets, truncatedFrom, news, error: undefined };
    } catch (error) {
      return { ...impossible, error: error as Error };
    }
  }

  /**
   * The state after an action; undefined when it changes nothing (a message that is ignored may as well stay under way).
   *
   * @throws {Violation} When the action breaks an invariant, or whatever the core throws.
   */
  after(state: State, action: Action): State | undefined {
    const { server, uses } = action;
    const local = state.locals[server]!;
    const transition = this.transition(local, action.event, uses);
    if (transition.error !== undefined) throw transition.error;
    if (isIdle(transition, local)) return;
    const locals = [...state.locals];
    locals[server] = transition.local;
    const packets = [...state.packets];
    if (uses !== undefined && !action.duplicates) packets.splice(packets.indexOf(uses), 1);
    const next = {
      locals,
      ghost: state.ghost,
      spent: state.spent + this.cost(action.event, action.duplicates),
      packets,
    };
    if (transition.news) next.ghost = this.remember(transition, local, locals, state.ghost);
    const isSet = this.bounds.duplicates === Infinity;
    for (const packet of transition.packets) if (!isSet || !packets.includes(packet)) insert(packets, packet);
    if (this.bounds.prune) this.#forget(packets, server, next);
    return next;
  }

  /**
   * Judges a step by what all servers are after it; what the world remembers from then on.
   *
   * @throws {Violation}
   */
  remember(
    { number, local, truncatedFrom }: Transition,
    from: number,
    locals: readonly number[],
    ghost: number,
  ): number {
    const { items } = this.locals;
    const stepped = { before: items[from]!, after: items[local]!, truncatedFrom };
    const after = judgeStep(stepped, locals.map((id) => items[id]!), this.ghosts.items[ghost]!);
    // What is remembered does not depend on the other servers, only whether it is right does.
    const known = this.#memories.get(number, ghost);
    if (known >= 0) return known;
    const id = this.ghosts.idOf(after);
    this.#memories.add(number, ghost, id);
    return id;
  }

  /** What an event adds to what is spent. */
  cost(event: LocalEvent, duplicates: boolean): number {
    switch (event.type) {
      case "timeout":
        return 1 << shifts.timeouts;
      case "heartbeat":
        return 1 << shifts.heartbeats;
      case "step-down":
        return 1 << shifts.stepDowns;
      case "restart":
        return 1 << shifts.crashes;
      case "propose":
        return 1 << shifts.entries;
      case "transfer":
        return 1 << shifts.transfers;
      case "persist":
      case "give-up":
        return 0;
      case "deliver":
        return duplicates && this.bounds.duplicates < Infinity ? 1 << shifts.duplicates : 0;
    }
  }

  /** Forgets messages from and to a server that nothing can come of since its last step. */
  #forget(packets: number[], server: number, state: State): void {
    for (let i = packets.length - 1; i >= 0; i--) {
      const { from, to } = this.packets.items[packets[i]!]!;
      if (indexOf(to) !== server && indexOf(from) !== server) continue;
      if (this.#isDead(packets[i]!, state)) packets.splice(i, 1);
    }
  }

  #isDead(id: number, { locals }: State): boolean {
    const packet = this.packets.items[id]!;
    const sender = locals[indexOf(packet.from)]!;
    const receiver = this.locals.items[locals[indexOf(packet.to)]!]!;
    return isDead(packet, this.isLast(sender), receiver);
  }

  /** Whether a server is in the last term that there can be, for good. */
  isLast(local: number): boolean {
    const { terms, transfers } = this.bounds;
    return this.locals.items[local]!.disk.term >= 1 + terms + transfers;
  }

  /**
   * Judges a state that was not seen before, reached by a step of `server`.
   *
   * @throws {Violation}
   */
  judge({ locals, ghost }: State, server: number): void {
    const changed = locals[server]!;
    for (let i = 0; i < locals.length; i++) {
      const other = locals[i]!;
      if (i === server || this.#pairs.get(changed, other) >= 0) continue;
      judgePair(this.locals.items[changed]!, this.locals.items[other]!);
      this.#pairs.add(changed, other, 1);
    }
    let count = 0;
    for (let i = 0; i < locals.length; i++) count += this.#holds(locals[i]!, ghost);
    must(2 * count > locals.length, "C5", () => `only ${count} disks hold all that was committed`);
  }

  /**
   * Judges a state by all its servers.
   *
   * @throws {Violation}
   */
  judgeAll(locals: number[], ghost: number): void {
    const state = { locals, ghost, spent: 0, packets: [] };
    for (let server = 1; server < locals.length; server++) this.judge(state, server);
    if (locals.length === 1) this.judge(state, 0);
  }

  #holds(local: number, ghost: number): number {
    const known = this.#durable.get(local, ghost);
    if (known >= 0) return known;
    const value = Number(holdsCommits(this.locals.items[local]!, this.ghosts.items[ghost]!));
    this.#durable.add(local, ghost, value);
    return value;
  }

  /** The longest log and the highest commit index that any server ever had, and the number of elections won. */
  reached(): { readonly entries: number; readonly committed: number; readonly term: number } {
    let entries = 0;
    let term = 0;
    for (const { log } of this.locals.items) {
      entries = Math.max(entries, log.length);
      term = Math.max(term, termOf(log[log.length - 1] ?? 0));
    }
    const committed = Math.max(...this.ghosts.items.map(({ commits }) => commits.length));
    return { entries, committed, term };
  }
}

/** Whether nothing is different after it. */
export function isIdle(transition: Transition, local: number): boolean {
  return transition.local < 0 || (transition.local === local && transition.packets.length === 0);
}

function spentOf(spent: number, budget: Budget): number {
  return (spent >> shifts[budget]) & 15;
}

/** The number of a server. */
export function indexOf(id: ServerId): number {
  return id.charCodeAt(0) - 97;
}

/** Keeps the list ascending. */
function insert(list: number[], item: number): void {
  let at = list.length;
  while (at > 0 && list[at - 1]! > item) at--;
  list.splice(at, 0, item);
}
