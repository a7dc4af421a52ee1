/**
 * The routes of the admin surface.
 *
 * @module
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { HTTPException } from "hono/http-exception";
import { secureHeaders } from "hono/secure-headers";
import type { RaftMetrics, RaftStatus } from "../../mod.ts";
import { isCrossOriginWrite } from "./origin.ts";
import { prometheusText } from "./prometheus.ts";

/** Answers a request: what `Deno.serve`, `Bun.serve` and a Hono app's `mount` take. */
export interface FetchHandler {
  /** Answers one request. Works without `this`. */
  readonly fetch: (request: Request) => Response | Promise<Response>;
}

/** What the admin surface needs of a server: any `Raft` has it. */
export interface AdminTarget {
  /** What the server is doing. */
  readonly status: RaftStatus;
  /** What it counted. */
  metrics(): RaftMetrics;
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
}

/**
 * The admin surface of a server: `GET status` (JSON), `GET health` (200 with a known leader and a recent contact, else
 * 503 with the reasons), `GET metrics` (Prometheus text). Mount it under any path.
 *
 * @throws {TypeError} Without `token` or `insecure: true`, or with a token that can't be sent as one.
 */
export function adminApp(raft: AdminTarget, options: AdminOptions): FetchHandler {
  const { token, insecure, path: base = "", contactMaxMs = 1000 } = options;
  if (token === undefined && insecure !== true) {
    throw new TypeError("Cannot serve the admin surface to everybody: pass 'token', or 'insecure: true' on loopback");
  }
  if (token !== undefined && !/^[A-Za-z0-9._~+/-]+=*$/.test(token)) {
    throw new TypeError("Cannot use the token: it must be letters, digits and the characters ._~+/- and then any =");
  }
  const app = new Hono().basePath(base);
  app.use(secureHeaders({ strictTransportSecurity: false }), neverStored);
  if (token !== undefined) app.use(requireToken(token));
  app.use(refuseForeignWrites);
  app.get("/status", (c) => c.json(statusOf(raft.status)));
  app.get("/health", (c) => {
    const health = healthOf(raft.status, contactMaxMs);
    return c.json(health, health.healthy ? 200 : 503);
  });
  app.get("/metrics", (c) => {
    return c.body(prometheusText(raft.metrics()), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  });
  for (const path of ["/status", "/health", "/metrics"]) app.all(path, refuseMethod);
  app.notFound((c) =>
    c.json({ error: "Nothing is here: there are status, health and metrics", code: "not-found" }, 404)
  );
  app.onError(answerError);
  return { fetch: (request) => app.fetch(request) };
}

function refuseMethod(c: Context): Response {
  c.header("allow", "GET, HEAD");
  return c.json({ error: `Cannot ${c.req.method} here: use GET`, code: "method-not-allowed" }, 405);
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

function answerError(error: Error, c: Context): Response {
  if (error instanceof HTTPException) return error.getResponse();
  // What went wrong is the host's business: it may name paths.
  return c.json({ error: "Cannot answer as something went wrong in the server", code: "internal" }, 500);
}

/** As in the library, but with null for what is not known, since JSON leaves out undefined, and whole milliseconds. */
function statusOf(status: RaftStatus): Record<string, unknown> {
  return {
    ...status,
    leader: status.leader ?? null,
    votedFor: status.votedFor ?? null,
    lastContactMs: rounded(status.lastContactMs) ?? null,
    servers: status.servers.map((server) => ({ ...server, lastContactMs: rounded(server.lastContactMs) })),
  };
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms);
}

interface Health {
  readonly healthy: boolean;
  readonly reasons: readonly string[];
  readonly id: string;
  readonly role: string;
  readonly leader: string | null;
}

function healthOf({ id, role, leader, lastContactMs }: RaftStatus, contactMaxMs: number): Health {
  const reasons: string[] = [];
  if (role === "shutdown") reasons.push("the server is shut down");
  if (leader === undefined) reasons.push("no leader is known");
  if (lastContactMs === undefined) reasons.push("there was no contact with a leader yet");
  else if (lastContactMs > contactMaxMs) {
    reasons.push(
      `the last contact with a leader was ${Math.round(lastContactMs)} ms ago: at most ${contactMaxMs} is fine`,
    );
  }
  return { healthy: reasons.length === 0, reasons, id, role, leader: leader ?? null };
}
