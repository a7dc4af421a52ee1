/**
 * What configuration follows from which wishes: pure functions, no state.
 *
 * @module
 */
import {
  type Configuration,
  type ConfigurationChange,
  isAddition,
  type Server,
  type ServerId,
  SERVERS_MAX,
} from "../types.ts";
import { isSameDisk } from "./identity.ts";
import { voterSets } from "./quorum.ts";

/** Why a change can't be made, for the end of a sentence. */
export type ChangeProblem = string;

/**
 * The servers once all wishes have come true, sorted by id. Servers that are to vote and don't yet are `staging` until
 * they are among `ready`.
 *
 * @param ready Servers that have caught up, or whose vote does not wait for that.
 */
export function serversAfter(
  servers: readonly Server[],
  changes: readonly ConfigurationChange[],
  ready: ReadonlySet<ServerId>,
): Server[] {
  const after = new Map(servers.map((server) => [server.id, server]));
  for (const change of changes) {
    const server = after.get(change.id);
    if (isAddition(change)) after.set(change.id, added(server, change, ready.has(change.id)));
    else if (change.type === "remove-server") after.delete(change.id);
    else if (server !== undefined) after.set(change.id, { ...server, suffrage: "nonvoter" });
  }
  return [...after.values()].sort(byId);
}

function added(
  server: Server | undefined,
  { type, id, address, priority = server?.priority }: Extract<ConfigurationChange, { readonly address: string }>,
  isReady: boolean,
): Server {
  const suffrage = server?.suffrage === "voter"
    ? "voter"
    : type === "add-nonvoter"
    ? "nonvoter"
    : isReady
    ? "voter"
    : "staging";
  const disk = server?.disk;
  return {
    id,
    address,
    suffrage,
    ...priority === undefined ? {} : { priority },
    ...disk === undefined ? {} : { disk },
  };
}

/** The servers once this staging one votes. */
export function promoted(servers: readonly Server[], id: ServerId): Server[] {
  return servers.map((server) => server.id === id ? { ...server, suffrage: "voter" } : server);
}

/**
 * The configuration that leads to these servers: at once when the voters differ by one at most, as then any two
 * majorities overlap (thesis §4.1); else the joint one, which both majorities have to agree to (Raft §6).
 */
export function towards(current: Configuration, servers: readonly Server[]): Configuration {
  const [before = []] = voterSets(current);
  const [after = []] = voterSets({ servers });
  const moved = before.filter((id) => !after.includes(id)).length + after.filter((id) => !before.includes(id)).length;
  if (moved <= 1) return { servers };
  // A voter that goes has a say until the end, so it has to be reached until then.
  const going = current.servers.filter(({ id }) => before.includes(id) && !servers.some((server) => server.id === id))
    .map((server): Server => ({ ...server, suffrage: "nonvoter", leaving: true }));
  return { servers: [...servers, ...going].sort(byId), outgoing: [...before].sort() };
}

/** The configuration after a joint one. */
export function left({ servers }: Configuration): Configuration {
  return { servers: servers.filter(({ leaving }) => leaving === undefined) };
}

function byId(a: Server, b: Server): number {
  return a.id < b.id ? -1 : 1;
}

/** What is wrong with these servers; undefined when nothing is. */
export function problemOf(servers: readonly Server[]): ChangeProblem | undefined {
  if (servers.length > SERVERS_MAX) return `there would be ${servers.length} servers, more than ${SERVERS_MAX}`;
  if (!servers.some(({ suffrage }) => suffrage === "voter")) return "it would leave no voter";
  const owners = new Map<string, ServerId>();
  for (const { id, address } of servers) {
    const owner = owners.get(address);
    if (owner !== undefined) return `"${owner}" and "${id}" would have the same address ${address}`;
    owners.set(address, id);
  }
  return undefined;
}

/** Whether these are the same servers, with the same addresses, suffrages and priorities. */
export function isSame(a: readonly Server[], b: readonly Server[]): boolean {
  return a.length === b.length && a.every((server, i) => {
    const other = b[i]!;
    return server.id === other.id && server.address === other.address && server.suffrage === other.suffrage &&
      server.priority === other.priority && isSameDisk(server.disk, other.disk);
  });
}
