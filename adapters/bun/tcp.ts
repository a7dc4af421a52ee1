/**
 * TCP on Bun's own sockets.
 *
 * @module
 */
import { formatAddress, parseAddress } from "../../src/transport/address.ts";
import { networkTransport } from "../../src/transport/network.ts";
import type { NetworkOptions } from "../../src/transport/network_options.ts";
import { SendQueue } from "../../src/transport/send_queue.ts";
import { listenError, reasonOf } from "../../src/transport/socket_errors.ts";
import type { Stream, StreamLayer } from "../../src/transport/stream_layer.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";
import type { ServerAddress } from "../../src/types.ts";

/** Options of {@linkcode tcp}. Sizes are bytes, times milliseconds. */
export interface TcpOptions extends NetworkOptions {
  /** Where to listen: `host:port` or `[::1]:7001`. Port 0 takes a free one. */
  readonly listen: ServerAddress;
}

/**
 * Frames over TCP.
 *
 * TCP is neither encrypted nor authenticated: use it where only the servers of the cluster can reach the port.
 *
 * @throws {TypeError | RangeError} If `listen` is no address, or an option not what it must be. Opening it rejects if it
 * can't listen there, or if it would have to advertise an address that stands for all interfaces.
 *
 * @example
 * ```ts
 * import { tcp } from "@securecollc/raft/bun";
 *
 * const transport = tcp({ listen: "0.0.0.0:7001", advertise: "a.example.net:7001" });
 * ```
 */
export function tcp({ listen, ...options }: TcpOptions): TransportFactory {
  parseAddress(listen);
  return networkTransport(tcpLayer(listen), options);
}

/** The slice of Bun that is used here. */
interface BunNet {
  listen(options: { hostname: string; port: number; socket: Handlers }): { readonly port: number; stop(): void };
  connect(options: { hostname: string; port: number; socket: Handlers }): Promise<BunSocket>;
}

interface BunSocket {
  data: TcpStream | undefined;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Returns how many bytes were taken; negative when the socket is closed. */
  write(bytes: Uint8Array): number;
  setNoDelay(on: boolean): boolean;
  terminate(): void;
}

interface Handlers {
  open(socket: BunSocket): void;
  data(socket: BunSocket, bytes: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: unknown): void;
  error(socket: BunSocket, error: unknown): void;
  connectError(socket: BunSocket, error: unknown): void;
}

function tcpLayer(address: ServerAddress): StreamLayer {
  return {
    listen: (onStream) => listenAt(address, onStream),
    dial: (to, { timeoutMs, signal }) => dial(to, timeoutMs, signal),
  };
}

function bunNet(): BunNet {
  const { Bun } = globalThis as { Bun?: BunNet };
  if (Bun === undefined) throw new Error('Cannot use Bun\'s sockets here: import "@securecollc/raft/node" instead');
  return Bun;
}

// deno-lint-ignore require-await -- a failure to listen is a rejection
async function listenAt(address: ServerAddress, onStream: (stream: Stream) => void) {
  const { host, port } = parseAddress(address);
  const net = bunNet();
  try {
    const hostname = host === "" ? "0.0.0.0" : host;
    const listener = net.listen({ hostname, port, socket: handlersOf(onStream) });
    return {
      address: formatAddress({ host, port: listener.port }),
      close: () => Promise.resolve(listener.stop()),
    };
  } catch (error) {
    throw listenError(address, error);
  }
}

function dial(address: ServerAddress, timeoutMs: number, signal: AbortSignal): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const { host, port } = parseAddress(address);
    let isSettled = false;
    const settle = (outcome: Stream | Error) => {
      // The promise of a connection can't be cancelled: one that comes too late is closed again.
      if (isSettled) return outcome instanceof Error ? undefined : outcome.close();
      isSettled = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    const abort = () => settle(new Error("cancelled"));
    const timer = setTimeout(() => settle(new Error("timed out")), timeoutMs);
    signal.addEventListener("abort", abort);
    bunNet().connect({ hostname: host, port, socket: handlersOf(settle) })
      .catch((cause) => settle(new Error(reasonOf(cause), { cause })));
  });
}

function handlersOf(onStream: (stream: Stream) => void): Handlers {
  return {
    open(socket) {
      const stream = new TcpStream(socket);
      socket.data = stream;
      onStream(stream);
    },
    data: (socket, bytes) => socket.data?.take(bytes),
    drain: (socket) => socket.data?.writeOn(),
    end: (socket) => socket.data?.end(undefined),
    close: (socket, error) => socket.data?.end(error === undefined ? undefined : reasonOf(error)),
    error: (socket, error) => socket.data?.end(reasonOf(error)),
    // The promise of `connect` says it as well.
    connectError() {},
  };
}

class TcpStream implements Stream {
  readonly remoteAddress: string;
  readonly #socket: BunSocket;
  readonly #queue = new SendQueue();
  #onChunk: ((chunk: Uint8Array | null, error?: string) => void) | undefined;
  /** What came in before somebody wanted it. */
  #early: Uint8Array[] = [];
  #ended = false;

  constructor(socket: BunSocket) {
    this.#socket = socket;
    this.remoteAddress = formatAddress({ host: socket.remoteAddress, port: socket.remotePort });
    socket.setNoDelay(true);
  }

  get queuedBytes(): number {
    return this.#queue.queuedBytes;
  }

  start(onChunk: (chunk: Uint8Array | null, error?: string) => void): void {
    this.#onChunk = onChunk;
    const early = this.#early;
    this.#early = [];
    if (early.length > 0 || this.#ended) {
      queueMicrotask(() => {
        for (const chunk of early) this.#onChunk?.(chunk);
        if (this.#ended) this.#onChunk?.(null);
      });
    }
  }

  write(parts: readonly Uint8Array[]): void {
    if (this.#ended) return;
    const isIdle = this.#queue.queuedBytes === 0;
    this.#queue.push(parts);
    if (isIdle) this.writeOn();
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onChunk = undefined;
    this.#queue.clear();
    this.#socket.terminate();
  }

  take(bytes: Uint8Array): void {
    if (this.#ended) return;
    // Bun reads into the same memory again.
    const chunk = new Uint8Array(bytes);
    if (this.#onChunk === undefined) this.#early.push(chunk);
    else this.#onChunk(chunk);
  }

  /** Writes until the socket takes no more; it says when it does again. */
  writeOn(): void {
    for (let block = this.#queue.peek(); block !== undefined && !this.#ended; block = this.#queue.peek()) {
      const count = this.#socket.write(block);
      this.#queue.advance(count);
      if (count < block.length) return;
    }
  }

  end(error: string | undefined): void {
    if (this.#ended) return;
    const onChunk = this.#onChunk;
    this.close();
    onChunk?.(null, error);
  }
}
