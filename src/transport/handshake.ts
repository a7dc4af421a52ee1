/**
 * Whom a handshake refuses: only what can never be right, which is another cluster, another server than the one meant,
 * oneself, and no common protocol. An unknown member is welcome: a configuration travels in the log, so whoever judged
 * membership here could never learn that it changed (thesis §4.1).
 *
 * @module
 */
import type { Hello, Refusal, Welcome } from "../wire/handshake_codec.ts";
import type { LocalServer, RemoteServer } from "./transport.ts";

/** The oldest protocol this code speaks. */
export const PROTOCOL_MIN = 1;

/** The newest protocol this code speaks. */
export const PROTOCOL_MAX = 1;

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
  return judgeCluster(hello.clusterId, local.clusterId());
}

/** Says why a welcome can't come from the server that was dialled, or undefined when it can. */
export function judgeWelcome(welcome: Welcome, hello: Hello): Refusal | undefined {
  if (welcome.protocol < hello.protocolMin || welcome.protocol > hello.protocolMax) {
    return { code: "protocol", reason: `the dialled server chose protocol ${welcome.protocol}, which was not offered` };
  }
  if (welcome.serverId !== hello.to) {
    return { code: "target-id", reason: `wrong server: "${hello.to}" was dialled, "${welcome.serverId}" answers` };
  }
  return judgeCluster(hello.clusterId, welcome.clusterId);
}

function judgeCluster(dialling: string, dialled: string): Refusal | undefined {
  if (dialling === "" || dialled === "" || dialling === dialled) return undefined;
  return {
    code: "cluster-id",
    reason: `wrong cluster id: the dialling server's is "${dialling}", the dialled one's "${dialled}"`,
  };
}

/** What the dialled server knows of the dialling one. */
export function remoteOfHello(hello: Hello): RemoteServer {
  const { clusterId, incarnation, starts, address } = hello;
  return { serverId: hello.from, clusterId, incarnation, starts, address, protocol: negotiateProtocol(hello) ?? 0 };
}
