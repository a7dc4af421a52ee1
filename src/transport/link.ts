/**
 * One server's side of a transport: whom it is connected to, when it dials, which of two connections stays. Shared by
 * all transports, which differ only in what a connection is made of.
 *
 * **Who dials.** Either side does, whenever it wants to send and has no connection: an address may work in one
 * direction only. A connection is duplex, and there is one per peer and channel.
 *
 * **When two dials cross**, both sides keep the one dialled by the server with the smaller id: that server lets the
 * other's hello wait until it knows whether its own dial succeeds. A dial has crossed with an established connection
 * if its hello doesn't name that connection as the last one: then it was made before its sender knew of it. If it does
 * name it, the other side has lost the connection that we still believe in, and the new one replaces it. So a
 * connection that only we believe in (half-open) never keeps its successor out.
 *
 * @module
 */
import type { ServerAddress, ServerId } from "../types.ts";
import { joinParts } from "../wire/bytes.ts";
import type { Hello, Refusal } from "../wire/handshake_codec.ts";
import { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { MutableCounters } from "./counters.ts";
import { judgeHello } from "./handshake.ts";
import { type Attempt, type Connection, type DialHandle, Peer, type Slot } from "./peer.ts";
import type { Channel, LocalServer, TransportHandler, TransportLink, TransportTrouble } from "./transport.ts";
import { TroubleGate } from "./trouble.ts";

/** What a link asks its transport to do: reach a server and shake hands with it. */
export interface DialAttempt {
  readonly to: ServerId;
  readonly address: ServerAddress;
  readonly channel: Channel;
  readonly nonce: number;
  readonly lastNonce: number;
  /** The server welcomed us. Called before its first frame is handed on. */
  succeeded(connection: Connection): void;
  /** It can't be reached, or a handshake was refused. */
  failed(kind: TransportTrouble["kind"], reason: string): void;
  /** Our dial crossed with one of that server's, which is kept instead. */
  crossed(): void;
}

/** The transport under a link. */
export interface LinkHost {
  readonly clock: Clock;
  readonly counters: MutableCounters;
  readonly limits: LinkLimits;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** Dials; reports to the attempt, never before it has returned. */
  dial(link: Link, attempt: DialAttempt): DialHandle;
  /** The link is closed. */
  detach(link: Link): void;
}

/** Bounds of a link. */
export interface LinkLimits {
  /** Wait after the first failed dial, which doubles up to {@linkcode LinkLimits.redialMaxMs}. */
  readonly redialMinMs: number;
  readonly redialMaxMs: number;
  /** Connections of servers that are not among the peers. */
  readonly strangersMax: number;
}

/** A connection that lived this long was no accident: its loss is answered with a quick dial. */
const STABLE_MS = 500;

/** Strangers that are remembered after their connection ended: what is sent to them next names that connection. */
const REMEMBERED_MAX = 64;

const REASON_CLOSED = "closed by us";

/** See the module. */
export class Link implements TransportLink {
  readonly local: LocalServer;
  readonly #handler: TransportHandler;
  readonly #host: LinkHost;
  readonly #gate: TroubleGate;
  readonly #peers = new Map<ServerId, Peer>();
  #closed = false;

  constructor(local: LocalServer, handler: TransportHandler, host: LinkHost) {
    this.local = local;
    this.#handler = handler;
    this.#host = host;
    this.#gate = new TroubleGate(host.clock);
  }

  send(
    to: ServerId,
    address: ServerAddress,
    channel: Channel,
    parts: readonly Uint8Array[],
    checkedBytes?: number,
  ): boolean {
    if (this.#closed || to === this.local.serverId) return false;
    const peer = this.#peerAt(to, address);
    const slot = peer.slot(channel);
    if (slot.connection === undefined) {
      this.#host.counters.framesUnconnected += 1;
      if (this.#host.clock.now() >= slot.notBefore) this.#dial(peer, slot);
      return false;
    }
    if (slot.connection.send(parts, checkedBytes)) {
      this.#host.counters.framesSent += 1;
      return true;
    }
    this.#host.counters.framesRejected += 1;
    this.trouble({ kind: "queue-full", peer: to, address, reason: `the ${channel} queue is full` });
    return false;
  }

  setPeers(peers: readonly { readonly id: ServerId; readonly address: ServerAddress }[]): void {
    if (this.#closed) return;
    const wanted = new Set(peers.map(({ id }) => id));
    for (const peer of [...this.#peers.values()]) {
      if (!wanted.has(peer.id)) this.#unwant(peer);
    }
    for (const { id, address } of peers) {
      if (id === this.local.serverId) continue;
      const peer = this.#peerAt(id, address);
      peer.wanted = true;
      this.#keepConnected(peer);
    }
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    for (const peer of this.#peers.values()) {
      for (const slot of peer.slots) {
        this.#stopDialling(slot);
        slot.connection?.close(REASON_CLOSED);
        slot.connection = undefined;
      }
    }
    this.#peers.clear();
    this.#host.detach(this);
    return Promise.resolve();
  }

  /** Whether connections to that server are kept when nothing travels over them. */
  wants(id: ServerId): boolean {
    return this.#peers.get(id)?.wanted ?? false;
  }

  /** Dials whom it wants and lacks now, whatever the back-off says. */
  redial(): void {
    for (const peer of this.#peers.values()) {
      for (const slot of peer.slots) {
        this.#stopRetrying(slot);
        slot.notBefore = 0;
        slot.backoff.reset();
      }
      if (peer.wanted) this.#keepConnected(peer);
    }
  }

  /** Calls `decide` when it can be judged: at once, or when it is known what becomes of our own dial that crosses it. */
  whenJudgeable(hello: Hello, decide: () => void): void {
    const slot = this.#peers.get(hello.from)?.slot(hello.channel);
    const attempt = slot?.attempt;
    const mustWait = attempt?.handle?.helloSent === true && this.local.serverId < hello.from;
    if (mustWait && slot?.connection === undefined) attempt.waiting.push(decide);
    else decide();
  }

  /** Says why a dialling server is refused, or undefined when {@linkcode Link.established} may follow. */
  judge(hello: Hello): Refusal | undefined {
    if (this.#closed) return { code: "group", reason: `group ${this.local.group} is not served any more` };
    const refusal = judgeHello(hello, this.local);
    if (refusal !== undefined) return refusal;
    const peer = this.#peers.get(hello.from);
    const connection = peer?.slot(hello.channel).connection;
    if (connection === undefined) return this.#judgeStranger(hello);
    if (hello.incarnation === connection.peer.incarnation) {
      if (hello.starts < connection.peer.starts) {
        return { code: "stale", reason: `a newer start of "${hello.from}" is connected` };
      }
      const isOurs = connection.dialledByUs && this.local.serverId < hello.from;
      if (hello.starts === connection.peer.starts && isOurs && hello.lastNonce !== connection.nonce) {
        return { code: "crossing", reason: "a connection dialled from the other side is kept" };
      }
    }
    return undefined;
  }

  /** Takes a connection into use, in place of an older one. */
  established(connection: Connection): void {
    const { peer: remote, channel } = connection;
    const peer = this.#peers.get(remote.serverId) ?? this.#addPeer(remote.serverId);
    const slot = peer.slot(channel);
    const attempt = slot.attempt;
    if (attempt !== undefined) {
      const isOwn = connection.dialledByUs && attempt.nonce === connection.nonce;
      // Once our hello is out, the other side may prefer our connection to this one.
      const isFutile = attempt.handle?.helloSent !== true || this.local.serverId > remote.serverId;
      if (isOwn) this.#endAttempt(slot);
      else if (isFutile) this.#stopDialling(slot);
    }
    this.#stopRetrying(slot);
    const before = slot.connection;
    slot.connection = connection;
    slot.establishedAt = this.#host.clock.now();
    slot.lastNonce = connection.nonce;
    if (before !== undefined) {
      const reason = "replaced by a newer connection";
      before.close(reason);
      this.#handler.onDisconnect(remote.serverId, channel, reason, false);
    }
    this.#handler.onConnect(remote, channel);
  }

  /** Hands a frame on. What the handler throws is passed on: a ProtocolError means that the frame was bad. */
  received(connection: Connection, frame: Uint8Array): void {
    if (this.#closed) return;
    this.#host.counters.framesReceived += 1;
    this.#handler.onFrame(connection.peer, connection.channel, frame);
  }

  /** The same for one that came in parts. */
  receivedParts(connection: Connection, parts: readonly Uint8Array[]): void {
    if (this.#closed) return;
    if (parts.length === 1 || this.#handler.onFrameParts === undefined) {
      return this.received(connection, joinParts(parts));
    }
    this.#host.counters.framesReceived += 1;
    this.#handler.onFrameParts(connection.peer, connection.channel, parts);
  }

  /** A connection ended that the link did not close; see {@linkcode TransportHandler.onDisconnect}. */
  lost(connection: Connection, reason: string, isClosedByPeer = false): void {
    const peer = this.#peers.get(connection.peer.serverId);
    const slot = peer?.slot(connection.channel);
    if (this.#closed || peer === undefined || slot?.connection !== connection) return;
    slot.connection = undefined;
    const now = this.#host.clock.now();
    if (now - slot.establishedAt >= STABLE_MS) slot.backoff.reset();
    // A leader that lives should be back before anybody takes it for dead.
    const isQuick = isClosedByPeer && slot.backoff.isFresh;
    const waitMs = slot.backoff.next();
    this.#dialFrom(peer, slot, now + (isQuick ? 0 : waitMs));
    this.#forgetStrangers();
    this.#handler.onDisconnect(peer.id, connection.channel, reason, isClosedByPeer);
  }

  /** Tells of trouble, unless it told of the same lately. */
  trouble(trouble: TransportTrouble): void {
    if (this.#closed) return;
    const passed = this.#gate.pass(trouble);
    if (passed !== undefined) this.#handler.onTrouble(passed);
  }

  #judgeStranger(hello: Hello): Refusal | undefined {
    if (this.wants(hello.from)) return undefined;
    let strangers = 0;
    for (const peer of this.#peers.values()) {
      if (peer.wanted) continue;
      for (const slot of peer.slots) if (slot.connection !== undefined) strangers += 1;
    }
    if (strangers < this.#host.limits.strangersMax) return undefined;
    return { code: "overloaded", reason: `${strangers} servers that are no members are connected already` };
  }

  #peerAt(id: ServerId, address: ServerAddress): Peer {
    const peer = this.#peers.get(id) ?? this.#addPeer(id);
    if (peer.address === address) return peer;
    peer.address = address;
    for (const slot of peer.slots) {
      if (slot.connection !== undefined) continue;
      this.#stopDialling(slot);
      slot.backoff.reset();
      slot.notBefore = 0;
    }
    if (peer.wanted) this.#keepConnected(peer);
    return peer;
  }

  #addPeer(id: ServerId): Peer {
    const { limits, random } = this.#host;
    const peer = new Peer(id, () => new Backoff({ minMs: limits.redialMinMs, maxMs: limits.redialMaxMs, random }));
    this.#peers.set(id, peer);
    return peer;
  }

  #forgetStrangers(): void {
    const gone = [...this.#peers.values()].filter((peer) => peer.address === undefined && !peer.isConnected);
    for (const { id } of gone.slice(0, Math.max(0, gone.length - REMEMBERED_MAX))) this.#peers.delete(id);
  }

  #unwant(peer: Peer): void {
    peer.wanted = false;
    this.#stopDialling(peer.consensus);
    if (!peer.isConnected && peer.bulk.attempt === undefined) this.#peers.delete(peer.id);
  }

  #keepConnected(peer: Peer): void {
    const slot = peer.consensus;
    if (slot.connection !== undefined || slot.attempt !== undefined || slot.retryTimer !== undefined) return;
    const waitMs = slot.notBefore - this.#host.clock.now();
    if (waitMs <= 0) return this.#dial(peer, slot);
    slot.retryTimer = this.#host.clock.setTimeout(() => {
      slot.retryTimer = undefined;
      if (peer.wanted && slot.connection === undefined) this.#dial(peer, slot);
    }, waitMs);
  }

  #dial(peer: Peer, slot: Slot): void {
    if (slot.attempt !== undefined || peer.address === undefined) return;
    this.#stopRetrying(slot);
    const nonce = 1 + Math.floor(this.#host.random() * 2 ** 48);
    const attempt: Attempt = { nonce, handle: undefined, waiting: [] };
    slot.attempt = attempt;
    const { address } = peer;
    attempt.handle = this.#host.dial(this, {
      to: peer.id,
      address,
      channel: slot.channel,
      nonce,
      lastNonce: slot.lastNonce,
      succeeded: (connection) => {
        if (slot.attempt === attempt && !this.#closed) this.established(connection);
        else connection.close(REASON_CLOSED);
      },
      failed: (kind, reason) => {
        if (slot.attempt !== attempt) return;
        this.#endAttempt(slot);
        this.#delayDial(peer, slot);
        this.trouble({ kind, peer: peer.id, address, reason });
      },
      crossed: () => {
        if (slot.attempt !== attempt) return;
        this.#endAttempt(slot);
        if (slot.connection === undefined) this.#delayDial(peer, slot);
      },
    });
  }

  #delayDial(peer: Peer, slot: Slot): void {
    this.#dialFrom(peer, slot, this.#host.clock.now() + slot.backoff.next());
  }

  #dialFrom(peer: Peer, slot: Slot, notBefore: number): void {
    slot.notBefore = notBefore;
    if (peer.wanted && slot.channel === "consensus") this.#keepConnected(peer);
  }

  #stopDialling(slot: Slot): void {
    this.#stopRetrying(slot);
    this.#endAttempt(slot)?.handle?.cancel();
  }

  #endAttempt(slot: Slot): Attempt | undefined {
    const attempt = slot.attempt;
    slot.attempt = undefined;
    // Later, as a connection that ends the attempt is not in its place yet.
    for (const decide of attempt?.waiting.splice(0) ?? []) queueMicrotask(decide);
    return attempt;
  }

  #stopRetrying(slot: Slot): void {
    if (slot.retryTimer === undefined) return;
    this.#host.clock.clearTimeout(slot.retryTimer);
    slot.retryTimer = undefined;
  }
}
