/**
 * Errors that end calls.
 *
 * @module
 */
import { AbortedByRestoreError, LeadershipLostError, ShutdownError } from "../errors.ts";
import type { LogIndex, Term } from "../types.ts";

/** The error of calls that a shutdown ends: with the cause when the server failed. */
export function shutdownError(outcome: "not-applied" | "unknown", cause: unknown): ShutdownError {
  return new ShutdownError(outcome, cause instanceof ShutdownError ? undefined : cause);
}

/** Another leader's entry was committed where the command was. */
export function overwritten(index: LogIndex, term: Term): LeadershipLostError {
  return new LeadershipLostError(`Cannot apply the command as another leader put its own entry at index ${index}`, {
    outcome: "not-applied",
    index,
    term,
  });
}

/** Nobody knows what became of the command, which was at that place if any is given. */
export function lost(message: string, index?: LogIndex, term?: Term): LeadershipLostError {
  return new LeadershipLostError(message, index === undefined ? {} : { index, term: term! });
}

/** A restore has taken the place of the command. */
export function abortedByRestore(index: LogIndex, term: Term): AbortedByRestoreError {
  const message = "Cannot keep what the command did as the machines are being restored";
  return new AbortedByRestoreError(message, { outcome: "unknown", index, term });
}
