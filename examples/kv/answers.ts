/**
 * What goes wrong, as HTTP: the status tells whether it is safe to try again.
 *
 * - 503 with `Retry-After`: the command was not and will not be applied.
 * - 504: unknown. It may be applied now, later or never; read before trying again. Or, as `outcome` says then, it was applied, and
 *   what it came to is not known any more.
 * - 4xx: the request is wrong, nothing was applied.
 *
 * @module
 */
import { HTTPException } from "hono/http-exception";
import { type Outcome, RaftError } from "@securecollc/raft";

/** What else is known of an error. */
export interface HttpErrorOptions {
  /** By default `not-applied`; undefined for a read that was done, as there is nothing that it could have applied. */
  readonly outcome?: Outcome | undefined;
  /** The leader's id, when the error named one. */
  readonly leader?: string | undefined;
  /** How long to wait before the same is worth another try here. */
  readonly retryAfterMs?: number | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that can't be answered as asked. */
export class HttpError extends Error {
  readonly status: number;
  /** A stable name for programs. */
  readonly code: string;
  readonly outcome: Outcome | undefined;
  readonly leader: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, options: HttpErrorOptions = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.outcome = "outcome" in options ? options.outcome : "not-applied";
    this.leader = options.leader;
    this.retryAfterMs = options.retryAfterMs;
    this.headers = options.headers ?? {};
  }
}

/** The request itself is wrong. */
export function badRequest(message: string): HttpError {
  return new HttpError(400, "bad-request", message);
}

/** Why a request's signal was aborted. */
export class RequestTimeoutError extends Error {
  constructor(timeoutMs: number) {
    super(`Cannot say within ${timeoutMs} ms what came of the request`);
  }
}

/** What a failed write tells its client. */
export function writeError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof RaftError) {
    const status = error.outcome === "not-applied" ? 503 : 504;
    const { code, message, outcome, leader, retryAfterMs } = error;
    return new HttpError(status, code, message, { outcome, leader: leader?.id, retryAfterMs });
  }
  if (error instanceof RequestTimeoutError) return new HttpError(504, "timeout", error.message, { outcome: "unknown" });
  if (error instanceof HTTPException) return new HttpError(error.status, "bad-request", error.message);
  return new HttpError(500, "internal", "Cannot answer as something went wrong in the server", {
    outcome: "unknown",
  });
}

/** What a failed read tells its client: as it changes nothing, it can always be tried again. */
export function readError(error: unknown): HttpError {
  const { status, code, message, leader, retryAfterMs } = writeError(error);
  return new HttpError(status === 504 ? 503 : status, code, message, { leader, retryAfterMs });
}

/** The answer itself. */
export function errorResponse(error: HttpError, leader: string | undefined): Response {
  // Whole seconds: the body says it more exactly.
  const headers = error.status === 503 ? { ...error.headers, "retry-after": "1" } : error.headers;
  const body = {
    error: error.message,
    code: error.code,
    ...error.outcome === undefined ? {} : { outcome: error.outcome },
    leader: error.leader ?? leader ?? null,
    ...error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs },
  };
  return Response.json(body, { status: error.status, headers });
}
