/**
 * A few cores joined by a network that a script drives: nothing is delivered, persisted or timed unless the script says
 * so (or asks for `immediate` persistence). After each step the checker looks for broken invariants.
 *
 * @module
 */
import { Core } from "../../src/core/core.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { CoreMessage } from "../../src/message.ts";
import type { Event } from "../../src/core/event.ts";
import type { CoreSettings, CoreState } from "../../src/core/state.ts";
import type { ConfigurationChange, LogIndex, ServerId, Term } from "../../src/types.ts";
import { Checker } from "./checker.ts";
import { configurationsIn, type Disk, diskOf, type Entry, type Snapshot, snapshotOf } from "./disk.ts";
import { configuration, runsOf, settings } from "./states.ts";

/** A message under way, with the entries that travel beside it. */
export interface Packet {
  readonly from: ServerId;
  readonly to: ServerId;
  readonly message: CoreMessage;
  readonly entries: readonly Entry[];
}

interface Write {
  perform(disk: Disk): void;
  readonly event: Event | undefined;
}

type Replicate = Extract<Effect, { type: "replicate" }>;
type Append = Extract<Effect, { type: "append" }>;

/** One server: the core and a driver that does only what it is told. */
export interface Member {
  readonly id: ServerId;
  core: Core;
  /** What memory holds: the log as the driver knows it. */
  log: Entry[];
  disk: Disk;
  /** Writes asked for and not done, oldest first. */
  writes: Write[];
  /** Appends asked for and not sent, oldest first. */
  asked: Replicate[];
  /** What a leader offers; it is whole at once. */
  offered: { readonly from: ServerId; readonly snapshot: Snapshot } | undefined;
  /** Answered reads by id; undefined when refused. */
  reads: Map<number, LogIndex | undefined>;
  /** All effects since the start. */
  trace: Effect[];
}

/** How a cluster behaves; see {@linkcode configuration} for `servers`. */
export interface ClusterOptions {
  readonly servers?: string;
  /** Ids of servers that run and have nothing, not even entry 1. */
  readonly newcomers?: readonly ServerId[];
  readonly settings?: Partial<CoreSettings>;
  /** Default: `immediate`. */
  readonly persistence?: "immediate" | "delayed";
  /** Default: `immediate`. */
  readonly sending?: "immediate" | "delayed";
  readonly seed?: number;
  /** Settings of single servers, over `settings`. */
  readonly settingsOf?: Readonly<Record<ServerId, Partial<CoreSettings>>>;
  /**
   * Terms of the entries that a server starts with; the first is the configuration's. Default: that one, of term 1.
   * Entries of one index and term are the same everywhere, and every server has heard of the last term of all.
   */
  readonly logs?: Readonly<Record<ServerId, readonly Term[]>>;
  /** Is told all that happens, in order. */
  readonly observer?: Observer;
  /** One step of a core: tests put broken ones in its place. */
  readonly stepCore?: StepCore;
}

/** One step of a core. */
export type StepCore = (state: CoreState, event: Event, now: number) => Effect[];

/** Watches a cluster. */
export interface Observer {
  onEffect(id: ServerId, effect: Effect): void;
  onPacket(packet: Packet): void;
}

/** Bytes of one entry. */
const entryBytes = 100;

/** A cluster. Every server starts with the same entry 1, the configuration. */
export class Cluster {
  readonly members: Map<ServerId, Member> = new Map();
  readonly network: Packet[] = [];
  readonly checker: Checker = new Checker(this);
  readonly options: ClusterOptions;
  now = 0;
  #starts = 0;
  #values = 0;
  #reads = 0;
  #changes = 0;

  constructor(options: ClusterOptions = {}) {
    this.options = options;
    const first = { term: 1, value: "configuration", configuration: configuration(options.servers ?? "a b c") };
    const term = Math.max(1, ...Object.values(options.logs ?? {}).flat());
    for (const { id } of first.configuration.servers) {
      const [, ...terms] = options.logs?.[id] ?? [1];
      const rest = terms.map((term, i) => ({ term, value: `entry ${i + 2} of term ${term}` }));
      this.#start(id, diskOf({ term, votedFor: undefined }, [first, ...rest]));
    }
    for (const id of options.newcomers ?? []) this.#start(id, diskOf({ term: 0, votedFor: undefined }, []));
  }

  #start(id: ServerId, disk: Disk): void {
    const { core, effects } = Core.start({
      id,
      settings: { ...settings, ...this.options.settings, ...this.options.settingsOf?.[id] },
      seed: (this.options.seed ?? 0) * 1000 + this.#starts++,
      now: this.now,
      vote: disk.vote,
      firstIndex: disk.firstIndex,
      prevTerm: disk.log[disk.firstIndex - 2]?.term ?? 0,
      lastIndex: disk.log.length,
      terms: runsOf(disk.log.slice(disk.firstIndex - 1).map((entry) => entry.term), disk.firstIndex),
      configurations: configurationsIn(disk.log, disk.firstIndex),
      damaged: [],
      snapshot: disk.snapshot,
    });
    const rest = { writes: [], asked: [], offered: undefined, reads: new Map(), trace: effects };
    this.members.set(id, { id, core, log: [...disk.log], disk, ...rest });
  }

  /** The server of that id. */
  of(id: ServerId): Member {
    return this.members.get(id)!;
  }

  /** Ids of the servers that believe to lead. */
  get leaders(): ServerId[] {
    return [...this.members.values()].filter(({ core }) => core.state.role === "leader").map(({ id }) => id);
  }

  /** Terms of a server's log. */
  terms(id: ServerId): Term[] {
    return this.of(id).log.map((entry) => entry.term);
  }

  /** One event and, after all that follows from it at once, the end of the turn. */
  step(id: ServerId, event: Event, entries: readonly Entry[] = []): void {
    this.#step(id, event, entries);
    for (let turns = 0; this.#step(id, { type: "drained" }, []) > 0; turns++) {
      if (turns > 1000) throw new Error(`"${id}" always finds something more to do`);
    }
  }

  #step(id: ServerId, event: Event, entries: readonly Entry[]): number {
    const member = this.of(id);
    const looked = this.checker.before(member, event);
    const { stepCore } = this.options;
    const effects = stepCore?.(member.core.state, event, this.now) ?? member.core.step(event, this.now);
    const follow: Event[] = [];
    for (const effect of effects) {
      member.trace.push(effect);
      this.options.observer?.onEffect(id, effect);
      const next = this.#perform(member, effect, event, entries);
      if (next !== undefined) follow.push(next);
    }
    this.checker.after(member, event, effects, looked);
    for (const next of follow) this.#step(id, next, []);
    if (this.options.persistence !== "delayed") this.#persistAll(member);
    return effects.length;
  }

  #perform(member: Member, effect: Effect, event: Event, entries: readonly Entry[]): Event | undefined {
    switch (effect.type) {
      case "persist-vote": {
        const { term, votedFor, sequence } = effect;
        member.writes.push({
          perform: (disk) => disk.vote = { term, votedFor },
          event: { type: "vote-persisted", sequence },
        });
        return;
      }
      case "truncate":
        member.log.length = effect.from - 1;
        member.writes.push({ perform: (disk) => disk.log.length = effect.from - 1, event: undefined });
        return;
      case "append":
        return this.#append(member, effect, event, entries);
      case "send":
        this.#post({ from: member.id, to: effect.to, message: effect.message, entries: [] });
        return;
      case "replicate":
        if (this.options.sending !== "delayed") return this.#cut(member, effect);
        member.asked.push(effect);
        return;
      case "apply":
        return { type: "applied", upTo: effect.upTo };
      case "compact":
        member.writes.push({ perform: (disk) => disk.firstIndex = effect.firstIndex, event: undefined });
        return;
      case "send-snapshot":
        return this.#offer(member, effect.to, effect.term);
      case "receive-snapshot":
        return { type: "snapshot-received", ...member.offered!.snapshot };
      case "install-snapshot":
        return this.#install(member, effect.epoch);
      case "answer-read":
        member.reads.set(effect.id, effect.index);
        return;
      case "refuse-read":
        member.reads.set(effect.id, undefined);
        return;
    }
  }

  #append(member: Member, effect: Append, event: Event, entries: readonly Entry[]): undefined {
    const { source, from, end, term, epoch } = effect;
    if (from !== member.log.length + 1) throw new Error(`append at ${from} to a log of ${member.log.length}`);
    const added: Entry[] = [];
    if (source === "message") {
      if (event.type !== "message-received" || event.message.type !== "append-request") throw new Error("no message");
      const skipped = from - event.message.prevIndex - 1;
      added.push(...entries.slice(skipped, skipped + end - from));
    } else {
      const { configuration } = effect;
      for (let i = from; i < end; i++) {
        const value = `${source} ${member.id} ${++this.#values}`;
        added.push(configuration === undefined ? { term, value } : { term, value, configuration });
      }
    }
    if (added.length !== end - from) throw new Error(`${added.length} entries for [${from}, ${end})`);
    member.log.push(...added);
    const perform = (disk: Disk) => {
      if (disk.log.length !== from - 1) throw new Error("writes must be in order");
      disk.log.push(...added);
    };
    member.writes.push({ perform, event: { type: "entries-persisted", end, epoch } });
  }

  /** A snapshot travels in one packet. */
  #offer({ id, disk }: Member, to: ServerId, term: Term): Event {
    const { index, term: lastTerm, configuration, configurationIndex, entries } = disk.snapshot!;
    const about = { index, lastTerm, configuration, configurationIndex, timeMs: 0, bytes: 0, checksum: 0 };
    this.#post({ from: id, to, message: { type: "snapshot-request", term, id: index, ...about }, entries });
    return { type: "snapshot-sending", to, term, index };
  }

  #install(member: Member, epoch: number): Event {
    const { from, snapshot } = member.offered!;
    const { index, entries } = snapshot;
    member.log = [...entries];
    const perform = (disk: Disk) => {
      Object.assign(disk, { log: [...entries], firstIndex: index + 1, snapshot });
      const about = { id: index, status: "done", offset: 0 } as const;
      const message: CoreMessage = { type: "snapshot-response", term: disk.vote.term, ...about };
      this.#post({ from: member.id, to: from, message, entries: [] });
    };
    member.writes.push({ perform, event: { type: "entries-persisted", end: index + 1, epoch } });
    return { type: "applied", upTo: index };
  }

  /** The sender's work: cuts entries, sends them, says so. */
  #cut(member: Member, effect: Replicate): Event | undefined {
    const { to, term, sequence, prevTerm, from, commitIndex, round, isLeased } = effect;
    const { state } = member.core;
    if (state.role !== "leader" || state.term !== term) return;
    const countMax = Math.min(effect.entriesMax, Math.max(1, Math.floor(effect.bytesMax / entryBytes)));
    const end = Math.min(effect.end, from + countMax);
    const entries = member.log.slice(from - 1, end - 1);
    const configurations = configurationsIn(member.log.slice(0, end - 1), from);
    const runs = runsOf(entries.map((entry) => entry.term), from);
    const about = { term, sequence, prevIndex: from - 1, prevTerm, end, runs, configurations };
    const message = { type: "append-request", ...about, commitIndex, round, isLeased } as const;
    this.#post({ from: member.id, to, message, entries });
    return { type: "sent", to, term, sequence, end, bytes: entries.length * entryBytes };
  }

  #post(packet: Packet): void {
    this.options.observer?.onPacket(packet);
    this.checker.onPacket(packet);
    this.network.push(packet);
  }

  /** Sends (or fails to send) the oldest append that was asked for; only with delayed sending. */
  send(id: ServerId, works = true): void {
    const member = this.of(id);
    const effect = member.asked.shift();
    if (effect === undefined) return;
    const { to, term, sequence } = effect;
    const event: Event | undefined = works ? this.#cut(member, effect) : { type: "send-failed", to, term, sequence };
    if (event !== undefined) this.step(id, event);
  }

  /** Performs the oldest writes, all by default. */
  persist(id: ServerId, count: number = Infinity): void {
    const member = this.of(id);
    for (let i = 0; i < count && member.writes.length > 0; i++) this.#persistOne(member);
    this.step(id, { type: "drained" });
  }

  #persistAll(member: Member): void {
    while (member.writes.length > 0) this.#persistOne(member);
  }

  #persistOne(member: Member): void {
    const { perform, event } = member.writes.shift()!;
    perform(member.disk);
    if (event !== undefined) this.#step(member.id, event, []);
  }

  /** Packets under way from one server to another. */
  between(from: ServerId, to: ServerId): Packet[] {
    return this.network.filter((packet) => packet.from === from && packet.to === to);
  }

  /** Takes packets off the network without delivering them. */
  drop(matches: (packet: Packet) => boolean): Packet[] {
    const dropped = this.network.filter(matches);
    const kept = this.network.filter((packet) => !matches(packet));
    this.network.splice(0, this.network.length, ...kept);
    return dropped;
  }

  /** Hands a packet to its addressee, wherever it was kept. */
  hand({ from, to, message, entries }: Packet): void {
    if (message.type === "snapshot-request") {
      this.of(to).offered = { from, snapshot: snapshotOf(message, entries) };
    }
    this.step(to, { type: "message-received", from, message }, entries);
    if (message.type !== "snapshot-response" || message.status !== "done") return;
    this.step(to, { type: "snapshot-sent", to: from, term: this.of(to).core.state.term, index: message.id });
  }

  /** Delivers the oldest packet between the two; says what it was. */
  deliver(from: ServerId, to: ServerId): Packet {
    const packet = this.between(from, to)[0];
    if (packet === undefined) throw new Error(`nothing is under way from "${from}" to "${to}"`);
    this.drop((other) => other === packet);
    this.hand(packet);
    return packet;
  }

  /** Delivers (and persists) until nothing is under way among these servers; what goes elsewhere is dropped. */
  settle(among: readonly ServerId[] = [...this.members.keys()]): void {
    for (let i = 0; i < 10_000; i++) {
      for (const id of among) {
        if (this.of(id).writes.length > 0) this.persist(id);
        while (this.of(id).asked.length > 0) this.send(id);
      }
      this.drop(({ from, to }) => !among.includes(from) || !among.includes(to));
      const [next] = this.network;
      if (next === undefined) return;
      this.deliver(next.from, next.to);
    }
    throw new Error("the cluster never comes to rest");
  }

  /** Moves the clock to the server's deadline (if that is later) and says so to it alone. */
  tick(id: ServerId): void {
    this.now = Math.max(this.now, this.of(id).core.deadline);
    this.step(id, { type: "deadline-reached" });
  }

  /** So much later, the server campaigns among these (in a few terms, if it must) and wins. */
  elect(id: ServerId, among?: readonly ServerId[]): void {
    for (let attempts = 0; attempts < 3; attempts++) {
      this.now += 2000;
      this.tick(id);
      this.settle(among);
      if (this.leaders.includes(id)) return;
    }
    throw new Error(`"${id}" was not elected`);
  }

  /** Commands for a server; the values they get are the harness's. */
  propose(id: ServerId, count = 1): void {
    this.step(id, { type: "proposed", count });
  }

  /** Asks a server for an index to read at; gives back the id of the read. */
  read(id: ServerId): number {
    const read = ++this.#reads;
    this.checker.onRead(read);
    this.step(id, { type: "read-requested", id: read });
    return read;
  }

  /** Asks a server for other servers; gives back the number of the change. */
  change(
    id: ServerId,
    changes: readonly ConfigurationChange[],
    about: { readonly prevIndex?: LogIndex | undefined; readonly force?: boolean } = {},
  ): number {
    const { prevIndex, force = false } = about;
    const change = ++this.#changes;
    this.step(id, { type: "change-requested", id: change, changes, prevIndex, force });
    return change;
  }

  /** A snapshot of all that the server has applied is durable; gives back its last entry. */
  snapshot(id: ServerId): LogIndex {
    const { core: { state: { appliedIndex: index } }, log, disk } = this.of(id);
    const entries = log.slice(0, index);
    const { term } = entries[index - 1]!;
    const { index: configurationIndex, configuration } = configurationsIn(entries, 1).at(-1)!;
    disk.snapshot = { index, term, configuration, configurationIndex, entries };
    this.step(id, { type: "snapshot-persisted", index, term });
    return index;
  }

  /** Power cut and start: only what is on disk stays. */
  restart(id: ServerId): void {
    const { disk } = this.of(id);
    this.checker.onRestart(id);
    this.#start(id, { ...disk, log: [...disk.log] });
  }
}
