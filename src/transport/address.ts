/**
 * Addresses as text.
 *
 * @module
 */
import type { ServerAddress } from "../types.ts";

/** An address in its parts. */
export interface HostAndPort {
  /** A name or an IP address; one of IPv6 without its brackets. Empty for all interfaces. */
  readonly host: string;
  /** 0 to 65535. */
  readonly port: number;
}

/**
 * Takes `host:port`, `[::1]:7001` or `:7001` apart.
 *
 * @throws {TypeError} If it is none of them.
 */
export function parseAddress(address: ServerAddress): HostAndPort {
  const match = /^(?:\[([0-9A-Fa-f:.%\w]*)\]|([^\s:[\]/]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new TypeError(`Cannot use the address "${address}": write it as "host:port" or "[::1]:7001"`);
  }
  return { host: match[1] ?? match[2] ?? "", port };
}

/** The reverse of {@linkcode parseAddress}. */
export function formatAddress({ host, port }: HostAndPort): ServerAddress {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Where others can dial a server.
 *
 * @param bound Where it listens.
 * @param advertise What its operator says.
 * @throws {TypeError} If nobody could dial it there.
 */
export function advertisedAddress(bound: ServerAddress, advertise: ServerAddress | undefined): ServerAddress {
  const address = advertise ?? bound;
  const { host, port } = parseAddress(address);
  if (/^(|\*|0\.0\.0\.0|[0:]+)$/.test(host)) {
    throw new TypeError(
      `Cannot advertise "${address}" as it stands for all interfaces: set "advertise" to what the others can dial`,
    );
  }
  if (port === 0) throw new TypeError(`Cannot advertise "${address}" as it lacks the port: set it in "advertise"`);
  return address;
}
