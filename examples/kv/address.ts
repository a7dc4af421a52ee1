/**
 * Where to listen, as it is written on a command line.
 *
 * @module
 */

/** A host and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port` or `[::1]:port`; undefined when it is neither. */
export function parseHostPort(text: string): HostPort | undefined {
  const [, v6, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? plain;
  const port = Number(digits);
  return host !== undefined && port >= 1 && port <= 65535 ? { host, port } : undefined;
}

/** As it stands in a URL. */
export function formatHostPort({ host, port }: HostPort): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Whether a host name or address is of this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}
