/**
 * What a store says when something below it fails.
 *
 * @module
 */
import { RaftError, StorageError } from "../errors.ts";

/** An error that says what could not be done with what; ours pass as they are. */
export function failureOf(operation: string, what: string, cause: unknown): RaftError {
  if (cause instanceof RaftError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StorageError(`Cannot ${operation} ${what}: ${message}`, operation, cause);
}
