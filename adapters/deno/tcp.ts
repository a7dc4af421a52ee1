/**
 * TCP on Deno's own sockets.
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
 * Frames over TCP. Needs `--allow-net`.
 *
 * TCP is neither encrypted nor authenticated: use it where only the servers of the cluster can reach the port.
 *
 * @throws {TypeError | RangeError} If `listen` is no address, or an option not what it must be. Opening it rejects if it
 * can't listen there, or if it would have to advertise an address that stands for all interfaces.
 *
 * @example
 * ```ts
 * import { tcp } from "@securecollc/raft/deno";
 *
 * const transport = tcp({ listen: "0.0.0.0:7001", advertise: "a.example.net:7001" });
 * ```
 */
export function tcp({ listen, ...options }: TcpOptions): TransportFactory {
  parseAddress(listen);
  return networkTransport(tcpLayer(listen), options);
}

/** The slice of Deno that is used here. */
interface DenoNet {
  listen(options: { hostname: string; port: number }): Listener;
  connect(options: { hostname: string; port: number; signal: AbortSignal }): Promise<Conn>;
}

interface Listener {
  readonly addr: unknown;
  accept(): Promise<Conn>;
  close(): void;
}

interface Conn {
  readonly remoteAddr: unknown;
  read(into: Uint8Array): Promise<number | null>;
  write(from: Uint8Array): Promise<number>;
  setNoDelay(on: boolean): void;
  close(): void;
}

/** How long to leave a listener alone that can't accept, most often for want of file descriptors. */
const ACCEPT_RETRY_MS = 100;

/** Bytes to read at once: first, and when much comes in. */
const READ_BYTES_MIN = 16 * 1024;
const READ_BYTES_MAX = 256 * 1024;

function tcpLayer(address: ServerAddress): StreamLayer {
  return {
    listen: (onStream) => listenAt(address, onStream),
    dial: (to, { timeoutMs, signal }) => dial(to, timeoutMs, signal),
  };
}

function denoNet(): DenoNet {
  const { Deno } = globalThis as { Deno?: DenoNet };
  if (Deno === undefined) throw new Error('Cannot use Deno\'s sockets here: import "@securecollc/raft/node" instead');
  return Deno;
}

// deno-lint-ignore require-await -- a failure to listen is a rejection
async function listenAt(address: ServerAddress, onStream: (stream: Stream) => void) {
  const { host, port } = parseAddress(address);
  const net = denoNet();
  let listener: Listener;
  try {
    listener = net.listen({ hostname: host === "" ? "0.0.0.0" : host, port });
  } catch (error) {
    throw listenError(address, error);
  }
  let isOpen = true;
  const accepted = acceptAll(listener, onStream, () => isOpen);
  return {
    address: formatAddress({ host, port: (listener.addr as { port: number }).port }),
    close: async () => {
      if (isOpen) listener.close();
      isOpen = false;
      await accepted;
    },
  };
}

async function acceptAll(listener: Listener, onStream: (stream: Stream) => void, isOpen: () => boolean): Promise<void> {
  while (isOpen()) {
    try {
      onStream(new TcpStream(await listener.accept()));
    } catch {
      if (isOpen()) await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
    }
  }
}

async function dial(address: ServerAddress, timeoutMs: number, signal: AbortSignal): Promise<Stream> {
  const { host, port } = parseAddress(address);
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  const end = AbortSignal.any([signal, timeout.signal]);
  try {
    const conn = await denoNet().connect({ hostname: host, port, signal: end });
    const stream = new TcpStream(conn);
    if (end.aborted) stream.close();
    end.throwIfAborted();
    return stream;
  } catch (error) {
    throw new Error(timeout.signal.aborted ? "timed out" : reasonOf(error), { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

class TcpStream implements Stream {
  readonly remoteAddress: string;
  readonly #conn: Conn;
  readonly #queue = new SendQueue();
  #onChunk: (chunk: Uint8Array | null, error?: string) => void = () => {};
  #isWriting = false;
  #ended = false;

  constructor(conn: Conn) {
    this.#conn = conn;
    const { hostname, port } = conn.remoteAddr as { hostname: string; port: number };
    this.remoteAddress = formatAddress({ host: hostname, port });
    try {
      conn.setNoDelay(true);
    } catch {
      // The other side has hung up already; reading will say so.
    }
  }

  get queuedBytes(): number {
    return this.#queue.queuedBytes;
  }

  start(onChunk: (chunk: Uint8Array | null, error?: string) => void): void {
    this.#onChunk = onChunk;
    void this.#readAll();
  }

  write(parts: readonly Uint8Array[]): void {
    if (this.#ended) return;
    this.#queue.push(parts);
    if (!this.#isWriting) void this.#writeAll();
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#queue.clear();
    try {
      this.#conn.close();
    } catch {
      // Closed by the runtime meanwhile.
    }
  }

  // Chunks are handed on and kept, so memory that was read into is never read into again.
  async #readAll(): Promise<void> {
    let size = READ_BYTES_MIN;
    let buffer = new Uint8Array(size);
    let filled = 0;
    try {
      while (!this.#ended) {
        const room = buffer.subarray(filled);
        const count = await this.#conn.read(room);
        if (this.#ended) return;
        if (count === null) return this.#end(undefined);
        if (count === 0) continue;
        this.#onChunk(room.subarray(0, count));
        filled += count;
        if (count === room.length && room.length >= size / 2) size = Math.min(size * 2, READ_BYTES_MAX);
        if (buffer.length - filled >= READ_BYTES_MIN / 4 && buffer.length === size) continue;
        buffer = new Uint8Array(size);
        filled = 0;
      }
    } catch (error) {
      this.#end(reasonOf(error));
    }
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    try {
      for (let block = this.#queue.peek(); block !== undefined; block = this.#queue.peek()) {
        const count = await this.#conn.write(block);
        if (this.#ended) return;
        this.#queue.advance(count);
      }
    } catch (error) {
      this.#end(reasonOf(error));
    } finally {
      this.#isWriting = false;
    }
  }

  #end(error: string | undefined): void {
    if (this.#ended) return;
    this.close();
    this.#onChunk(null, error);
  }
}
