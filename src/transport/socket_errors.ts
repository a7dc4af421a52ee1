/**
 * What the errors of the runtimes' sockets mean. Each runtime words them differently; their codes agree.
 *
 * @module
 */
import type { ServerAddress } from "../types.ts";

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused: nobody listens there",
  ECONNRESET: "connection reset by peer",
  ECONNABORTED: "connection aborted",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  ENOTFOUND: "the name is unknown",
  EAI_AGAIN: "the name can't be resolved now",
  EPIPE: "closed by peer",
  ETIMEDOUT: "timed out",
};

/** Why a socket failed, in words. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  if (code !== undefined && Object.hasOwn(REASONS, code)) return REASONS[code];
  const message = error instanceof Error ? error.message : String(error);
  return message === "" ? code ?? "failed" : message;
}

/** Says why a server can't listen, and what to do. */
export function listenError(address: ServerAddress, error: unknown): Error {
  return new Error(`Cannot listen at "${address}" as ${listenReasonOf(error)}`, { cause: error });
}

function listenReasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return "the port is in use: stop the program that uses it, or choose another port";
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return "this machine has no such address: listen at one that it has";
    case "EACCES":
      return "that port is not allowed: choose one above 1023";
  }
  return `it failed: ${reasonOf(error)}`;
}

/** The system's code, which Deno's errors carry as well. */
function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}
