/**
 * The first entry of a cluster and the name that follows from it.
 *
 * @module
 */
import { checkObject } from "./checks.ts";
import { systemEnvironment } from "./driver/environment.ts";
import { isServerId, serverIdProblem } from "./options_check.ts";
import { type Configuration, EntryType, type ServerAddress, type ServerId } from "./types.ts";
import { encodeConfiguration, problemOf } from "./wire/configuration.ts";
import { encodeRecords, type Records } from "./wire/record.ts";

/** The term of entry 1. Elections begin with the next. */
export const bootstrapTerm = 1;

/**
 * The configuration that `bootstrap` describes: every server a voter, sorted by id.
 *
 * @throws {TypeError} When an id or address can't be one, two share an address, or `self` is not among them.
 */
export function bootstrapConfiguration(
  bootstrap: Readonly<Record<ServerId, ServerAddress>>,
  self: ServerId,
): Configuration {
  const ids = Object.keys(bootstrap).sort();
  const seen = new Map<ServerAddress, ServerId>();
  for (const id of ids) {
    const address = bootstrap[id]!;
    if (!isServerId(id)) throw new TypeError(serverIdProblem(id));
    if (typeof address !== "string" || address === "") {
      throw new TypeError(`Cannot bootstrap as server "${id}" has no address: give it "host:port"`);
    }
    const other = seen.get(address);
    if (other !== undefined) {
      throw new TypeError(`Cannot bootstrap as servers "${other}" and "${id}" share the address "${address}"`);
    }
    seen.set(address, id);
  }
  if (!ids.includes(self)) {
    throw new TypeError(`Cannot bootstrap as this server "${self}" is not among the servers: ${ids.join(", ")}`);
  }
  return { servers: ids.map((id) => ({ id, address: bootstrap[id]!, suffrage: "voter" })) };
}

/**
 * Checks what a cluster is to begin with.
 *
 * @throws {TypeError} When no cluster could have these servers, or `self` is not among the voters.
 */
export function checkFirst(configuration: Configuration, self: ServerId): void {
  checkObject("bootstrap", "the configuration, such as { servers },", configuration);
  const problem = problemOfShape(configuration) ?? problemOf(configuration);
  if (problem !== undefined) throw new TypeError(`Cannot bootstrap as the configuration cannot be: ${problem}`);
  const isVoter = configuration.servers.some(({ id, suffrage }) => id === self && suffrage === "voter");
  if (isVoter && configuration.outgoing === undefined) return;
  throw new TypeError(`Cannot bootstrap as this server "${self}" is not among the voters`);
}

/** What is wrong with it before one can look at its servers. */
function problemOfShape({ servers, outgoing }: Configuration): string | undefined {
  if (!Array.isArray(servers)) return "its servers are not an array";
  // A hole is none.
  for (const server of [...servers]) checkObject("bootstrap", "each server", server);
  return outgoing === undefined || Array.isArray(outgoing) ? undefined : "its outgoing voters are not an array";
}

/** Entry 1: the same bytes on every server that bootstraps with the same configuration. */
export function bootstrapEntry(configuration: Configuration): Records {
  const payload = encodeConfiguration(configuration);
  return encodeRecords(1, bootstrapTerm, 0, [{ type: EntryType.configuration, payload }]);
}

/** A name for the cluster that starts with this configuration: 32 hexadecimal digits of its SHA-256. */
export async function fingerprint(configuration: Configuration): Promise<string> {
  const digest = await systemEnvironment.digest(encodeConfiguration(configuration));
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The name of the cluster that the option `bootstrap` begins, unless it is given one by `clusterId`. It stays the cluster's
 * whatever servers come and go: see `clusterId` in {@linkcode RaftStatus}.
 *
 * @throws {TypeError} When no cluster could have these servers.
 *
 * @example
 * ```ts
 * import { clusterIdOf } from "@securecollc/raft";
 *
 * console.log((await clusterIdOf({ a: "10.0.0.1:7001" })).length); // 32
 * ```
 */
export async function clusterIdOf(bootstrap: Readonly<Record<ServerId, ServerAddress>>): Promise<string> {
  return await fingerprint(bootstrapConfiguration(bootstrap, Object.keys(bootstrap)[0] ?? ""));
}
