/**
 * A process that talks over TCP, for the test that mixes runtimes: `tcp_peer.ts <adapter> <id> [<peer>=<address> …]`.
 *
 * Without peers it sends back what it gets and goes when its standard input ends. With peers it sends each of them
 * frames of many sizes, checks what comes back, says `all came back` and goes.
 *
 * @module
 */
import process from "node:process";
import { join } from "../transport/party.ts";
import { type Adapter, loadTcp, until } from "./stacks.ts";

const SIZES = [1, 100, 70_000, 1_000_000];

const [adapter, id, ...peers] = process.argv.slice(2) as [Adapter, string, ...string[]];
const tcp = await loadTcp(adapter);
const party = await join(tcp({ listen: "127.0.0.1:0" }), id);
console.log(`listening at ${party.transport.address}`);
if (peers.length === 0) await sendBack();
else await askAll();
await party.transport.close();

async function sendBack(): Promise<void> {
  party.hook = ({ serverId, address }, frame, channel) => {
    if (!party.link.send(serverId, address, channel, [frame])) throw new Error("the queue is full");
  };
  for await (const _ of process.stdin);
}

async function askAll(): Promise<void> {
  for (const peer of peers) {
    const [to, address] = peer.split("=");
    for (const channel of ["consensus", "bulk"] as const) {
      party.frames.length = 0;
      await until(`${channel} to ${to}`, () => party.link.send(to, address, channel, [new Uint8Array(0)]));
      const sent = SIZES.map((size) => crypto.getRandomValues(new Uint8Array(Math.min(size, 65_536))));
      for (const [index, size] of SIZES.entries()) {
        const parts = Array.from({ length: Math.ceil(size / 65_536) }, () => sent[index]);
        party.link.send(to, address, channel, parts);
      }
      await until(`answers of ${to}`, () => party.frames.length === SIZES.length + 1);
      for (const [index, frame] of party.frames.slice(1).entries()) {
        if (!frame.every((byte, at) => byte === sent[index][at % sent[index].length])) throw new Error("other bytes");
      }
    }
  }
  console.log("all came back");
}
