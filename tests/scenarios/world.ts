/**
 * What a script acts on: a {@linkcode Cluster} with disks that may be slow, links that may be cut, and a protocol of
 * all that happens. After each step the cluster's checker looks for broken invariants.
 *
 * @module
 */
import type { Effect } from "../../src/core/effect.ts";
import type { Event } from "../../src/core/event.ts";
import { configurationOf } from "../../src/core/membership.ts";
import type { ConfigurationChange, Disk, LogIndex, ServerId } from "../../src/types.ts";
import { Cluster, type ClusterOptions, type Member, type Packet } from "../core/cluster.ts";
import { configurationText, effectText, kindOf, messageText, progressText, summaryText, wordsOf } from "./format.ts";

/** Which packets a command is about. */
export interface Selection {
  readonly from: ServerId;
  readonly to: ServerId;
  readonly kind: string | undefined;
  readonly sequence: number | undefined;
}

/** What a script was told in its `servers` command. */
export interface WorldOptions
  extends Pick<ClusterOptions, "servers" | "newcomers" | "settings" | "settingsOf" | "logs" | "sending" | "stepCore"> {
  readonly slow: readonly ServerId[];
}

const roundsMax = 10_000;

/** Something a script asked for that can't be done. */
export class ScriptError extends Error {
  override name = "ScriptError";
}

/** The servers of a script. */
export class World {
  readonly cluster: Cluster;
  /** Servers whose writes wait for `persist`. */
  readonly slow: Set<ServerId>;
  readonly down: Set<ServerId> = new Set();
  /** Links that lose everything, as `a->b`. */
  readonly cuts: Set<string> = new Set();
  held: Packet[] = [];
  /** What happened since it was last taken. */
  readonly lines: string[] = [];
  /** Packets sent since the last `mark`. */
  sent: Packet[] = [];

  constructor(options: WorldOptions) {
    const observer = { onEffect: this.#onEffect.bind(this), onPacket: this.#onPacket.bind(this) };
    this.slow = new Set(options.slow);
    this.cluster = new Cluster({ ...options, persistence: "delayed", observer });
    for (const id of this.slow) this.member(id);
  }

  /** Every server. */
  get ids(): ServerId[] {
    return [...this.cluster.members.keys()];
  }

  /** The server of that id. */
  member(id: ServerId): Member {
    const member = this.cluster.members.get(id);
    if (member === undefined) throw new ScriptError(`there is no server "${id}", only ${this.ids.join(" ")}`);
    return member;
  }

  /** The server, which must run. */
  #running(id: ServerId): Member {
    if (this.down.has(id)) throw new ScriptError(`"${id}" is down`);
    return this.member(id);
  }

  #onEffect(id: ServerId, effect: Effect): void {
    // The disk of most servers is fast: that it was written to says nothing then.
    if ((effect.type === "append" || effect.type === "persist-vote") && !this.slow.has(id)) return;
    const text = effectText(id, effect);
    if (text !== undefined) this.lines.push(text);
  }

  #onPacket(packet: Packet): void {
    const lost = this.#isCut(packet) ? " (lost)" : "";
    this.lines.push(`${packet.from} -> ${packet.to} ${messageText(packet.message)}${lost}`);
    this.sent.push(packet);
  }

  #isCut({ from, to }: Packet): boolean {
    return this.cuts.has(`${from}->${to}`);
  }

  /** What follows from an action at once: cut links lose, fast disks write. */
  #rest(): void {
    this.cluster.drop((packet) => this.#isCut(packet));
    for (const [id, member] of this.cluster.members) {
      if (this.slow.has(id) || this.down.has(id)) continue;
      while (member.writes.length > 0) this.cluster.persist(id);
    }
    this.cluster.drop((packet) => this.#isCut(packet));
  }

  /** One event at one server. */
  step(id: ServerId, event: Event): void {
    this.#running(id);
    this.cluster.step(id, event);
    this.#rest();
  }

  /** A command or several for one server. */
  propose(id: ServerId, count: number): void {
    this.#running(id);
    this.cluster.propose(id, count);
    this.#rest();
  }

  /** Asks for an index to read at. */
  read(id: ServerId): void {
    this.#running(id);
    const at = this.lines.length;
    const read = this.cluster.read(id);
    this.lines.splice(at, 0, `read ${read} at ${id}`);
    this.#rest();
  }

  /** Asks for other servers. */
  change(
    id: ServerId,
    changes: readonly ConfigurationChange[],
    about: { readonly prevIndex: LogIndex | undefined; readonly force: boolean },
  ): void {
    this.#running(id);
    const at = this.lines.length;
    const change = this.cluster.change(id, changes, about);
    this.lines.splice(at, 0, `change ${change} at ${id}`);
    this.#rest();
  }

  /** The server's machine is saved, all that it has applied. */
  snapshot(id: ServerId): void {
    this.#running(id);
    const at = this.lines.length;
    const index = this.cluster.snapshot(id);
    this.lines.splice(at, 0, `${id} has a snapshot up to ${index}`);
    this.#rest();
  }

  /** Moves the clock to the server's deadline and says so to it alone. */
  expire(id: ServerId): void {
    this.#running(id);
    this.cluster.tick(id);
    this.#rest();
  }

  /** So much time passes; those servers are told when their deadlines are reached, one after the other. */
  pass(ms: number, ids: readonly ServerId[], after: () => void = () => {}): void {
    const end = this.cluster.now + ms;
    for (let i = 0; i < roundsMax; i++) {
      const due = ids.filter((id) => !this.down.has(id) && this.member(id).core.deadline <= end);
      if (due.length === 0) {
        this.cluster.now = end;
        return;
      }
      due.sort((a, b) => this.member(a).core.deadline - this.member(b).core.deadline);
      this.expire(due[0]!);
      after();
    }
    throw new ScriptError("the clock stands still");
  }

  /** Packets under way that are meant, oldest first. */
  find({ from, to, kind, sequence }: Selection): Packet[] {
    this.member(from);
    this.member(to);
    return this.cluster.between(from, to).filter(({ message }) =>
      (kind === undefined || kindOf(message) === kind) &&
      (sequence === undefined || ("sequence" in message && message.sequence === sequence))
    );
  }

  /** The oldest that is meant. */
  first(selection: Selection): Packet {
    const [packet] = this.find(selection);
    if (packet !== undefined) return packet;
    const all = this.cluster.network.map(({ from, to, message }) => `${from}->${to} ${messageText(message)}`);
    const { from, to, kind = "message" } = selection;
    throw new ScriptError(`no ${kind} is under way from ${from} to ${to}; under way: ${all.join("; ") || "nothing"}`);
  }

  /** Hands a packet over. */
  deliver(packet: Packet): void {
    this.take([packet]);
    if (this.down.has(packet.to)) this.lines.push(`${packet.to} is down: ${kindOf(packet.message)} is lost`);
    else this.cluster.hand(packet);
    this.#rest();
  }

  /** Takes packets off the network. */
  take(packets: readonly Packet[]): void {
    this.cluster.drop((packet) => packets.includes(packet));
  }

  /** Puts packets on the network, behind all others. */
  put(packets: readonly Packet[]): void {
    this.cluster.network.push(...packets);
    this.#rest();
  }

  /** Delivers, oldest first, until nothing is under way. */
  deliverAll(): void {
    for (let i = 0; i < roundsMax; i++) {
      const [packet] = this.cluster.network;
      if (packet === undefined) return;
      this.deliver(packet);
    }
    throw new ScriptError("the messages never end");
  }

  /** Delivers, sends and writes until there is nothing to do. No time passes. */
  stabilize(): void {
    for (let i = 0; i < roundsMax; i++) {
      const running = this.ids.filter((id) => !this.down.has(id));
      for (const id of running) {
        if (this.member(id).writes.length > 0) this.cluster.persist(id);
        while (this.member(id).asked.length > 0) this.cluster.send(id);
      }
      this.#rest();
      this.deliverAll();
      if (running.every((id) => this.member(id).writes.length + this.member(id).asked.length === 0)) return;
    }
    throw new ScriptError("the servers never come to rest");
  }

  /** Performs the oldest writes: all, or up to and including the first of that kind. */
  persist(id: ServerId, kind: "vote" | "entries" | undefined): void {
    const { writes } = this.#running(id);
    const wanted = kind === "vote" ? "vote-persisted" : "entries-persisted";
    const at = kind === undefined ? writes.length - 1 : writes.findIndex(({ event }) => event?.type === wanted);
    if (at < 0) throw new ScriptError(`"${id}" has no ${kind ?? "write"} to persist`);
    this.cluster.persist(id, at + 1);
    this.#rest();
  }

  /** Sends, or fails to send, the oldest append that the core asked for. */
  send(id: ServerId, works: boolean): void {
    if (this.#running(id).asked.length === 0) throw new ScriptError(`"${id}" has nothing to send`);
    this.cluster.send(id, works);
    this.#rest();
  }

  /** The process ends; the disk keeps what was written. */
  crash(id: ServerId): void {
    this.#running(id);
    this.down.add(id);
  }

  /** The process starts with what the disk keeps. */
  restart(id: ServerId): void {
    this.member(id);
    if (!this.down.delete(id)) throw new ScriptError(`"${id}" is not down`);
    this.cluster.restart(id);
    this.#rest();
  }

  /** Both lose what is under way between them, and hear of it. */
  disconnect(a: ServerId, b: ServerId): void {
    this.cluster.drop(({ from, to }) => (from === a && to === b) || (from === b && to === a));
    this.#toBoth(a, b, "peer-disconnected");
  }

  /** A new connection, on which each says which disk it has, where one is given. */
  connect(a: ServerId, b: ServerId, disks: Readonly<Record<ServerId, Disk>> = {}): void {
    this.#toBoth(a, b, "peer-connected", disks);
  }

  #toBoth(
    a: ServerId,
    b: ServerId,
    type: "peer-connected" | "peer-disconnected",
    disks: Readonly<Record<ServerId, Disk>> = {},
  ): void {
    for (const [id, peer] of [[a, b], [b, a]] as const) {
      const disk = disks[peer];
      if (!this.down.has(id)) this.step(id, { type, peer, ...disk === undefined ? {} : { disk } });
    }
  }

  /** All that is true of a server, and of a leader what it knows of its peers. */
  words(id: ServerId): string[] {
    const { leading } = this.member(id).core.state;
    const matches = [...leading?.progress ?? []].map(([peer, { matchIndex }]) => `match.${peer}=${matchIndex}`);
    // What `announce-configuration` says, in one word.
    const text = configurationText(configurationOf(this.member(id).core.state));
    const configuration = text.replace(" / ", "/").replaceAll(" ", ",");
    return [...wordsOf(this.#summary(this.member(id))), ...matches, `servers=${configuration}`];
  }

  /** A server in one line. */
  summary(id: ServerId): string {
    return summaryText(id, this.#summary(this.member(id)));
  }

  /** What a leader knows of its peers. */
  progress(id: ServerId): string[] {
    return this.down.has(id) ? [] : progressText(this.member(id).core.state);
  }

  #summary({ id, core, log, disk }: Member): Parameters<typeof wordsOf>[0] {
    const onDisk = { ...disk.vote, terms: disk.log.map((entry) => entry.term) };
    return { state: core.state, terms: log.map((entry) => entry.term), disk: onDisk, down: this.down.has(id) };
  }

  /** Takes what happened since. */
  takeLines(): string[] {
    return this.lines.splice(0);
  }
}
