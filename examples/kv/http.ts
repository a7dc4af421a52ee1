/**
 * The routes: every server answers every one of them.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import type { Applied, LogIndex, Raft } from "@securecollc/raft";
import { adminApp, type AdminTarget, type FetchHandler } from "@securecollc/raft/hono";
import { badRequest, errorResponse, HttpError, readError, writeError } from "./answers.ts";
import { readBody, readCas, toJson } from "./body.ts";
import { Deadline } from "./deadline.ts";
import { guard } from "./guard.ts";
import type { Command, Item, KvMachine, Result } from "./machine.ts";
import { watchResponse } from "./watch.ts";

/** What the routes use of a server. */
export type KvServer = Pick<Raft<Command, Result>, "applyEntry" | "read" | "leader"> & AdminTarget;

/** What the routes need. */
export interface KvAppOptions {
  readonly raft: KvServer;
  readonly machine: KvMachine;
  /** What every request must then carry: `Authorization: Bearer <token>`. */
  readonly token?: string | undefined;
  /** How long a request may take; then it is answered with 504 or, as it changes nothing, a read with 503. */
  readonly timeoutMs?: number;
  /** Ends the watches when the server stops. */
  readonly signal?: AbortSignal;
}

const KEY_BYTES_MAX = 1024;
const LIST_MAX = 1000;

/** The whole surface of one server. */
export function kvApp(options: KvAppOptions): FetchHandler {
  const { raft, token } = options;
  const app = new Hono();
  app.use(guard(token));
  const routes = new KvRoutes(options);
  app.get("/kv", (c) => routes.list(c)).all(onlyMethods("GET, HEAD"));
  app.put("/kv/:key", (c) => routes.put(c));
  app.get("/kv/:key", (c) => routes.get(c));
  app.delete("/kv/:key", (c) => routes.delete(c));
  app.all("/kv/:key", onlyMethods("GET, HEAD, PUT, DELETE"));
  app.post("/kv/:key/cas", (c) => routes.cas(c)).all(onlyMethods("POST"));
  // Hono answers HEAD by GET, whose stream nobody would ever read.
  const watch = (c: Context) => c.req.method === "HEAD" ? onlyMethods("GET")(c) : routes.watch(c);
  app.get("/watch", watch).all(onlyMethods("GET"));
  // Who came this far has shown the token.
  const admin = adminApp(raft, { insecure: true, path: "/raft" });
  app.all("/raft/*", (c) => admin.fetch(c.req.raw));
  app.notFound(() => {
    throw new HttpError(
      404,
      "not-found",
      "Nothing is here: there are /kv, /kv/:key, /kv/:key/cas, /watch, /raft/status and what /raft/openapi.json lists",
    );
  });
  app.onError((error) => errorResponse(writeError(error), raft.leader?.id));
  return { fetch: (request) => app.fetch(request) };
}

function onlyMethods(allow: string): (c: Context) => Response {
  return (c) => {
    const message = `Cannot ${c.req.method} here: there is ${allow}`;
    throw new HttpError(405, "method-not-allowed", message, { headers: { allow } });
  };
}

class KvRoutes {
  readonly #raft: KvServer;
  readonly #machine: KvMachine;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;

  constructor({ raft, machine, timeoutMs, signal }: KvAppOptions) {
    this.#raft = raft;
    this.#machine = machine;
    this.#timeoutMs = timeoutMs ?? 5_000;
    this.#signal = signal;
  }

  put(c: Context): Promise<Response> {
    const key = keyOf(c);
    const command = async (): Promise<Command> => ({ op: "put", key, value: await readBody(c.req.raw) });
    return this.#write(c, command, ({ index }) => ({ index }));
  }

  delete(c: Context): Promise<Response> {
    const command: Command = { op: "delete", key: keyOf(c) };
    return this.#write(c, () => Promise.resolve(command), ({ index, result }) => ({ index, deleted: result }));
  }

  cas(c: Context): Promise<Response> {
    const key = keyOf(c);
    const command = async (): Promise<Command> => ({ op: "cas", key, ...await readCas(c.req.raw) });
    return this.#write(c, command, ({ index, result }) => ({ index, swapped: result }));
  }

  async get(c: Context): Promise<Response> {
    const key = keyOf(c);
    const { consistency } = queryOf(c, "consistency");
    const { found: item, index } = await this.#read(() => this.#machine.get(key), consistency);
    if (item !== undefined) return itemResponse(item, index);
    const headers = { "raft-applied-index": String(index) };
    const message = `Cannot find the key ${JSON.stringify(key)}`;
    throw new HttpError(404, "no-such-key", message, { headers, outcome: undefined });
  }

  async list(c: Context): Promise<Response> {
    const { prefix = "", after, limit = "100", consistency } = queryOf(c, "prefix", "after", "limit", "consistency");
    const count = numberOf(limit, "limit", 1, LIST_MAX);
    const { found, index } = await this.#read(() => this.#machine.list(prefix, after, count), consistency);
    // Where to go on: pass it as `after`.
    const next = found.hasMore ? found.listed.at(-1)!.key : null;
    return c.json({ index, keys: found.listed, next }, 200, { "raft-applied-index": String(index) });
  }

  watch(c: Context): Response {
    const { prefix = "", after } = queryOf(c, "prefix", "after");
    const last = c.req.header("last-event-id") ?? after;
    const from = last === undefined ? undefined : numberOf(last, "Last-Event-ID or after", 0, Number.MAX_SAFE_INTEGER);
    return watchResponse(this.#machine, { prefix, after: from, signal: this.#signal });
  }

  /** Nothing is answered with 200 before the command is committed and applied. */
  async #write(
    c: Context,
    commandOf: () => Promise<Command>,
    answer: (applied: Applied<Result>) => { index: LogIndex },
  ): Promise<Response> {
    queryOf(c);
    const deadline = new Deadline(this.#timeoutMs);
    try {
      const data = await deadline.race(commandOf()).catch(throwBodyError);
      const named = await idempotencyOf(c, data);
      const applied = await this.#raft.applyEntry({ data }, { signal: deadline.signal, ...named });
      return c.json(answer(applied), 200, { "raft-index": String(applied.index) });
    } catch (error) {
      throw writeError(error);
    } finally {
      deadline.clear();
    }
  }

  async #read<T>(query: () => T, consistency = "linearizable"): Promise<{ found: T; index: LogIndex }> {
    if (consistency !== "linearizable" && consistency !== "lease" && consistency !== "stale") {
      throw badRequest(`Cannot read with the consistency "${consistency}": there are linearizable, lease and stale`);
    }
    const deadline = new Deadline(this.#timeoutMs);
    try {
      const both = () => ({ found: query(), index: this.#machine.index });
      return await this.#raft.read(both, { consistency, signal: deadline.signal });
    } catch (error) {
      throw readError(error);
    } finally {
      deadline.clear();
    }
  }
}

/** A request that is sent again, to any server, under the same `Idempotency-Key` is applied once. */
async function idempotencyOf(c: Context, command: Command): Promise<{ readonly key?: string }> {
  const key = c.req.header("idempotency-key");
  if (key === undefined) return {};
  if (key.length < 1 || key.length > 255) {
    throw badRequest(`Cannot use the Idempotency-Key: it must have 1 to 255 characters, not ${key.length}`);
  }
  // Another request under the same key is another command, and no two of them may be taken for one.
  const request = JSON.stringify([key, command], (_, value) => value instanceof Uint8Array ? toJson(value) : value);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(request)));
  return { key: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}

// Until the body is there nothing was proposed.
function throwBodyError(error: unknown): never {
  if (error instanceof HttpError) throw error;
  throw new HttpError(408, "body-timeout", "Cannot read the request's body to its end");
}

/** The value, as it was put: no type is known of it, so no browser may take it for a page. */
function itemResponse({ value, index }: Item, appliedIndex: LogIndex): Response {
  return new Response(value as Uint8Array<ArrayBuffer>, {
    headers: {
      "content-type": "application/octet-stream",
      // Else the answer to HEAD, which has no body, would say that there is none.
      "content-length": String(value.length),
      "raft-index": String(index),
      "raft-applied-index": String(appliedIndex),
    },
  });
}

/** The key as it is in the path: a router's own idea of escaped slashes must not change it. */
function keyOf(c: Context): string {
  const [, , escaped = ""] = new URL(c.req.url).pathname.split("/");
  let key: string;
  try {
    key = decodeURIComponent(escaped);
  } catch {
    throw badRequest(`Cannot use the key "${escaped}": escape it as encodeURIComponent does`);
  }
  const bytes = new TextEncoder().encode(key).length;
  if (bytes >= 1 && bytes <= KEY_BYTES_MAX) return key;
  throw badRequest(`Cannot use the key: it must have 1 to ${KEY_BYTES_MAX} bytes, not ${bytes}`);
}

/** The options in a request's address. One that would not be heeded is refused: the answer would look as if it had been. */
function queryOf<Name extends string>(c: Context, ...names: readonly Name[]): Partial<Record<Name, string>> {
  const query: Partial<Record<string, string>> = {};
  for (const [name, value] of new URL(c.req.url).searchParams) {
    if (!(names as readonly string[]).includes(name)) {
      const known = names.length === 0 ? "this route has none" : `it takes ${names.join(", ")}`;
      throw badRequest(`Cannot use the option "${name}": ${known}`);
    }
    if (query[name] !== undefined) throw badRequest(`Cannot use the option "${name}" twice`);
    query[name] = value;
  }
  return query as Partial<Record<Name, string>>;
}

function numberOf(text: string, name: string, min: number, max: number): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (number >= min && number <= max) return number;
  throw badRequest(`Cannot use "${text}" as ${name}: it must be a whole number from ${min} to ${max}`);
}
