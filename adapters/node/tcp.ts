/**
 * TCP on `node:net`, which Node, Bun and Deno all have.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";
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
 * import { tcp } from "@securecollc/raft/node";
 *
 * const transport = tcp({ listen: "0.0.0.0:7001", advertise: "a.example.net:7001" });
 * ```
 */
export function tcp({ listen, ...options }: TcpOptions): TransportFactory {
  parseAddress(listen);
  return networkTransport(tcpLayer(listen), options);
}

function tcpLayer(address: ServerAddress): StreamLayer {
  return {
    listen: (onStream) => listenAt(address, onStream),
    dial: (to, { timeoutMs, signal }) => dial(to, timeoutMs, signal),
  };
}

async function listenAt(address: ServerAddress, onStream: (stream: Stream) => void) {
  const { host, port } = parseAddress(address);
  const server = createServer({ noDelay: true }, (socket) => onStream(new TcpStream(socket)));
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: host === "" ? "0.0.0.0" : host, port }, resolve);
    });
  } catch (error) {
    throw listenError(address, error);
  }
  // An accept that fails, most often for want of file descriptors, must not end the process; the next one may succeed.
  server.removeAllListeners("error").on("error", () => {});
  const bound = server.address() as { port: number };
  return { address: formatAddress({ host, port: bound.port }), close: () => closed(server) };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.listening ? server.close(() => resolve()) : resolve());
}

function dial(address: ServerAddress, timeoutMs: number, signal: AbortSignal): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const { host, port } = parseAddress(address);
    const socket = connect({ host, port, noDelay: true });
    const settle = (error: Error | undefined) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      socket.off("connect", connected).off("error", failed);
      if (error === undefined) return resolve(new TcpStream(socket));
      // A socket without a listener for its errors takes the process down, and this one may fail once more.
      socket.on("error", () => {}).destroy();
      reject(error);
    };
    const connected = () => settle(undefined);
    const failed = (cause: Error) => settle(new Error(reasonOf(cause), { cause }));
    const abort = () => settle(new Error("cancelled"));
    const timer = setTimeout(() => settle(new Error("timed out")), timeoutMs);
    signal.addEventListener("abort", abort);
    socket.on("connect", connected).on("error", failed);
  });
}

class TcpStream implements Stream {
  readonly remoteAddress: string;
  readonly #socket: Socket;
  readonly #queue = new SendQueue();
  #onChunk: (chunk: Uint8Array | null, error?: string) => void = () => {};
  #isWriting = false;
  #ended = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.remoteAddress = formatAddress({ host: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 });
    socket.on("error", (error) => this.#end(reasonOf(error)));
    socket.on("close", () => this.#end(undefined));
    socket.on("end", () => this.#end(undefined));
  }

  get queuedBytes(): number {
    return this.#queue.queuedBytes;
  }

  start(onChunk: (chunk: Uint8Array | null, error?: string) => void): void {
    this.#onChunk = onChunk;
    // A plain view: `slice` of a Buffer doesn't copy, which nobody who holds a Uint8Array expects.
    this.#socket.on("data", (data: Uint8Array) => {
      if (!this.#ended) onChunk(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    });
  }

  write(parts: readonly Uint8Array[]): void {
    if (this.#ended) return;
    this.#queue.push(parts);
    if (!this.#isWriting) this.#writeNext();
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#queue.clear();
    this.#socket.destroy();
  }

  // One block at a time: the socket's own queue would neither gather small parts nor show progress within large ones.
  #writeNext(): void {
    const block = this.#queue.peek();
    this.#isWriting = block !== undefined;
    if (block === undefined) return;
    this.#socket.write(block, (error) => {
      if (this.#ended || error) return;
      this.#queue.advance(block.length);
      this.#writeNext();
    });
  }

  #end(error: string | undefined): void {
    if (this.#ended) return;
    this.close();
    this.#onChunk(null, error);
  }
}
