/**
 * The Transport over any {@linkcode StreamLayer}: what the `tcp({ … })` of the adapters are made of.
 *
 * @module
 */
import { TransportClosedError } from "../errors.ts";
import type { ServerAddress } from "../types.ts";
import type { Hello } from "../wire/handshake_codec.ts";
import { advertisedAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import { type MutableCounters, newCounters } from "./counters.ts";
import type { FramedStream, StreamEnd } from "./framed_stream.ts";
import { remoteOfHello } from "./handshake.ts";
import { type Handshake, shakeAsDialled, shakeAsDialler } from "./handshaking.ts";
import { type DialAttempt, Link, type LinkHost, type LinkLimits } from "./link.ts";
import { type NetworkOptions, type NetworkSettings, settingsOf } from "./network_options.ts";
import type { DialHandle } from "./peer.ts";
import { resolvedAddress } from "./resolver.ts";
import { StreamConnection } from "./stream_connection.ts";
import type { Stream, StreamLayer } from "./stream_layer.ts";
import type {
  Channel,
  LocalServer,
  RemoteServer,
  Transport,
  TransportFactory,
  TransportHandler,
  TransportLink,
  TransportTrouble,
} from "./transport.ts";
import { hostOf, TroubleGate } from "./trouble.ts";

/**
 * Describes a transport over a stream layer. Opening it binds and listens.
 *
 * @throws {TypeError | RangeError} If an option is not what it must be.
 * @throws {TypeError} From `open`, if the address is one that nobody can dial.
 */
export function networkTransport(layer: StreamLayer, options: NetworkOptions = {}): TransportFactory {
  const settings = settingsOf(options);
  return {
    open: async ({ logger }) => {
      const transport = new NetworkTransport(layer, settings, logger);
      await transport.listen(options.advertise);
      return transport;
    },
  };
}

class NetworkTransport implements Transport, LinkHost {
  readonly clock: Clock;
  readonly counters: MutableCounters = newCounters();
  readonly frameBytesMax: number;
  readonly logger: ((line: string) => void) | undefined;
  readonly limits: LinkLimits;
  readonly random: () => number;
  readonly #layer: StreamLayer;
  readonly #settings: NetworkSettings;
  readonly #gate: TroubleGate;
  readonly #links = new Map<number, Link>();
  readonly #connections = new Set<StreamConnection>();
  readonly #incoming = new Set<Handshake>();
  #address: ServerAddress = "";
  #listener: { close(): Promise<void> } | undefined;
  #watchTimer: unknown;
  #watchedAt = 0;
  #closing: Promise<void> | undefined;

  constructor(layer: StreamLayer, settings: NetworkSettings, logger: ((line: string) => void) | undefined) {
    this.#layer = layer;
    this.#settings = settings;
    this.limits = settings;
    this.frameBytesMax = settings.frameBytesMax;
    this.clock = settings.clock;
    this.random = settings.random;
    this.logger = logger;
    this.#gate = new TroubleGate(this.clock);
  }

  get address(): ServerAddress {
    return this.#address;
  }

  async listen(advertise: ServerAddress | undefined): Promise<void> {
    const listener = await this.#layer.listen((stream) => this.#accept(stream));
    try {
      this.#address = advertisedAddress(listener.address, advertise);
    } catch (error) {
      await listener.close();
      throw error;
    }
    this.#listener = listener;
  }

  attach(local: LocalServer, handler: TransportHandler): TransportLink {
    if (this.#closing !== undefined) throw new TransportClosedError();
    if (this.#links.has(local.group)) throw new TypeError(`Cannot attach two servers of group ${local.group}`);
    const link = new Link(local, handler, this);
    this.#links.set(local.group, link);
    return link;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    const closed = this.#listener?.close();
    for (const handshake of [...this.#incoming]) handshake.cancel();
    this.#incoming.clear();
    for (const link of [...this.#links.values()]) await link.close();
    for (const connection of [...this.#connections]) connection.close();
    await closed;
  }

  detach(link: Link): void {
    if (this.#links.get(link.local.group) === link) this.#links.delete(link.local.group);
  }

  dial(link: Link, attempt: DialAttempt): DialHandle {
    const abort = new AbortController();
    let handshake: Handshake | undefined;
    const { dialTimeoutMs: timeoutMs, resolveAddress: resolve } = this.#settings;
    const { clock, logger } = this;
    const { signal } = abort;
    const dialAt = (address: ServerAddress) => this.#layer.dial(address, { timeoutMs, signal });
    const dialled = resolve === undefined
      ? dialAt(attempt.address)
      : resolvedAddress({ resolve, clock, timeoutMs, signal, logger }, attempt.to, attempt.address).then(dialAt);
    dialled.then(
      (stream) => {
        if (abort.signal.aborted) return stream.close();
        handshake = this.#greet(link, attempt, stream);
      },
      (error) => {
        if (abort.signal.aborted) return;
        this.counters.dialsFailed += 1;
        attempt.failed("dial-failed", error instanceof Error ? error.message : String(error));
      },
    );
    return {
      cancel: () => {
        abort.abort();
        handshake?.cancel();
      },
      get helloSent() {
        return handshake !== undefined;
      },
    };
  }

  #greet(link: Link, attempt: DialAttempt, stream: Stream): Handshake {
    return shakeAsDialler(stream, link.local, attempt, this.#context(), {
      welcomed: (framed, peer) => {
        const { channel, nonce } = attempt;
        attempt.succeeded(this.#newConnection(framed, link, peer, channel, nonce, true));
      },
      refused: ({ code, reason }) => {
        if (code === "crossing") return attempt.crossed();
        this.counters.handshakesRefused += 1;
        attempt.failed("handshake-refused", reason);
      },
      broken: ({ reason, isProtocolError }) => {
        if (isProtocolError) this.counters.protocolErrors += 1;
        else this.counters.dialsFailed += 1;
        attempt.failed(isProtocolError ? "protocol-error" : "dial-failed", `${reason}, before it said welcome`);
      },
    });
  }

  #accept(stream: Stream): void {
    const { remoteAddress } = stream;
    if (this.#closing !== undefined || this.#isCrowded(hostOf(remoteAddress))) {
      this.counters.connectionsRefused += 1;
      return stream.close();
    }
    const handshake = shakeAsDialled(stream, this.#context(), {
      linkOf: (group) => this.#links.get(group),
      welcomed: (framed, link, hello) => {
        this.#incoming.delete(handshake);
        this.#welcome(framed, link, hello);
      },
      refused: ({ code, reason }, link, { from }) => {
        if (code === "crossing") return;
        this.counters.handshakesRefused += 1;
        this.#trouble(link, { kind: "handshake-refused", peer: from, address: remoteAddress, reason });
      },
      ended: (error) => {
        this.#incoming.delete(handshake);
        if (error === undefined) return;
        this.counters.protocolErrors += 1;
        const { reason } = error;
        this.#trouble(undefined, { kind: "protocol-error", peer: undefined, address: remoteAddress, reason });
      },
    });
    this.#incoming.add(handshake);
  }

  #isCrowded(host: string): boolean {
    const { handshakesMax, handshakesPerHostMax } = this.#settings;
    if (this.#incoming.size >= handshakesMax) return true;
    let fromHost = 0;
    for (const { remoteAddress } of this.#incoming) {
      if (hostOf(remoteAddress) === host) fromHost += 1;
    }
    return fromHost >= handshakesPerHostMax;
  }

  #welcome(framed: FramedStream, link: Link, hello: Hello): void {
    const { channel, nonce } = hello;
    link.established(this.#newConnection(framed, link, remoteOfHello(hello), channel, nonce, false));
  }

  #newConnection(
    framed: FramedStream,
    link: Link,
    peer: RemoteServer,
    channel: Channel,
    nonce: number,
    dialledByUs: boolean,
  ): StreamConnection {
    framed.frameBytesMax = this.#settings.frameBytesMax;
    const connection = new StreamConnection({
      framed,
      link,
      peer,
      channel,
      nonce,
      dialledByUs,
      clock: this.clock,
      limits: this.#settings,
      onEnd: (connection, end) => this.#lose(connection, end),
    });
    this.#connections.add(connection);
    this.#watchLater();
    return connection;
  }

  #lose(connection: StreamConnection, end: StreamEnd | undefined): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#stopWatching();
    if (end === undefined) return;
    const { link, peer, remoteAddress } = connection;
    link.lost(connection, end.reason, end.isClosedByPeer);
    if (!end.isProtocolError) return;
    this.counters.protocolErrors += 1;
    link.trouble({ kind: "protocol-error", peer: peer.serverId, address: remoteAddress, reason: end.reason });
  }

  /** Of strangers that named no group, all are told. */
  #trouble(link: Link | undefined, trouble: TransportTrouble): void {
    if (link !== undefined) return link.trouble(trouble);
    if (this.#gate.pass(trouble) === undefined) return;
    for (const link of this.#links.values()) link.trouble(trouble);
  }

  #context() {
    const { clock, counters, address } = this;
    return { clock, counters, address, handshakeTimeoutMs: this.#settings.handshakeTimeoutMs };
  }

  #watchLater(): void {
    if (this.#watchTimer !== undefined) return;
    this.#watchedAt = this.clock.now();
    this.#watchTimer = this.clock.setTimeout(() => this.#watch(), this.#settings.pingMs / 4);
  }

  #stopWatching(): void {
    if (this.#watchTimer !== undefined) this.clock.clearTimeout(this.#watchTimer);
    this.#watchTimer = undefined;
  }

  #watch(): void {
    this.#watchTimer = undefined;
    const now = this.clock.now();
    // After a pause of the process the timers come before what has arrived meanwhile.
    const hasSlept = now - this.#watchedAt > this.#settings.silenceMs / 2;
    for (const connection of [...this.#connections]) {
      if (hasSlept) connection.forgive(now);
      connection.watch(now);
    }
    if (this.#connections.size > 0) this.#watchLater();
  }
}
