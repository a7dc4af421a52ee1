/**
 * Where a server is dialled, when the configuration is not the one to say.
 *
 * @module
 */
import type { ServerAddress, ServerId } from "../types.ts";
import type { Clock } from "./clock.ts";

/** See {@linkcode NetworkOptions.resolveAddress}. */
export type AddressResolver = (
  id: ServerId,
  address: ServerAddress,
) => ServerAddress | undefined | Promise<ServerAddress | undefined>;

/** How an address is resolved. */
export interface Resolving {
  readonly resolve: AddressResolver;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Gives up. */
  readonly signal: AbortSignal;
  readonly logger: ((line: string) => void) | undefined;
}

/** Where to dial that server. Rejects only when the signal aborts. */
export async function resolvedAddress(
  { resolve, clock, timeoutMs, signal, logger }: Resolving,
  id: ServerId,
  address: ServerAddress,
): Promise<ServerAddress> {
  let timer: unknown;
  const timeout = new Promise<undefined>((end) => {
    timer = clock.setTimeout(() => end(undefined), timeoutMs);
    signal.addEventListener("abort", () => end(undefined), { once: true });
  });
  let resolved: ServerAddress | undefined;
  try {
    resolved = await Promise.race([resolve(id, address), timeout]);
  } catch (error) {
    logger?.(`Cannot resolve the address of "${id}", so it is dialled at ${address}: ${String(error)}`);
  }
  clock.clearTimeout(timer);
  signal.throwIfAborted();
  return resolved ?? address;
}
