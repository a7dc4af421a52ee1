import { assert, assertEquals, assertThrows } from "@std/assert";
import { Core, type CoreStart } from "../../src/core/core.ts";
import type { Effect } from "../../src/core/effect.ts";
import { InvariantError } from "../../src/errors.ts";
import { test } from "../harness.ts";
import { Cluster } from "./cluster.ts";
import { accepted, announces, configuration, coreOf, leaderOf, receive, settings, take } from "./states.ts";

const start: CoreStart = {
  ...{ id: "a", settings, seed: 1, now: 40, vote: { term: 3, votedFor: "b" } },
  ...{ firstIndex: 1, lastIndex: 3, terms: [{ term: 1, from: 1 }, { term: 2, from: 3 }] },
  configurations: [{ index: 1, configuration: configuration("a b c") }],
  damaged: [],
};

test("Core.start() follows nobody, trusts its disk, and tells its configuration and role", () => {
  const { core, effects } = Core.start(start);
  assertEquals(effects, [
    { type: "announce-configuration", index: 1, configuration: configuration("a b c") },
    announces("follower", 3, undefined, "started"),
  ]);
  const { term, votedFor, persistedIndex, commitIndex, verifiedIndex, role } = core.state;
  assertEquals([term, votedFor, persistedIndex, commitIndex, verifiedIndex, role], [3, "b", 3, 0, 0, "follower"]);
  assertEquals(core.deadline, 1040);
});

test("Core.start() without a configuration waits to be found", () => {
  const { core } = Core.start({ ...start, lastIndex: 0, terms: [], configurations: [] });
  assertEquals(take(core, { type: "deadline-reached" }, 1040), { effects: [], changes: { electionAt: 2040 } });
});

test("Core.start() of the only voter does not wait; of one with a nonvoter or of a nonvoter it does as it must", () => {
  const deadlineOf = (servers: string) =>
    Core.start({ ...start, configurations: [{ index: 1, configuration: configuration(servers) }] }).core.deadline;
  assertEquals(["a", "a ~b", "a b", "~a b", "a!"].map(deadlineOf), [40, 40, 1040, 1040, 1040]);
});

test("Core.start() refuses a vote older than the log (BE30)", () => {
  const vote = (term: number) => ({ ...start, vote: { term, votedFor: undefined } });
  assertThrows(() => Core.start(vote(1)), InvariantError);
  assertEquals(Core.start(vote(2)).core.state.term, 2);
});

test("Core.deadline is the election's, the heartbeat's or the transfer's, whichever comes first", () => {
  assertEquals(coreOf().deadline, 1000);
  assertEquals(leaderOf({ state: { electionAt: 3 } }).deadline, 50);
  const transfer = { to: "b", deadline: 49, isNamed: true, told: true };
  assertEquals(leaderOf({ leading: { transfer } }).deadline, 49);
  assertEquals(leaderOf({ leading: { transfer: { ...transfer, deadline: 51 } } }).deadline, 50);
});

test("clock-jumped: a follower waits a whole election timeout anew", () => {
  assertEquals(take(coreOf(), { type: "clock-jumped" }, 990), { effects: [], changes: { electionAt: 1990 } });
});

test("drained: means nothing to anybody but a leader", () => {
  assertEquals(take(coreOf(), { type: "drained" }), { effects: [], changes: {} });
});

/** A cluster with a leader that is busy in every way: reads, a transfer, appends on their way, slow disks. */
function busy(): Cluster {
  const cluster = new Cluster({ servers: "a b c ~d" });
  cluster.elect("a");
  cluster.propose("a", 6);
  cluster.deliver("a", "b");
  cluster.read("a");
  cluster.step("a", { type: "transfer-requested", to: "c" });
  return cluster;
}

test("Core.state is plain: structuredClone keeps all of it", () => {
  for (const { core } of busy().members.values()) {
    const clone = structuredClone(core.state);
    assertEquals(clone, core.state);
    assertEquals(Object.getPrototypeOf(core.state), Object.prototype);
  }
});

test("Core.load() of a clone gives the same effects and states for the same events", () => {
  const cluster = busy();
  for (const { core, id } of cluster.members.values()) {
    const clone = Core.load(structuredClone(core.state));
    const play = (it: Core): Effect[][] => [
      ...cluster.network.filter(({ to }) => to === id).map(({ from, message }) =>
        it.step({ type: "message-received", from, message }, cluster.now)
      ),
      it.step({ type: "proposed", count: 1 }, cluster.now),
      it.step({ type: "deadline-reached" }, cluster.now + 5000),
      it.step({ type: "drained" }, cluster.now + 5000),
      it.step({ type: "deadline-reached" }, cluster.now + 9000),
    ];
    assertEquals(play(clone), play(core));
    assertEquals(clone.state, core.state);
  }
});

test("Core: a clone is not touched when the original goes on", () => {
  const { core } = busy().of("a");
  const saved = structuredClone(core.state);
  const clone = Core.load(structuredClone(core.state));
  core.step({ type: "deadline-reached" }, 1e6);
  receive(core, "b", accepted({ term: 99 }));
  assertEquals(clone.state, saved);
});

for (const base of [2 ** 31 - 500, 2 ** 32 - 500, 2 ** 52]) {
  test(`Core: a clock that starts at ${base} changes nothing (BC15)`, () => {
    const cluster = new Cluster();
    cluster.now = base;
    cluster.elect("a");
    for (let i = 0; i < 40; i++) {
      cluster.tick("a");
      cluster.settle();
    }
    cluster.propose("a");
    cluster.settle();
    assert(cluster.now > base + 1000);
    assertEquals([cluster.leaders, cluster.of("a").core.state.term], [["a"], 2]);
  });
}
