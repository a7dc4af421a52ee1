/**
 * The routes of the admin surface.
 *
 * @module
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { secureHeaders } from "hono/secure-headers";
import { checkNumber, nameOf, TIMER_MS_MAX } from "../../src/checks.ts";
import { EventRing } from "./event_ring.ts";
import { leaderRoutes } from "./leader_routes.ts";
import { openApiDocument } from "./openapi.ts";
import { isCrossOriginWrite } from "./origin.ts";
import { problemResponse } from "./problem.ts";
import { givenTo, type Route } from "./route.ts";
import { serverRoutes } from "./server_routes.ts";
import { snapshotRoutes } from "./snapshot_routes.ts";
import type { AdminTarget } from "./target.ts";
import { viewRoutes } from "./view_routes.ts";

/** Answers a request: what `Deno.serve`, `Bun.serve` and a Hono app's `mount` take. */
export interface FetchHandler {
  /** Answers one request. Works without `this`. */
  readonly fetch: (request: Request) => Response | Promise<Response>;
}

/** Options of {@linkcode adminApp}: a token, or the word that none is wanted. */
export interface AdminOptions {
  /** What a caller has to send: `Authorization: Bearer <token>`. Letters, digits and `._~+/-`, then any `=`. */
  readonly token?: string;
  /** Lets everybody in who reaches the surface: for hosts that only listen on loopback or ask for a password. */
  readonly insecure?: boolean;
  /**
   * Under which path the requests come, for a host that passes them on as they are. A host that mounts the surface
   * takes its path off, and needs none.
   *
   * @default {""}
   */
  readonly path?: string;
  /**
   * A server is healthy while its last contact with a leader is at most this old, in milliseconds.
   *
   * @default {1000}
   */
  readonly contactMaxMs?: number;
  /**
   * How long a request may take, in milliseconds, or may bring nothing when it brings a snapshot; then it is answered with
   * 504, and what was asked for may be done all the same.
   *
   * @default {60_000}
   */
  readonly timeoutMs?: number;
}

/**
 * The admin surface of a server: what it does (`GET status`, `health`, `metrics`, `stats`, `doctor`, `configuration`,
 * `events`), and what operators do with it: `POST servers`, `membership`, `transfer`, `drain`, `snapshot`, `GET snapshots/:id`, `PUT restore` and the like. All
 * routes are described at `GET openapi.json`. Mount it under any path.
 *
 * @throws {TypeError | RangeError} Without `token` or `insecure: true`, with a token that can't be sent as one, or with another
 * option that is not what it must be.
 */
export function adminApp(raft: AdminTarget, options: AdminOptions): FetchHandler {
  const { token, insecure, path: base = "", contactMaxMs = 1000, timeoutMs = 60_000 } = options;
  if (token === undefined && insecure !== true) {
    throw new TypeError("Cannot serve the admin surface to everybody: pass 'token', or 'insecure: true' on loopback");
  }
  if (token !== undefined && !(typeof token === "string" && /^[A-Za-z0-9._~+/-]+=*$/.test(token))) {
    throw new TypeError("Cannot use the token: it must be letters, digits and the characters ._~+/- and then any =");
  }
  checkNumber("serve the admin surface", "contactMaxMs", contactMaxMs);
  checkNumber("serve the admin surface", "timeoutMs", timeoutMs, TIMER_MS_MAX);
  if (typeof base !== "string") {
    throw new TypeError(`Cannot serve the admin surface as 'path' must be text, not ${nameOf(base)}`);
  }
  const app = new Hono().basePath(base);
  app.use(secureHeaders({ strictTransportSecurity: false }), neverStored);
  if (token !== undefined) app.use(requireToken(token));
  app.use(refuseForeignWrites);
  const routes: Route[] = [
    ...viewRoutes(contactMaxMs, new EventRing()),
    ...serverRoutes,
    ...leaderRoutes,
    ...snapshotRoutes(),
  ];
  const document = { method: "GET", path: "/openapi.json", summary: "This document." } as const;
  routes.push({ ...document, answer: () => openApiDocument(routes, base, token !== undefined) });
  for (const route of routes) app.on(route.method, route.path, (c) => answer(route, raft, c, timeoutMs));
  for (const path of new Set(routes.map(({ path }) => path))) app.all(path, refuseMethod(routes, path));
  app.notFound((c) => c.json({ error: "Nothing is here: openapi.json says what there is", code: "not-found" }, 404));
  app.onError((error) => problemResponse(error, raft.leader));
  return { fetch: (request) => app.fetch(request) };
}

async function answer(route: Route, raft: AdminTarget, c: Context, timeoutMs: number): Promise<Response> {
  const request = c.req.raw;
  const timeout = new AbortController();
  const start = () => setTimeout(() => timeout.abort(new DOMException("it takes too long", "TimeoutError")), timeoutMs);
  let timer = start();
  const extend = () => {
    clearTimeout(timer);
    timer = start();
  };
  try {
    const given = await givenTo(route, request);
    const id = c.req.param("id") ?? "";
    const answered = await route.answer({ raft, given, request, id, signal: timeout.signal, extend });
    return answered instanceof Response ? answered : c.json(answered as object);
  } catch (error) {
    return problemResponse(error, raft.leader);
  } finally {
    clearTimeout(timer);
  }
}

function refuseMethod(routes: readonly Route[], path: string): (c: Context) => Response {
  const methods = routes.filter((route) => route.path === path).map(({ method }) => method as string);
  const allow = methods.flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]).join(", ");
  return (c) => {
    c.header("allow", allow);
    return c.json(
      { error: `Cannot ${c.req.method} here: use ${methods.join(" or ")}`, code: "method-not-allowed" },
      405,
    );
  };
}

const neverStored: MiddlewareHandler = async (c, next) => {
  await next();
  c.header("cache-control", "no-store");
};

function requireToken(token: string): MiddlewareHandler {
  const message = { error: "Cannot let you in: send the header 'Authorization: Bearer <token>'", code: "unauthorized" };
  const invalidHeader = () => Response.json(message, { status: 401 });
  return bearerAuth({
    token,
    noAuthenticationHeader: { message },
    invalidToken: { message },
    invalidAuthenticationHeader: { message: invalidHeader },
  });
}

const refuseForeignWrites: MiddlewareHandler = async (c, next) => {
  if (!isCrossOriginWrite(c.req.raw)) return await next();
  return c.json({ error: "Cannot take a write from a page of another origin", code: "cross-origin" }, 403);
};
