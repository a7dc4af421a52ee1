/**
 * What stops a server.
 *
 * @module
 */
import { InvariantError, RaftError, StorageError } from "../errors.ts";

/** What stopped the server, as its user is told: a store may reject with anything. */
export function fatalOf(error: unknown, operation: "read" | "write" | undefined): RaftError {
  if (error instanceof RaftError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (operation === undefined) return new InvariantError(`Cannot go on: ${message}`, error);
  return new StorageError(`Cannot ${operation} the log: ${message}: see to the disk, then restart`, operation, error);
}
