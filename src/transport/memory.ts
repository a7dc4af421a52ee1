/**
 * A network inside one process, for tests, examples and servers that share a program. It dials, shakes hands, refuses
 * and loses connections as the transports over sockets do, as all of them share `Link`.
 *
 * @module
 */
import { checkFunction, checkNumber, checkWhole } from "../checks.ts";
import { TransportClosedError } from "../errors.ts";
import type { ServerAddress } from "../types.ts";
import type { Hello } from "../wire/handshake_codec.ts";
import { byteLengthOf } from "../wire/bytes.ts";
import { checkClock, type Clock, systemClock } from "./clock.ts";
import { type MutableCounters, newCounters } from "./counters.ts";
import { firstEntryOf, PROTOCOL_MAX, PROTOCOL_MIN, remoteOfHello } from "./handshake.ts";
import { type DialAttempt, Link, type LinkHost, type LinkLimits } from "./link.ts";
import { type MemoryEnd, pairOfEnds } from "./memory_end.ts";
import { type Line, QuickLine, TimedLine, type Turn } from "./memory_line.ts";
import type { DialHandle } from "./peer.ts";
import type { LocalServer, Transport, TransportFactory, TransportHandler, TransportLink } from "./transport.ts";

/** Options of {@linkcode memoryNetwork}. */
export interface MemoryNetworkOptions {
  /**
   * How long a frame travels, in milliseconds. Frames of one connection stay in order.
   *
   * @default {0} Delivered before the next timer, and never inside `send`.
   */
  readonly delayMs?: number | ((from: ServerAddress, to: ServerAddress) => number);
  /**
   * Time and timers, for deliveries as well.
   *
   * @default The runtime's; a frame without delay is then delivered in a microtask.
   */
  readonly clock?: Clock;
  /**
   * Numbers in [0, 1), for waits between dials.
   *
   * @default {Math.random}
   */
  readonly random?: () => number;
  /**
   * Bytes that wait in one direction of a connection; what would exceed them is not taken.
   *
   * @default {16777216}
   */
  readonly sendQueueBytesMax?: number;
}

/** A network inside one process: all can reach one another until they are disconnected. */
export interface MemoryNetwork {
  /**
   * Describes a server's transport at `address`, a random one when it is left out. It may be opened again after it was
   * closed.
   */
  transport(address?: ServerAddress): MemoryTransportFactory;
  /** Lets two addresses reach one another again. */
  connect(a: ServerAddress, b: ServerAddress): void;
  /** Cuts the connections between two addresses, with what travels on them, until {@linkcode MemoryNetwork.connect}. */
  disconnect(a: ServerAddress, b: ServerAddress): void;
  /** Disconnects an address from all others that are open now. */
  disconnectAll(address: ServerAddress): void;
}

/** What {@linkcode MemoryNetwork.transport} returns. */
export interface MemoryTransportFactory extends TransportFactory {
  /** Where the others dial it. */
  readonly address: ServerAddress;
}

/**
 * Makes a network inside this process.
 *
 * @example
 * ```ts
 * import { memoryNetwork } from "@securecollc/raft";
 *
 * const network = memoryNetwork();
 * const transport = await network.transport("a").open({});
 * await transport.close();
 * ```
 */
export function memoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  const { delayMs, clock, random, sendQueueBytesMax } = options;
  if (typeof delayMs !== "function") checkNumber("make a network", "delayMs", delayMs);
  checkWhole("make a network", "sendQueueBytesMax", sendQueueBytesMax);
  checkFunction("make a network", "random", random);
  checkClock("make a network", clock);
  return new Network(options);
}

const LIMITS: LinkLimits = { redialMinMs: 50, redialMaxMs: 2_000, strangersMax: 1_024 };

class Network implements MemoryNetwork {
  readonly options: MemoryNetworkOptions;
  readonly clock: Clock;
  readonly #open = new Map<ServerAddress, MemoryTransport>();
  readonly #cuts = new Set<string>();
  readonly #turn: Turn = { startedAt: 0, deliveries: 0 };

  constructor(options: MemoryNetworkOptions) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
  }

  transport(address: ServerAddress = crypto.randomUUID()): MemoryTransportFactory {
    return {
      address,
      // Not an async function: whoever opens twice learns so by a rejection all the same.
      open: () =>
        new Promise((resolve) => {
          if (this.#open.has(address)) throw new Error(`Cannot open "${address}" as it is open: use another address`);
          const transport = new MemoryTransport(this, address);
          this.#open.set(address, transport);
          resolve(transport);
        }),
    };
  }

  connect(a: ServerAddress, b: ServerAddress): void {
    this.#cuts.delete(pairKey(a, b));
    for (const address of [a, b]) this.#open.get(address)?.redial();
  }

  disconnect(a: ServerAddress, b: ServerAddress): void {
    this.#cuts.add(pairKey(a, b));
    this.#open.get(a)?.sever(b);
  }

  disconnectAll(address: ServerAddress): void {
    for (const other of this.#open.keys()) {
      if (other !== address) this.disconnect(address, other);
    }
  }

  /** The transport at `to`, when `from` can reach it. */
  reach(from: ServerAddress, to: ServerAddress): MemoryTransport | undefined {
    return this.#cuts.has(pairKey(from, to)) ? undefined : this.#open.get(to);
  }

  remove(transport: MemoryTransport): void {
    if (this.#open.get(transport.address) === transport) this.#open.delete(transport.address);
  }

  /** Someone listens now: who waits to dial it need not wait longer. */
  announce(): void {
    for (const transport of this.#open.values()) transport.redial();
  }

  /** The way from one address to another one. */
  lineBetween(from: ServerAddress, to: ServerAddress): Line {
    const { delayMs, clock } = this.options;
    if (delayMs === undefined && clock === undefined) return new QuickLine(this.clock, this.#turn);
    return new TimedLine(this.clock, () => typeof delayMs === "function" ? delayMs(from, to) : delayMs ?? 0);
  }
}

class MemoryTransport implements Transport, LinkHost {
  readonly address: ServerAddress;
  readonly clock: Clock;
  readonly counters: MutableCounters = newCounters();
  readonly limits = LIMITS;
  readonly random: () => number;
  readonly #network: Network;
  readonly #links = new Map<number, Link>();
  readonly #ends = new Set<MemoryEnd>();
  #closed = false;

  constructor(network: Network, address: ServerAddress) {
    this.#network = network;
    this.address = address;
    this.clock = network.clock;
    this.random = network.options.random ?? Math.random;
  }

  attach(local: LocalServer, handler: TransportHandler): TransportLink {
    if (this.#closed) throw new TransportClosedError();
    if (this.#links.has(local.group)) throw new TypeError(`Cannot attach two servers of group ${local.group}`);
    const link = new Link(local, handler, this);
    this.#links.set(local.group, link);
    this.#network.announce();
    return link;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#network.remove(this);
    for (const link of [...this.#links.values()]) await link.close();
  }

  dial(link: Link, attempt: DialAttempt): DialHandle {
    const line = this.#network.lineBetween(this.address, attempt.address);
    line.later(() => this.#reach(link, attempt));
    // The whole handshake is one event, so the other side never knows of a dial that we don't.
    return { cancel: () => line.drop(), helloSent: false };
  }

  detach(link: Link): void {
    this.#links.delete(link.local.group);
  }

  redial(): void {
    for (const link of this.#links.values()) link.redial();
  }

  sever(other: ServerAddress): void {
    for (const end of [...this.#ends]) {
      if (end.twin.address === other) end.sever("connection lost");
    }
  }

  #reach(link: Link, attempt: DialAttempt): void {
    const target = this.#network.reach(this.address, attempt.address);
    if (target === undefined) {
      this.counters.dialsFailed += 1;
      return attempt.failed("dial-failed", "nobody listens there");
    }
    const { group, serverId, incarnation, starts, clusterId } = link.local;
    const hello: Hello = {
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      clusterId: clusterId(),
      from: serverId,
      to: attempt.to,
      channel: attempt.channel,
      incarnation,
      starts,
      address: this.address,
      nonce: attempt.nonce,
      lastNonce: attempt.lastNonce,
      firstEntry: firstEntryOf(link.local),
    };
    const remote = target.#links.get(group);
    const refusal = remote === undefined
      ? { code: "group", reason: `group ${group} is not served there` } as const
      : remote.judge(hello);
    if (refusal?.code === "crossing") return attempt.crossed();
    if (remote === undefined || refusal !== undefined) {
      this.counters.handshakesRefused += 1;
      target.counters.handshakesRefused += 1;
      const reason = refusal!.reason;
      remote?.trouble({ kind: "handshake-refused", peer: serverId, address: this.address, reason });
      return attempt.failed("handshake-refused", reason);
    }
    this.#connect(link, remote, target, hello, attempt);
  }

  #connect(link: Link, remote: Link, target: MemoryTransport, hello: Hello, attempt: DialAttempt): void {
    const { serverId, incarnation, starts, clusterId } = remote.local;
    const answer = {
      serverId,
      clusterId: clusterId(),
      incarnation,
      starts,
      address: target.address,
      protocol: PROTOCOL_MAX,
      firstEntry: firstEntryOf(remote.local),
    };
    const queueBytesMax = this.#network.options.sendQueueBytesMax ?? 16 * 2 ** 20;
    const [ours, theirs] = pairOfEnds(
      { host: this, link, peer: answer, dialledByUs: true },
      { host: target, link: remote, peer: remoteOfHello(hello), dialledByUs: false },
      {
        channel: hello.channel,
        nonce: hello.nonce,
        queueBytesMax,
        lineBetween: this.#network.lineBetween.bind(this.#network),
      },
    );
    remote.established(theirs);
    attempt.succeeded(ours);
  }

  /** An end begins or ceases to live here. */
  track(end: MemoryEnd, isOpen: boolean): void {
    if (isOpen) this.#ends.add(end);
    else this.#ends.delete(end);
  }

  /** Hands a frame on, or ends the connection it came over when it makes no sense. */
  deliver(end: MemoryEnd, link: Link, parts: readonly Uint8Array[]): void {
    this.counters.bytesReceived += byteLengthOf(parts);
    try {
      link.receivedParts(end, parts);
    } catch (error) {
      this.counters.protocolErrors += 1;
      const reason = error instanceof Error ? error.message : String(error);
      const { serverId: peer, address } = end.peer;
      end.fail(reason);
      link.trouble({ kind: "protocol-error", peer, address, reason });
    }
  }
}

function pairKey(a: ServerAddress, b: ServerAddress): string {
  return JSON.stringify(a < b ? [a, b] : [b, a]);
}
