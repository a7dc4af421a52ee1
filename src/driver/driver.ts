/**
 * The driver: feeds one core with what happens and performs what it asks for. It decides nothing.
 *
 * @module
 */
import { Core } from "../core/core.ts";
import type { Effect } from "../core/effect.ts";
import type { Event } from "../core/event.ts";
import { configurationOf } from "../core/membership.ts";
import type { CoreState } from "../core/state.ts";
import { type LeaderHint, RaftError, ShutdownError, StorageError } from "../errors.ts";
import type { EventHub } from "../events.ts";
import type { Codec, StateMachine } from "../machine.ts";
import type { Message } from "../message.ts";
import type { Logger, RaftSettings } from "../options.ts";
import { LogCache } from "../store/log_cache.ts";
import type { Store, StoreState } from "../store/store.ts";
import type { RemoteServer, TransportLink, TransportTrouble } from "../transport/transport.ts";
import { EntryType, type LogIndex, type ServerAddress, type ServerId, type Term } from "../types.ts";
import { encodeCommands, type ForwardedCommand } from "../wire/command_codec.ts";
import { encodeConfiguration } from "../wire/configuration.ts";
import { decodeMessage, encodeMessage } from "../wire/message_codec.ts";
import { encodeRecords, type EntryParts, type Records } from "../wire/record.ts";
import { Applier } from "./applier.ts";
import { Deadline } from "./deadline.ts";
import type { Environment } from "./environment.ts";
import { Pending } from "./pending.ts";
import type { Proposal } from "./proposal.ts";
import { Reads } from "./reads.ts";
import { Sender } from "./sender.ts";
import { Writer } from "./writer.ts";

/** What a driver is made of. */
export interface DriverParts<Command, Result> {
  readonly id: ServerId;
  readonly settings: RaftSettings;
  readonly machine: StateMachine<Command, Result>;
  readonly codec: Codec<Command>;
  readonly store: Store;
  readonly found: StoreState;
  readonly environment: Environment;
  readonly events: EventHub;
  readonly logger: Logger;
}

/** Where proposals of the step under way come from. */
type Origin =
  | { readonly type: "own"; readonly proposals: readonly Proposal[] }
  | { readonly type: "peer"; readonly peer: ServerId; readonly id: number; readonly entries: readonly EntryParts[] };

/** An event with what travels beside it. */
interface Item {
  readonly event: Event;
  readonly records?: Records | undefined;
  readonly origin?: Origin | undefined;
}

/** How often calls that wait are looked through, milliseconds. */
const sweepMs = 50;

/** One server's driver. {@linkcode Driver.start} begins, {@linkcode Driver.stop} ends; nothing happens after that. */
export class Driver<Command, Result> {
  readonly #parts: DriverParts<Command, Result>;
  readonly #environment: Environment;
  readonly #core: Core;
  readonly #cache: LogCache;
  readonly #writer: Writer;
  readonly #sender: Sender;
  readonly #applier: Applier<Command, Result>;
  readonly #deadline: Deadline;
  #link: TransportLink | undefined;
  #inbox: Item[] = [];
  #turnScheduled = false;
  #stopped = false;
  #lastTimeMs: number;
  /** The latest term that is on disk: no message claims a later one (E4). */
  #durableTerm: Term;
  /** The server that lately said it does not lead, while we still believe it does: not asked again at once. */
  #refusedBy: ServerId | undefined;
  #sweepTimer: unknown;
  /** Peers that asked our core for a read index, by the number given to it; negative, so that they differ from ours. */
  readonly #remoteReads = new Map<number, { readonly peer: ServerId; readonly id: number }>();
  #nextRemoteRead = -1;
  readonly #connected = new Map<ServerId, ServerAddress>();
  readonly #addresses = new Map<ServerId, ServerAddress>();
  #initialEffects: Effect[];
  #adoptedClusterId: string;

  /** Commands and reads that wait. */
  readonly pending: Pending;
  readonly reads: Reads;
  /** Counters since the start. */
  readonly counters = { elections: 0, leaderChanges: 0, protocolErrors: 0, sendsDropped: 0 };
  /** Called once, when the server can't go on. */
  onFatal: (error: RaftError) => void = () => {};
  /** Called when the role, term or leader changed. */
  onRole: () => void = () => {};
  /** Called when a leadership transfer ended without a new leader. */
  onTransferFailed: () => void = () => {};

  /** Takes opened parts; nothing happens before `start`. */
  constructor(parts: DriverParts<Command, Result>) {
    const { found, store, settings, environment } = parts;
    this.#parts = parts;
    this.#environment = environment;
    this.#lastTimeMs = found.lastTimeMs;
    this.#durableTerm = found.vote.term;
    this.#adoptedClusterId = found.identity.clusterId;
    const { core, effects } = Core.start({
      id: parts.id,
      settings,
      seed: environment.randomSeed(),
      now: environment.now(),
      vote: found.vote,
      firstIndex: found.firstIndex,
      lastIndex: found.lastIndex,
      terms: found.terms,
      configurations: found.configurations,
    });
    this.#core = core;
    this.#initialEffects = effects;
    this.#cache = new LogCache(settings.logCacheBytesMax, found.lastIndex + 1);
    this.pending = new Pending(environment, settings);
    this.reads = new Reads(environment, settings.leaderWaitMs);
    this.#writer = new Writer(store, environment, {
      onPersisted: (event) => this.#onPersisted(event),
      onFailure: (error) => this.fail(error),
    });
    this.#sender = new Sender(this.#cache, store, {
      isLeading: (term) => this.#core.state.term === term && this.#core.state.role === "leader",
      transmit: (to, frame) => this.#transmit(to, frame),
      report: (event) => this.#enqueue({ event }),
      onFailure: (error) => this.fail(error),
    });
    const log = { cache: this.#cache, store };
    this.#applier = new Applier(parts.machine, parts.codec, log, environment, {
      onApplied: (index, term, applied) => this.pending.onApplied(index, term, applied),
      onPause: (upTo) => this.#onApplied(upTo),
      onFailure: (error) => this.fail(error),
    }, found.firstIndex - 1);
    this.#deadline = new Deadline(environment, (lateMs) => this.#onDeadline(lateMs));
  }

  /** What the core knows; not to be changed. */
  get state(): Readonly<CoreState> {
    return this.#core.state;
  }

  /** Index of the last entry that the machine has applied. */
  get appliedIndex(): LogIndex {
    return this.#applier.appliedIndex;
  }

  /** The leader that is followed now, with its address. */
  get leader(): LeaderHint | undefined {
    const { leader } = this.#core.state;
    return leader === undefined ? undefined : { id: leader, address: this.#addressOf(leader) };
  }

  /** The cluster that this server belongs to; empty until it is known. */
  get clusterId(): string {
    return this.#adoptedClusterId;
  }

  /** Whether that peer can be talked to now. */
  isConnected(peer: ServerId): boolean {
    return this.#connected.has(peer);
  }

  /** Begins, over this link. */
  start(link: TransportLink): void {
    this.#link = link;
    this.#guard(() => this.#performAll(this.#initialEffects, { event: { type: "drained" } }));
    this.#deadline.set(this.#core.deadline);
  }

  /** Takes a command. */
  propose(proposal: Proposal): void {
    this.pending.add(proposal);
    this.#schedule();
  }

  /** Takes a read. */
  read(read: Parameters<Reads["add"]>[0]): void {
    this.reads.add(read);
    this.#schedule();
  }

  /** Takes a read that any state will do for. */
  readStale(read: Parameters<Reads["add"]>[0]): void {
    this.reads.addStale(read);
    this.#schedule();
  }

  /** Asks the core to hand leadership over. */
  transfer(to?: ServerId): void {
    this.#enqueue({ event: { type: "transfer-requested", to } });
  }

  /** Ends: every call that waits gets its answer; done when the write under way is. Idempotent. */
  async stop(cause: unknown = new ShutdownError()): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#deadline.stop();
      this.#environment.clearTimeout(this.#sweepTimer);
      this.#applier.close();
      this.pending.close(cause);
      this.reads.close(cause);
      this.#inbox = [];
    }
    await this.#writer.close();
  }

  /** The server can't go on. */
  fail(error: unknown): void {
    if (this.#stopped) return;
    const fatal = error instanceof RaftError
      ? error
      : new StorageError(`Cannot go on: ${error instanceof Error ? error.message : String(error)}`, "write", error);
    this.#parts.logger.error(`${this.#parts.id} stopped: ${fatal.message}`);
    this.stop(fatal);
    this.onFatal(fatal);
  }

  // --- what happens ---

  /** A frame came in; see {@linkcode TransportHandler}. */
  onFrame(from: RemoteServer, frame: Uint8Array): void {
    if (this.#stopped) return;
    const { message, records, commands } = decodeMessage(frame);
    switch (message.type) {
      case "forward-request":
        return this.#onForwardRequest(from.serverId, message.id, commands ?? []);
      case "forward-response": {
        const back = this.pending.onForwardResponse(from.serverId, message, this.appliedIndex);
        if (back.length === 0) return;
        this.#refusedBy = from.serverId;
        this.pending.requeue(back, this.leader);
        return this.#schedule();
      }
      case "read-request":
        return this.#onReadRequest(from.serverId, message.id);
      case "read-response":
        return this.#onReadResponse(from.serverId, message.id, message.index);
      default:
        if (message.type === "append-request") this.#adoptCluster(from);
        return this.#enqueue({ event: { type: "message-received", from: from.serverId, message }, records });
    }
  }

  /** See {@linkcode TransportHandler}. */
  onConnect(peer: RemoteServer): void {
    this.#connected.set(peer.serverId, peer.address);
    this.#parts.events.emit({ type: "peer-connected", peer: peer.serverId, address: peer.address });
    this.#enqueue({ event: { type: "peer-connected", peer: peer.serverId } });
  }

  /** See {@linkcode TransportHandler}. */
  onDisconnect(peer: ServerId, reason: string): void {
    this.#connected.delete(peer);
    this.#parts.events.emit({ type: "peer-disconnected", peer, reason });
    this.pending.onPeerLost(peer);
    this.reads.onLeaderLost(peer);
    this.#enqueue({ event: { type: "peer-disconnected", peer } });
  }

  /** See {@linkcode TransportHandler}. */
  onTrouble({ kind, peer, address, reason }: TransportTrouble): void {
    if (kind === "protocol-error" || kind === "handshake-refused") this.counters.protocolErrors++;
    this.#parts.events.emit({ type: "peer-trouble", peer, kind, reason });
    this.#parts.logger.warn(`${this.#parts.id}: ${kind} (${peer ?? address ?? "unknown peer"}): ${reason}`);
  }

  /** An empty server belongs to the cluster of the first leader that finds it. */
  #adoptCluster(from: RemoteServer): void {
    if (this.#adoptedClusterId !== "" || from.clusterId === "") return;
    this.#adoptedClusterId = from.clusterId;
    this.#writer.adoptCluster(from.clusterId);
  }

  #onForwardRequest(peer: ServerId, id: number, commands: readonly ForwardedCommand[]): void {
    this.#enqueue({
      event: { type: "proposed", count: commands.length },
      origin: { type: "peer", peer, id, entries: commands },
    });
  }

  #onReadRequest(peer: ServerId, id: number): void {
    const own = this.#nextRemoteRead--;
    this.#remoteReads.set(own, { peer, id });
    this.#enqueue({ event: { type: "read-requested", id: own } });
  }

  #onReadResponse(peer: ServerId, id: number, index: LogIndex | undefined): void {
    if (index !== undefined) this.reads.onIndex(id, peer, index);
    else {
      this.#refusedBy = peer;
      this.reads.onRefused(id, peer);
    }
    this.#schedule();
  }

  #onPersisted(event: Extract<Event, { type: "vote-persisted" | "entries-persisted" }>): void {
    if (event.type === "entries-persisted") this.#cache.durableEnd = event.end;
    this.#enqueue({ event });
  }

  #onApplied(upTo: LogIndex): void {
    if (upTo > this.#core.state.appliedIndex) this.#enqueue({ event: { type: "applied", upTo } });
    this.reads.onApplied(upTo);
  }

  #onDeadline(lateMs: number): void {
    // A turn this late says that the process did not run: what it believes about time and peers is old.
    if (lateMs > this.#parts.settings.leaseMs / 2) this.#enqueue({ event: { type: "clock-jumped" } });
    this.#enqueue({ event: { type: "deadline-reached" } });
  }

  #enqueue(item: Item): void {
    if (this.#stopped) return;
    this.#inbox.push(item);
    this.#schedule();
  }

  // --- turns ---

  #schedule(): void {
    if (this.#turnScheduled || this.#stopped) return;
    this.#turnScheduled = true;
    this.#environment.defer(() => {
      this.#turnScheduled = false;
      if (!this.#stopped) this.#guard(() => this.#turn());
    });
  }

  /** Takes all that has come, then lets the core send, then begins a write: until nothing is left to do. */
  #turn(): void {
    // Until the turn ends, what it causes is taken by its own loop.
    this.#turnScheduled = true;
    do {
      const inbox = this.#inbox;
      this.#inbox = [];
      for (const item of inbox) this.#take(item);
      this.#proposeQueued();
      this.#askQueued();
      if (this.#inbox.length > 0) continue;
      this.#take({ event: { type: "drained" } });
      this.#writer.flush();
      if (!this.#applier.isBusy) this.reads.onApplied(this.appliedIndex);
    } while (this.#inbox.length > 0 && !this.#stopped);
    this.#turnScheduled = false;
    if (this.#stopped) return;
    this.#deadline.set(this.#core.deadline);
    this.#armSweep();
  }

  #take(item: Item): void {
    if (this.#stopped) return;
    this.#performAll(this.#core.step(item.event, this.#environment.now()), item);
    const { term, voteAsked, votePersisted } = this.#core.state;
    if (voteAsked === votePersisted) this.#durableTerm = term;
  }

  /** Commands of this turn go to our own log, to the leader, or wait for one. */
  #proposeQueued(): void {
    if (!this.pending.hasQueued) return;
    const leader = this.#leaderToAsk();
    if (leader === undefined) return;
    const proposals = this.pending.takeQueued();
    if (proposals.length === 0) return;
    if (leader !== this.#parts.id) return this.#forward(leader, proposals);
    this.#take({ event: { type: "proposed", count: proposals.length }, origin: { type: "own", proposals } });
  }

  /** The leader, when it can be asked now: this server, or a peer that is connected. */
  #leaderToAsk(): ServerId | undefined {
    const { leader } = this.#core.state;
    if (leader === undefined || leader === this.#parts.id) return leader;
    return this.#connected.has(leader) && leader !== this.#refusedBy ? leader : undefined;
  }

  #forward(leader: ServerId, proposals: readonly Proposal[]): void {
    for (const batch of frameSized(proposals, this.#parts.settings.appendBytesMax)) {
      const id = this.pending.forward(leader, batch);
      const message: Message = { type: "forward-request", term: this.#durableTerm, id, count: batch.length };
      if (this.#transmit(leader, encodeMessage(message, encodeCommands(batch)))) continue;
      this.pending.requeue(this.pending.takeBack(id), this.leader);
    }
  }

  /** Reads of this turn share one question, to our own core or to the leader. */
  #askQueued(): void {
    if (!this.reads.hasQueued) return;
    const leader = this.#leaderToAsk();
    if (leader === undefined) return;
    if (leader === this.#parts.id) {
      return this.#take({ event: { type: "read-requested", id: this.reads.ask(undefined) } });
    }
    const id = this.reads.ask(leader);
    if (!this.#sendMessage(leader, { type: "read-request", term: this.#durableTerm, id })) {
      this.reads.onRefused(id, leader);
    }
  }

  #armSweep(): void {
    if (this.#sweepTimer !== undefined || !(this.pending.needsSweep || this.reads.needsSweep)) return;
    this.#sweepTimer = this.#environment.setTimeout(() => {
      this.#sweepTimer = undefined;
      this.#refusedBy = undefined;
      this.pending.sweep();
      this.reads.sweep();
      this.#schedule();
    }, sweepMs);
  }

  /** A broken invariant, in the core or beside it, stops the server before harm is done. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#turnScheduled = false;
      this.fail(error);
    }
  }

  // --- effects ---

  #performAll(effects: readonly Effect[], item: Item): void {
    for (const effect of effects) this.#perform(effect, item);
  }

  /** The only switch over effects. */
  #perform(effect: Effect, item: Item): void {
    switch (effect.type) {
      case "append":
        return this.#append(effect, item);
      case "replicate":
        return this.#sender.replicate(effect);
      case "send":
        if (!this.#sendMessage(effect.to, effect.message)) this.counters.sendsDropped++;
        return;
      case "apply":
        return this.#applier.advance(effect.upTo);
      case "persist-vote":
        return this.#writer.vote({ term: effect.term, votedFor: effect.votedFor }, effect.sequence);
      case "truncate":
        this.#cache.truncateFrom(effect.from);
        return this.#writer.truncate(effect.from);
      case "refuse-proposals":
        return this.#refuseProposals(effect, item.origin);
      case "answer-read":
        return this.#answerRead(effect.id, effect.index);
      case "refuse-read":
        return this.#answerRead(effect.id, undefined);
      case "announce-role":
        return this.#announceRole(effect);
      case "announce-configuration":
        return this.#announceConfiguration(effect);
      case "announce-transfer-failed":
        this.#parts.logger.warn(`${this.#parts.id}: leadership transfer failed: ${effect.reason}`);
        return this.onTransferFailed();
    }
  }

  #append(effect: Extract<Effect, { type: "append" }>, item: Item): void {
    const { from, end, term, epoch } = effect;
    const records = effect.source === "message" ? item.records!.slice(from, end) : this.#encode(effect, item.origin);
    this.#lastTimeMs = records.timeMs(end - 1);
    this.#cache.append(records);
    this.#writer.append(records, epoch);
    if (effect.source !== "proposals") return;
    const origin = item.origin!;
    if (origin.type === "own") return this.pending.place(origin.proposals, from, term);
    const { peer, id } = origin;
    this.#sendMessage(peer, {
      type: "forward-response",
      term: this.#durableTerm,
      id,
      from,
      entryTerm: term,
      refusal: undefined,
      leader: undefined,
    });
  }

  #encode(effect: Extract<Effect, { type: "append" }>, origin: Origin | undefined): Records {
    // The leader's clock may go back; the log's time does not.
    const timeMs = Math.max(this.#lastTimeMs, Math.floor(this.#environment.wallNow()));
    return encodeRecords(effect.from, effect.term, timeMs, entriesOf(effect, origin));
  }

  #refuseProposals(
    { reason, leader }: Extract<Effect, { type: "refuse-proposals" }>,
    origin: Origin | undefined,
  ): void {
    if (origin === undefined) return;
    if (origin.type === "own") return this.pending.requeue(origin.proposals, this.leader);
    const { peer, id } = origin;
    const term = this.#durableTerm;
    this.#sendMessage(peer, { type: "forward-response", term, id, from: 0, entryTerm: 0, refusal: reason, leader });
  }

  #answerRead(id: number, index: LogIndex | undefined): void {
    const remote = this.#remoteReads.get(id);
    if (remote !== undefined) {
      this.#remoteReads.delete(id);
      this.#sendMessage(remote.peer, { type: "read-response", term: this.#durableTerm, id: remote.id, index });
    } else if (index === undefined) this.reads.onRefused(id, undefined);
    else this.reads.onIndex(id, undefined, index);
  }

  #announceRole({ role, term, leader, reason }: Extract<Effect, { type: "announce-role" }>): void {
    const { id, events, logger } = this.#parts;
    logger.info(`${id}: ${role} in term ${term}, leader ${leader ?? "unknown"} (${reason})`);
    if (role === "candidate") this.counters.elections++;
    events.emit({ type: "role", role, term, reason });
    this.#announceLeader(leader, term);
    this.onRole();
  }

  #lastLeader: { readonly id: ServerId | undefined; readonly term: Term } = { id: undefined, term: 0 };

  #announceLeader(leader: ServerId | undefined, term: Term): void {
    const before = this.#lastLeader;
    if (before.id === leader && (before.term === term || leader === undefined)) return;
    this.#lastLeader = { id: leader, term };
    this.#refusedBy = undefined;
    if (before.id !== undefined) {
      this.pending.onLeaderLost();
      this.reads.onLeaderLost(undefined);
    }
    if (leader !== undefined) this.counters.leaderChanges++;
    this.#parts.events.emit({ type: "leader", leader: this.leader, term });
  }

  #announceConfiguration({ index, configuration }: Extract<Effect, { type: "announce-configuration" }>): void {
    this.#addresses.clear();
    for (const server of configuration.servers) this.#addresses.set(server.id, server.address);
    const peers = configuration.servers.filter(({ id }) => id !== this.#parts.id);
    this.#link?.setPeers(peers.map(({ id, address }) => ({ id, address })));
    this.#parts.events.emit({ type: "configuration", index, configuration });
  }

  // --- sending ---

  #sendMessage(to: ServerId, message: Message): boolean {
    return this.#transmit(to, encodeMessage(message));
  }

  #transmit(to: ServerId, frame: readonly Uint8Array[]): boolean {
    const address = this.#addressOf(to);
    return address !== undefined && this.#link !== undefined && this.#link.send(to, address, "consensus", frame);
  }

  /** The configuration says where a server is; one that it does not know said so itself when it connected. */
  #addressOf(id: ServerId): ServerAddress | undefined {
    return this.#addresses.get(id) ?? this.#connected.get(id);
  }

  /** The servers of the configuration in force. */
  get servers(): ReturnType<typeof configurationOf>["servers"] {
    return configurationOf(this.#core.state as CoreState).servers;
  }
}

function entriesOf(effect: Extract<Effect, { type: "append" }>, origin: Origin | undefined): readonly EntryParts[] {
  switch (effect.source) {
    case "proposals":
      return origin!.type === "own" ? origin!.proposals : origin!.entries;
    case "configuration":
      return [{ type: EntryType.configuration, payload: encodeConfiguration(effect.configuration!) }];
    default:
      return [{ type: EntryType.noop, payload: new Uint8Array() }];
  }
}

/** Cuts commands into batches that fit into a frame; a larger one travels alone. */
function* frameSized(proposals: readonly Proposal[], bytesMax: number): Generator<readonly Proposal[]> {
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < proposals.length; i++) {
    const size = proposals[i]!.payload.length;
    if (i > from && bytes + size > bytesMax) {
      yield proposals.slice(from, i);
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < proposals.length) yield proposals.slice(from);
}
