/**
 * The claims of the Raft paper about what crashes leave (§5.4.3, §5.5); the others are in `paper_test.ts`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { Cluster } from "./cluster.ts";
import { voteRequest } from "./states.ts";

// §5.4.3 Safety argument

test("§5.4.3 once a server has applied an entry at an index, none ever applies another one there", () => {
  // The leader that committed crashes before anybody else knows of it; each survivor in turn leads next.
  for (const next of ["b", "c", "d"]) {
    const cluster = new Cluster({ servers: "a b c d e" });
    cluster.elect("a");
    cluster.propose("a", 2);
    cluster.settle(["a", "b", "c", "d"]);
    const { commitIndex } = cluster.of("a").core.state;
    const applied = cluster.of("a").log.slice(0, commitIndex);
    cluster.elect(next, ["b", "c", "d", "e"]);
    cluster.propose(next, 2);
    // Who was away is probed, then told what is committed.
    for (let i = 0; i < 3; i++) {
      cluster.tick(next);
      cluster.settle();
    }
    assertEquals(commitIndex, 4);
    for (const { core, log } of cluster.members.values()) {
      assertEquals([core.state.commitIndex, log.slice(0, commitIndex)], [7, applied]);
    }
  }
});

// §5.5 Follower and candidate crashes

test("§5.5 appends to a server that crashed are sent again until it is back, and then they complete", () => {
  const cluster = new Cluster();
  cluster.elect("a");
  cluster.propose("a", 2);
  for (let i = 0; i < 10; i++) {
    cluster.settle(["a", "b"]);
    cluster.tick("a");
    assert(cluster.between("a", "c").length > 0, "nothing is sent to who is away");
  }
  cluster.drop(() => true);
  cluster.restart("c");
  cluster.tick("a");
  cluster.settle();
  assertEquals(cluster.of("c").log, cluster.of("a").log);
});

test("§5.5 votes are asked for again when a voter crashes, and when the candidate does", () => {
  for (const crashed of ["a", "b"]) {
    const cluster = new Cluster({ servers: "a b", settings: { preVote: false } });
    cluster.tick("a");
    const requests = cluster.drop(() => true);
    cluster.restart(crashed);
    cluster.elect("a");
    assertEquals([requests.length, cluster.leaders, cluster.of("a").core.state.term], [1, ["a"], 3]);
  }
});

test("§5.5 requests are idempotent: one that was carried out before a crash changes nothing after it", () => {
  const cluster = new Cluster({ servers: "a b" });
  cluster.elect("a");
  cluster.propose("a");
  const [request] = cluster.between("a", "b");
  cluster.settle();
  const { log } = cluster.of("b");
  cluster.restart("b");
  cluster.hand(request!);
  assertEquals([cluster.of("b").log, cluster.of("b").core.state.epoch], [log, 0]);
  const vote = voteRequest({ term: 9, lastIndex: 9, lastTerm: 9 });
  for (let i = 0; i < 2; i++) {
    cluster.restart("b");
    cluster.hand({ from: "a", to: "b", message: vote, entries: [] });
    assertEquals(cluster.of("b").disk.vote, { term: 9, votedFor: "a" });
  }
});
