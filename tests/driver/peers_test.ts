import { assertEquals } from "@std/assert";
import { Peers } from "../../src/driver/peers.ts";
import { test } from "../harness.ts";

const remote = (incarnation: string, starts: number) => (
  { serverId: "b", clusterId: "test", incarnation, starts, address: "b:1", protocol: 1 }
);

test("Peers: what an earlier start of a peer said is not its word any more, nor when the connection since is gone (M8)", () => {
  const peers = new Peers("a");
  const all = [remote("B", 1), remote("B", 2), remote("X", 1)];
  const current = () => all.map((peer) => peers.isCurrent(peer));
  assertEquals(current(), [true, true, true]);
  peers.connect(remote("B", 1));
  assertEquals(current(), [true, false, false]);
  peers.connect(remote("X", 1));
  assertEquals(current(), [false, false, true]);
  peers.disconnect("b");
  assertEquals([peers.isConnected("b"), current()], [false, [false, false, true]]);
  peers.connect(remote("B", 2));
  assertEquals(current(), [false, true, false]);
});
