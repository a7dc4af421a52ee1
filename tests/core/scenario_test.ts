import { assert, assertEquals, assertThrows } from "@std/assert";
import type { ServerId } from "../../src/types.ts";
import { test } from "../harness.ts";
import { Cluster } from "./cluster.ts";

/** The server is elected by these, and of what it then sends nothing arrives. */
function electInSilence(cluster: Cluster, id: ServerId, voters: readonly ServerId[]): void {
  const isVote = (type: string) => type.startsWith("vote-");
  cluster.now += 2000;
  for (let attempts = 0; attempts < 3 && !cluster.leaders.includes(id); attempts++) {
    cluster.tick(id);
    while (cluster.network.length > 0) {
      const [packet] = cluster.network.splice(0, 1);
      const arrives = [packet!.from, packet!.to].every((end) => end === id || voters.includes(end));
      if (arrives && isVote(packet!.message.type)) cluster.hand(packet!);
    }
  }
  assert(cluster.leaders.includes(id), `"${id}" was not elected`);
}

/** Figure 8 of the paper up to (c): "a" leads again and has brought its entry of term 2 to a majority. */
function figure8(): Cluster {
  const cluster = new Cluster({ servers: "a b c d e", settings: { appendEntriesMax: 1 } });
  electInSilence(cluster, "a", ["b", "c", "d"]);
  cluster.tick("a");
  cluster.settle(["a", "b"]);
  cluster.restart("a");
  electInSilence(cluster, "e", ["c", "d"]);
  cluster.restart("e");
  electInSilence(cluster, "a", ["b", "c", "d"]);
  cluster.tick("a");
  while (cluster.terms("c").length < 2) {
    cluster.deliver("a", "c");
    cluster.deliver("c", "a");
  }
  cluster.deliver("a", "b");
  cluster.deliver("b", "a");
  cluster.drop(() => true);
  return cluster;
}

test("figure 8: an entry of term 2 on a majority is not committed by its leader of term 4", () => {
  const cluster = figure8();
  assertEquals(["a", "b", "c", "d", "e"].map((id) => cluster.terms(id)), [[1, 2, 4], [1, 2], [1, 2], [1], [1, 3]]);
  assertEquals(cluster.of("a").core.state.term, 4);
  assertEquals(cluster.of("a").core.state.commitIndex, 0);
});

test("figure 8 (d): the entry may still be overwritten by a leader of term 5", () => {
  const cluster = figure8();
  cluster.restart("a");
  electInSilence(cluster, "e", ["b", "c", "d"]);
  cluster.tick("e");
  cluster.settle();
  for (const id of ["a", "b", "c", "d", "e"]) assertEquals(cluster.terms(id), [1, 3, 5]);
});

test("figure 8 (e): once an entry of term 4 is committed, the one of term 2 is, and nobody without them leads", () => {
  const cluster = figure8();
  cluster.tick("a");
  cluster.settle(["a", "b", "c"]);
  assertEquals(cluster.of("a").core.state.commitIndex, 3);
  cluster.restart("a");
  assertThrows(() => electInSilence(cluster, "e", ["b", "c", "d"]), Error, "not elected");
});

test("follower overcommit: a heartbeat that verifies a prefix commits no more than that (BC03)", () => {
  const cluster = new Cluster({ settings: { preVote: false } });
  electInSilence(cluster, "c", ["b"]);
  cluster.propose("c", 2);
  cluster.restart("c");
  cluster.elect("a", ["a", "b"]);
  assertEquals([cluster.terms("c"), cluster.of("a").core.state.commitIndex], [[1, 2, 2, 2], 2]);
  cluster.tick("a");
  cluster.deliver("a", "c");
  assertEquals(cluster.of("c").core.state.commitIndex, 1);
  cluster.settle();
  assertEquals([cluster.terms("c"), cluster.of("c").core.state.commitIndex], [[1, 3], 2]);
});

test("responses: repeated and in any order they lead to the same state", () => {
  const ends = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 2, 0, 3, 1, 3]].map((order) => {
    const cluster = new Cluster({ settings: { appendEntriesMax: 1 } });
    cluster.elect("a");
    for (let i = 0; i < 3; i++) cluster.propose("a");
    for (let i = 0; i < 3; i++) cluster.deliver("a", "b");
    const answers = [...cluster.drop(({ from }) => from === "b")];
    answers.push(answers[0]!);
    for (const i of order) cluster.hand(answers[i]!);
    const { matchIndex, nextIndex, inFlight } = cluster.of("a").core.state.leading!.progress.get("b")!;
    return [matchIndex, nextIndex, inFlight.length, cluster.of("a").core.state.commitIndex];
  });
  assertEquals(ends, Array(3).fill([5, 6, 0, 5]));
});

test("appends: reordered by the network they arrive all the same", () => {
  const cluster = new Cluster({ settings: { appendEntriesMax: 1 } });
  cluster.elect("a");
  for (let i = 0; i < 3; i++) cluster.propose("a");
  for (const packet of cluster.drop(({ to }) => to === "b").reverse()) cluster.hand(packet);
  cluster.settle();
  assertEquals(cluster.of("b").log, cluster.of("a").log);
  assertEquals(cluster.of("b").core.state.commitIndex, 5);
});

test("check-quorum: a leader that is cut off makes way within its lease and a heartbeat, and says no to reads", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  const since = cluster.now;
  cluster.propose("a");
  const read = cluster.read("a");
  while (cluster.leaders.length > 0) {
    cluster.tick("a");
    cluster.drop(() => true);
  }
  assert(cluster.now - since <= 550, `${cluster.now - since} ms`);
  assertEquals([cluster.of("a").reads.has(read), cluster.of("a").reads.get(read)], [true, undefined]);
});

test("check-quorum: half of four voters is not enough to stay leader, half and one is", () => {
  for (const [peers, leads] of [[["b"], false], [["b", "c"], true]] as const) {
    const cluster = new Cluster({ servers: "a b c d" });
    cluster.elect("a");
    for (let i = 0; i < 20; i++) {
      if (cluster.leaders.length > 0) cluster.tick("a");
      cluster.settle(["a", ...peers]);
    }
    assertEquals(cluster.leaders.length > 0, leads);
  }
});

test("pre-vote: a server that was cut off disturbs nobody when it comes back", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  for (let i = 0; i < 5; i++) {
    for (let beats = 0; beats < 20; beats++) {
      cluster.tick("a");
      cluster.settle(["a", "b"]);
    }
    if (cluster.of("c").core.deadline <= cluster.now) cluster.tick("c");
    cluster.drop(() => true);
  }
  assertEquals(cluster.of("c").core.state.role, "pre-candidate");
  cluster.tick("a");
  cluster.settle();
  assertEquals([cluster.leaders, cluster.of("c").core.state.term], [["a"], 2]);
});

test("append: one that was lost is found by the next heartbeat, without a new command", () => {
  const cluster = new Cluster({ servers: "a b" });
  cluster.elect("a");
  cluster.propose("a", 3);
  cluster.drop(() => true);
  cluster.tick("a");
  cluster.settle();
  assertEquals(cluster.of("b").log, cluster.of("a").log);
  assertEquals(cluster.of("b").core.state.commitIndex, 5);
  assertEquals(cluster.of("a").core.state.leading!.progress.get("b")!.inFlightBytes, 0);
});

test("append: an answer that was lost is made up for by the next heartbeat", () => {
  const cluster = new Cluster({ servers: "a b" });
  cluster.elect("a");
  cluster.propose("a", 3);
  cluster.deliver("a", "b");
  cluster.drop(() => true);
  cluster.tick("a");
  cluster.settle();
  assertEquals(["a", "b"].map((id) => cluster.of(id).core.state.commitIndex), [5, 5]);
});

test("rejection: a stale one, from before the follower caught up, changes nothing", () => {
  const cluster = new Cluster({ servers: "a b" });
  cluster.elect("a");
  cluster.propose("a");
  const [lost] = cluster.drop(() => true);
  cluster.tick("a");
  cluster.deliver("a", "b");
  const [stale] = cluster.between("b", "a");
  cluster.settle();
  const before = structuredClone(cluster.of("a").core.state);
  cluster.hand(stale!);
  cluster.hand(lost!);
  cluster.settle();
  assertEquals(cluster.of("a").core.state, before);
});

test("transfer: the target leads in the next term, whatever is heard of the old leader (BV08, BV11)", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  cluster.propose("a", 2);
  cluster.step("a", { type: "transfer-requested", to: "c" });
  cluster.tick("a");
  cluster.settle();
  assertEquals([cluster.leaders, cluster.of("c").core.state.term], [["c"], 3]);
  assertEquals(cluster.of("a").core.state.commitIndex, 5);
});

test("two servers: neither leads alone, both together do, and one's return brings all back", () => {
  const cluster = new Cluster({ servers: "a b" });
  assertThrows(() => cluster.elect("a", ["a"]), Error, "not elected");
  cluster.elect("a");
  cluster.restart("b");
  cluster.propose("a", 2);
  assertEquals(cluster.of("a").core.state.commitIndex, 2);
  cluster.tick("a");
  cluster.settle();
  assertEquals(["a", "b"].map((id) => cluster.of(id).core.state.commitIndex), [4, 4]);
});

test("a follower whose disk is slow keeps its leader, though each heartbeat carries entries", () => {
  const cluster = new Cluster({ servers: "a b", persistence: "delayed", settings: { windowAppendsMax: 64 } });
  cluster.elect("a");
  for (let i = 0; i < 20; i++) {
    cluster.now += 50;
    cluster.propose("a");
    cluster.tick("a");
    cluster.persist("a");
    while (cluster.network.length > 0) cluster.hand(cluster.network.shift()!);
  }
  assertEquals(cluster.leaders, ["a"]);
  cluster.settle();
  assertEquals(cluster.of("a").core.state.commitIndex, 22);
});

test("a delayed append of an old leadership proves nothing to the same server's new one (BR03)", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  for (let round = 1; round <= 3; round++) {
    cluster.tick("a");
    cluster.settle(["a", "c"]);
  }
  cluster.tick("a");
  const [delayed] = cluster.drop(({ to }) => to === "b");
  cluster.elect("c", ["b", "c"]);
  cluster.tick("c");
  cluster.settle();
  cluster.elect("a", ["a", "b"]);
  cluster.tick("a");
  for (let i = 0; i < 9; i++) {
    cluster.propose("a");
    cluster.settle();
  }
  // "b" answers it in the term that "a" leads, then helps "c" to the next one and commits an entry there.
  cluster.hand(delayed!);
  const [answer] = cluster.drop(({ from }) => from === "b");
  electInSilence(cluster, "c", ["b"]);
  cluster.tick("c");
  cluster.settle(["b", "c"]);
  assertEquals(cluster.leaders, ["a", "c"]);
  const read = cluster.read("a");
  cluster.hand(answer!);
  assertEquals(cluster.of("a").reads.has(read), false);
});
