/**
 * One server whose peers are played by the test: frames in, frames out.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Core } from "../../src/core/core.ts";
import type { AppendRequest, Message } from "../../src/message.ts";
import type { RaftSettings } from "../../src/options.ts";
import type { Raft } from "../../src/raft.ts";
import { startServer } from "../../src/server.ts";
import type { RemoteServer, Transport, TransportHandler } from "../../src/transport/transport.ts";
import { EntryType } from "../../src/types.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/message_codec.ts";
import { encodeRecords } from "../../src/wire/record.ts";
import { Journal } from "../virtual_cluster.ts";
import { drain, VirtualEnvironment } from "../virtual_environment.ts";
import { ManualStore } from "./stores.ts";

/** A peer as the transport names it. */
export const remote = (serverId: string): RemoteServer => ({
  serverId,
  clusterId: "",
  incarnation: serverId,
  starts: 1,
  address: serverId,
  protocol: 1,
});

/** After the configuration, by the leader of term 2. */
const firstAppend: AppendRequest = {
  type: "append-request",
  term: 2,
  sequence: 1,
  prevIndex: 1,
  prevTerm: 1,
  end: 0,
  runs: [],
  configurations: [],
  commitIndex: 0,
  round: 1,
  isLeased: false,
};

/** The server and its test's hands. */
export interface PlayedPeers {
  readonly environment: VirtualEnvironment;
  /** The server's core. */
  readonly observed: { core?: Core };
  readonly store: ManualStore;
  /** All that it sent. */
  readonly sent: { to: string; message: Message }[];
  readonly handler: () => TransportHandler;
  readonly raft: Raft<unknown, unknown>;
  readonly machine: Journal<Uint8Array>;
  /** A message comes from `b` or `c`. */
  receive(from: string, message: Message, attachment?: readonly Uint8Array[]): void;
  /** An append of `b` or `c`: commands with these values after `prevIndex`. */
  append(from: string, over: Partial<AppendRequest>, ...values: number[]): Promise<void>;
  /** Makes `a` the leader of term 2. */
  lead(): Promise<void>;
  /** How often its link was closed. */
  readonly closed: { link: number };
  stop(): Promise<void>;
}

/** Server `a` of `a`, `b` and `c`. */
export async function setUp(settings: Partial<RaftSettings> = {}): Promise<PlayedPeers> {
  const environment = new VirtualEnvironment();
  const observed: { core?: Core } = {};
  environment.observe = (core) => void (observed.core = core);
  const store = new ManualStore();
  const sent: { to: string; message: Message }[] = [];
  let handler: TransportHandler | undefined;
  const closed = { link: 0 };
  const transport: Transport = {
    address: "a",
    attach: (_, given) => {
      handler = given;
      return {
        send: (to, _address, _channel, parts) => {
          const { message } = decodeMessage(new Uint8Array(parts.flatMap((part) => [...part])));
          sent.push({ to, message });
          return true;
        },
        setPeers: () => {},
        close: () => (closed.link++, Promise.resolve()),
      };
    },
    close: () => Promise.resolve(),
  };
  const machine = new Journal<Uint8Array>();
  const raft = await startServer<unknown, unknown>({
    id: "a",
    machine: machine as Journal,
    store,
    transport,
    bootstrap: { a: "a", b: "b", c: "c" },
    ...settings,
  }, environment);
  for (const peer of ["b", "c"]) handler!.onConnect(remote(peer), "consensus");
  const receive = (from: string, message: Message, attachment: readonly Uint8Array[] = []) => {
    const frame = encodeMessage(message, attachment).flatMap((part) => [...part]);
    handler!.onFrame(remote(from), "consensus", new Uint8Array(frame));
  };
  const append = (from: string, over: Partial<AppendRequest>, ...values: number[]) => {
    const message = { ...firstAppend, ...over };
    const entries = values.map((value) => ({ type: EntryType.command, flags: 1, payload: Uint8Array.of(value) }));
    receive(from, message, [encodeRecords(message.prevIndex + 1, message.term, 0, entries).bytes]);
    return drain();
  };
  const lead = async () => {
    await environment.until(() => raft.state === "pre-candidate");
    receive("b", { type: "vote-response", term: 1, pre: true, campaign: 2, granted: true });
    await drain();
    receive("b", { type: "vote-response", term: 2, pre: false, campaign: 2, granted: true });
    await drain();
    assertEquals(raft.state, "leader");
  };
  const stop = () => environment.settled(raft.shutdown());
  return {
    environment,
    observed,
    store,
    sent,
    handler: () => handler!,
    raft,
    machine,
    receive,
    append,
    lead,
    closed,
    stop,
  };
}
