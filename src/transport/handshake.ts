/**
 * Whom a handshake refuses: only what can never be right, which is another cluster, another beginning of it, another server
 * than the one meant, oneself, and no common protocol. An unknown member is welcome: a configuration travels in the log, so whoever judged
 * membership here could never learn that it changed (thesis §4.1).
 *
 * @module
 */
import type { Hello, Refusal, Welcome } from "../wire/handshake_codec.ts";
import type { LocalServer, RemoteServer } from "./transport.ts";

/** The oldest protocol this code speaks. */
export const PROTOCOL_MIN = 1;

/** The newest protocol this code speaks. Since 2, leaders say when they count on no lease. */
export const PROTOCOL_MAX = 2;

/** The protocol both ends speak best, undefined when there is none. */
export function negotiateProtocol(hello: Hello): number | undefined {
  const protocol = Math.min(hello.protocolMax, PROTOCOL_MAX);
  return protocol >= Math.max(hello.protocolMin, PROTOCOL_MIN) ? protocol : undefined;
}

/** Says why a hello can't be meant for `local`, or undefined when it is welcome. */
export function judgeHello(hello: Hello, local: LocalServer): Refusal | undefined {
  if (negotiateProtocol(hello) === undefined) {
    return {
      code: "protocol",
      reason: `no common protocol: the dialling server speaks ${hello.protocolMin} to ${hello.protocolMax}, ` +
        `the dialled one ${PROTOCOL_MIN} to ${PROTOCOL_MAX}`,
    };
  }
  if (hello.from === local.serverId) {
    return { code: "own-id", reason: `both servers have the id "${hello.from}": give each server an id of its own` };
  }
  if (hello.to !== local.serverId) {
    return { code: "target-id", reason: `wrong server: "${hello.to}" was dialled, "${local.serverId}" answers` };
  }
  return judgeCluster(hello, { clusterId: local.clusterId(), firstEntry: firstEntryOf(local) });
}

/** Says why a welcome can't come from the server that was dialled, or undefined when it can. */
export function judgeWelcome(welcome: Welcome, hello: Hello): Refusal | undefined {
  if (welcome.protocol < hello.protocolMin || welcome.protocol > hello.protocolMax) {
    return { code: "protocol", reason: `the dialled server chose protocol ${welcome.protocol}, which was not offered` };
  }
  if (welcome.serverId !== hello.to) {
    return { code: "target-id", reason: `wrong server: "${hello.to}" was dialled, "${welcome.serverId}" answers` };
  }
  return judgeCluster(hello, welcome);
}

/** What a server belongs to. */
type Belonging = Pick<Hello, "clusterId" | "firstEntry">;

/** What a server that was attached knows of its cluster's first entry. */
export function firstEntryOf(local: LocalServer): string {
  return local.firstEntry?.() ?? "";
}

/**
 * Two clusters may have been given one name. Their first entries have the same index and term, by which Raft takes them
 * for the same entry, so that nothing later would tell them apart (Raft §5.3).
 */
function judgeCluster(dialling: Belonging, dialled: Belonging): Refusal | undefined {
  if (differ(dialling.clusterId, dialled.clusterId)) {
    return {
      code: "cluster-id",
      reason: `wrong cluster id: the dialling server's is "${dialling.clusterId}", ` +
        `the dialled one's "${dialled.clusterId}"`,
    };
  }
  if (differ(dialling.firstEntry, dialled.firstEntry)) {
    return {
      code: "first-entry",
      reason: `another bootstrap: the fingerprint of the dialling server's first configuration is ` +
        `"${dialling.firstEntry}", that of the dialled one's "${dialled.firstEntry}"`,
    };
  }
  return undefined;
}

/** Whether both are known and not the same. */
function differ(one: string, other: string): boolean {
  return one !== "" && other !== "" && one !== other;
}

/** What the dialled server knows of the dialling one. */
export function remoteOfHello(hello: Hello): RemoteServer {
  const { clusterId, incarnation, starts, address, firstEntry } = hello;
  const protocol = negotiateProtocol(hello) ?? 0;
  return { serverId: hello.from, clusterId, incarnation, starts, address, protocol, firstEntry };
}
