/**
 * An HTTP server on the runtime this is.
 *
 * @module
 */
import type { AddressInfo } from "node:net";
import type { FetchHandler } from "@securecollc/raft/hono";
import type { HostPort } from "./address.ts";

/** A runtime this example runs on. */
export type Runtime = "deno" | "bun" | "node";

/** The runtime this is. Bun and Deno both answer to Node's names, so they are asked first. */
export const runtime: Runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";

/** A server that listens. */
export interface HttpServer {
  /** Takes no more connections, lets what is under way end for so long, then cuts it off. */
  close(graceMs: number): Promise<void>;
}

type Fetch = FetchHandler["fetch"];

/** Listens. Rejects when the address can't be had. */
export function listenHttp(fetch: Fetch, address: HostPort): Promise<HttpServer> {
  return listeners[runtime](fetch, address);
}

const listeners: Readonly<Record<Runtime, (fetch: Fetch, address: HostPort) => Promise<HttpServer>>> = {
  deno: listenDeno,
  bun: listenBun,
  node: listenNode,
};

// deno-lint-ignore require-await -- what Deno.serve throws has to reject
async function listenDeno(fetch: Fetch, { host, port }: HostPort): Promise<HttpServer> {
  const cut = new AbortController();
  const options = { hostname: host, port, signal: cut.signal, onListen: () => {} };
  const server = Deno.serve(options, (request) => fetch(request));
  return { close: (graceMs) => closeWithin(graceMs, () => server.shutdown(), () => cut.abort()) };
}

/** What is used of `Bun.serve`, whose types only Bun has. */
interface BunServe {
  serve(options: {
    readonly hostname: string;
    readonly port: number;
    /** Seconds without a byte after which a connection is closed. */
    readonly idleTimeout: number;
    readonly fetch: Fetch;
  }): { stop(closeConnections?: boolean): Promise<void> };
}

// deno-lint-ignore require-await -- what Bun.serve throws has to reject
async function listenBun(fetch: Fetch, { host, port }: HostPort): Promise<HttpServer> {
  const { Bun } = globalThis as unknown as { Bun: BunServe };
  // Only the request: Bun's second argument is none of the handler's.
  const server = Bun.serve({ hostname: host, port, idleTimeout: 60, fetch: (request) => fetch(request) });
  return { close: (graceMs) => closeWithin(graceMs, () => server.stop(), () => void server.stop(true)) };
}

async function listenNode(fetch: Fetch, { host, port }: HostPort): Promise<HttpServer> {
  const { createAdaptorServer } = await import("@hono/node-server");
  const { createServer, Server } = await import("node:http");
  const server = createAdaptorServer({ fetch, createServer });
  if (!(server instanceof Server)) throw new TypeError("Cannot listen as this is no HTTP server");
  await new Promise<AddressInfo | string | null>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve(server.address()));
  });
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    // A connection whose last answer is under way is not idle yet.
    const closing = setInterval(() => server.closeIdleConnections(), 20);
    await closed;
    clearInterval(closing);
  };
  return { close: (graceMs) => closeWithin(graceMs, close, () => server.closeAllConnections()) };
}

async function closeWithin(graceMs: number, close: () => Promise<void>, cut: () => void): Promise<void> {
  const timer = setTimeout(cut, graceMs);
  try {
    await close();
  } catch {
    // Cut off while it was closing: it is closed all the same.
  } finally {
    clearTimeout(timer);
  }
}
