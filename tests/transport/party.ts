/**
 * A server that only talks: a link whose calls are written down.
 *
 * @module
 */
import type {
  Channel,
  LocalServer,
  RemoteServer,
  Transport,
  TransportFactory,
  TransportHandler,
  TransportLink,
  TransportTrouble,
} from "../../src/transport/transport.ts";

/** See the module. */
export class Party implements TransportHandler {
  readonly transport: Transport;
  readonly link: TransportLink;
  /** `connect b consensus`, `disconnect b consensus: closed by peer`, in order. */
  readonly calls: string[] = [];
  /** Peers whose end closed the connection, as often as they did. */
  readonly closedBy: string[] = [];
  readonly frames: Uint8Array[] = [];
  readonly troubles: TransportTrouble[] = [];
  readonly peers: Map<string, RemoteServer> = new Map();
  /** Called for each frame besides. */
  hook: (from: RemoteServer, frame: Uint8Array, channel: Channel) => void = () => {};

  constructor(transport: Transport, local: LocalServer) {
    this.transport = transport;
    this.link = transport.attach(local, this);
  }

  onFrame(from: RemoteServer, channel: Channel, frame: Uint8Array): void {
    this.frames.push(frame);
    this.hook(from, frame, channel);
  }

  onConnect(peer: RemoteServer, channel: Channel): void {
    this.peers.set(peer.serverId, peer);
    this.calls.push(`connect ${peer.serverId} ${channel}`);
  }

  onDisconnect(peer: string, channel: Channel, reason: string, isClosedByPeer?: boolean): void {
    if (isClosedByPeer) this.closedBy.push(peer);
    this.calls.push(`disconnect ${peer} ${channel}: ${reason}`);
  }

  onTrouble(trouble: TransportTrouble): void {
    this.troubles.push(trouble);
  }

  /** Sends some numbers as one frame. */
  say(to: string, bytes: readonly number[], channel: Channel = "consensus", address = `${to}:1`): boolean {
    return this.link.send(to, address, channel, [Uint8Array.from(bytes)]);
  }

  /** Keeps connected to these, each at `id:1` unless said otherwise. */
  want(...ids: readonly (string | readonly [string, string])[]): void {
    this.link.setPeers(
      ids.map((id) => typeof id === "string" ? { id, address: `${id}:1` } : { id: id[0], address: id[1] }),
    );
  }

  /** Frames as plain numbers. */
  get heard(): number[][] {
    return this.frames.map((frame) => [...frame]);
  }
}

/** Who a server is, unless said otherwise. */
export function localServer(serverId: string, changes: Partial<LocalServer> = {}): LocalServer {
  return { group: 0, serverId, clusterId: () => "cluster", incarnation: `disk of ${serverId}`, starts: 1, ...changes };
}

/** Opens a transport and attaches a server to it. */
export async function join(
  factory: TransportFactory,
  serverId: string,
  changes: Partial<LocalServer> = {},
  logger?: (line: string) => void,
): Promise<Party> {
  return new Party(await factory.open(logger === undefined ? {} : { logger }), localServer(serverId, changes));
}
