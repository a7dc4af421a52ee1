/**
 * What goes wrong, as an answer: `{ error, code, outcome, leader }`.
 *
 * @module
 */
import { HTTPException } from "hono/http-exception";
import type { LeaderHint, Outcome, RaftError } from "../../mod.ts";

/** A request that can't be done as it was sent; nothing came of it. */
export class BadRequest extends Error {
  /** The status of the answer. */
  readonly status: number;
  /** The code in the answer. */
  readonly code: string;
  /** Takes what to say. */
  constructor(message: string, status = 400, code = "bad-request") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The body of an answer that is an error. */
export interface ProblemBody {
  /** What went wrong, for people. */
  readonly error: string;
  /** What went wrong, for programs: the library's codes, and some of the surface's own. */
  readonly code: string;
  /** What became of what was asked for. */
  readonly outcome: Outcome;
  /** Whom to ask instead, when it is known. */
  readonly leader: LeaderHint | null;
  /** Why a change of the servers or a transfer failed. */
  readonly reason?: string;
}

const statuses: Readonly<Record<string, number>> = {
  "not-leader": 503,
  "overloaded": 503,
  "leadership-lost": 503,
  "shutdown": 503,
  "configuration-changed": 409,
  "membership": 409,
  "transfer-failed": 409,
  "nothing-new": 409,
  "aborted-by-restore": 409,
  "protocol": 400,
  "no-snapshots": 501,
  "storage-full": 507,
};

/** The answer to a request that failed. */
export function problemResponse(error: unknown, leader: LeaderHint | undefined): Response {
  if (error instanceof HTTPException) return error.getResponse();
  const { status, body } = problemOf(error, leader);
  const headers: Record<string, string> = status === 503 ? { "retry-after": "1" } : {};
  return Response.json(body, { status, headers });
}

function problemOf(error: unknown, leader: LeaderHint | undefined): { status: number; body: object } {
  if (error instanceof BadRequest) {
    return { status: error.status, body: bodyOf(error, error.code, "not-applied", leader) };
  }
  // The class may be another copy's: the code is the same.
  const { code, outcome, name } = Object(error) as Partial<RaftError>;
  if (typeof code === "string" && typeof outcome === "string" && code in statuses) {
    const { leader: named, reason } = error as RaftError & { readonly reason?: string };
    const body = bodyOf(error as RaftError, code, outcome, named ?? leader);
    return { status: statuses[code]!, body: reason === undefined ? body : { ...body, reason } };
  }
  if (name === "TimeoutError") {
    const message = "Cannot wait any longer: what was asked for may be done all the same";
    return { status: 504, body: bodyOf({ message }, "timeout", "unknown", leader) };
  }
  // What the library refuses about its arguments; other errors of these types are mistakes in the server.
  if ((error instanceof TypeError || error instanceof RangeError) && error.message.startsWith("Cannot ")) {
    return { status: 400, body: bodyOf(error, "bad-request", "not-applied", leader) };
  }
  // What went wrong is the host's business: it may name paths.
  return { status: 500, body: { error: "Cannot answer as something went wrong in the server", code: "internal" } };
}

function bodyOf(
  { message }: { readonly message: string },
  code: string,
  outcome: Outcome,
  leader: LeaderHint | undefined,
): ProblemBody {
  return { error: message, code, outcome, leader: leader ?? null };
}
