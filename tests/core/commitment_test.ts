import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../src/errors.ts";
import { test } from "../harness.ts";
import { accepted, drained, leaderOf, receive, take } from "./states.ts";

/** A leader of term 2 with entries 3 and 4 of its own, all durable here. */
const leader = (servers: string, matches: Record<string, number>, persistedIndex = 4) =>
  leaderOf({
    servers,
    terms: [1, 1, 2, 2],
    leading: { firstIndex: 3 },
    progress: Object.fromEntries(Object.entries(matches).map(([id, matchIndex]) => [id, { matchIndex }])),
    state: { persistedIndex },
  });

const acknowledges = (matchIndex: number) => accepted({ term: 2, sequence: 9, matchIndex });

for (
  const { servers, others, acker } of [
    { servers: "a b", others: {}, acker: "b" },
    { servers: "a b c", others: {}, acker: "c" },
    { servers: "a b c d", others: { b: 3 }, acker: "d" },
    { servers: "a b c d e", others: { b: 4 }, acker: "e" },
  ]
) {
  test(`commitment: a quorum of "${servers}" commits, one acknowledgement less does not`, () => {
    const core = leader(servers, others);
    assertEquals(core.state.commitIndex, 0);
    assertEquals(receive(core, acker, acknowledges(3)).effects, [{ type: "apply", upTo: 3 }]);
    assertEquals(core.state.commitIndex, 3);
  });
}

test("commitment: nonvoters and staging servers don't count (P2, BC05)", () => {
  const core = leader("a b c ~d +e", {});
  for (const id of ["d", "e", "x"]) assertEquals(receive(core, id, acknowledges(4)).effects, []);
});

test("commitment: entries of earlier terms are committed only by one of the own (BC01, figure 8)", () => {
  const core = leader("a b c", {});
  assertEquals(receive(core, "b", acknowledges(2)).effects, []);
  assertEquals(receive(core, "b", acknowledges(3)).effects, [{ type: "apply", upTo: 3 }]);
});

test("commitment: the leader counts itself only with what is durable (BC06, BC07)", () => {
  const core = leader("a b c", {}, 2);
  assertEquals(receive(core, "b", acknowledges(4)).effects, []);
  assertEquals(take(core, { type: "entries-persisted", end: 4, epoch: 0 }), {
    effects: [{ type: "apply", upTo: 3 }],
    changes: { persistedIndex: 3, "leading.unsyncedSince": 0, commitIndex: 3 },
  });
});

test("commitment: two followers commit what the leader's own disk does not hold yet", () => {
  const core = leader("a b c", { b: 4 }, 2);
  assertEquals(receive(core, "c", acknowledges(4)).effects, [{ type: "apply", upTo: 4 }]);
});

test("commitment: a single voter commits when its disk has it, not before (BC06)", () => {
  const core = leader("a ~b", {}, 2);
  assertEquals(receive(core, "b", acknowledges(4)).effects, []);
  assertEquals(take(core, { type: "entries-persisted", end: 5, epoch: 0 }).effects, [{ type: "apply", upTo: 4 }]);
});

test("commitment: what is acknowledged again or late takes nothing back (BC09)", () => {
  const core = leader("a b c", {});
  receive(core, "b", acknowledges(4));
  for (const matchIndex of [0, 3, 4]) assertEquals(receive(core, "b", acknowledges(matchIndex)).effects, []);
  assertEquals([core.state.commitIndex, core.state.leading!.progress.get("b")!.matchIndex], [4, 4]);
});

test("commitment: in a joint configuration both halves must hold the entry (BE10)", () => {
  const core = leader("a b c / a d e", {});
  // The harness's peers are those of the incoming half; those being left join by hand.
  core.state.leading!.progress.set("d", structuredClone(core.state.leading!.progress.get("b")!));
  assertEquals(receive(core, "b", acknowledges(4)).effects, []);
  assertEquals(receive(core, "c", acknowledges(4)).effects, []);
  assertEquals(receive(core, "d", acknowledges(4)).effects, [{ type: "apply", upTo: 4 }]);
});

test("commitment: an acknowledgement beyond our log is nobody's", () => {
  const core = leader("a b c", {});
  assertEquals(receive(core, "b", acknowledges(5)).changes, {});
  assertEquals(receive(core, "b", acknowledges(4)).changes["commitIndex"], 4);
});

test("commitment: a refusal never counts as a match (BC02)", () => {
  const core = leader("a b c", {});
  const refusal = { ...acknowledges(4), rejected: { prevIndex: 4, hintIndex: 4, hintTerm: 1, isDamaged: false } };
  receive(core, "b", refusal);
  assertEquals([core.state.commitIndex, core.state.leading!.progress.get("b")!.matchIndex], [0, 0]);
});

test("commitment: a new commit index is told to idle peers when the turn is over", () => {
  const core = leader("a b c", {});
  receive(core, "b", acknowledges(4));
  const told = core.step(drained, 0).map((it) => it.type === "replicate" && [it.to, it.from, it.end, it.commitIndex]);
  assertEquals(told, [["b", 5, 5, 4], ["c", 5, 5, 4]]);
  for (const to of ["b", "c"]) core.step({ type: "sent", to, term: 2, sequence: 10, end: 5, bytes: 0 }, 0);
  assertEquals(core.step(drained, 0), []);
});

test("applied: within what is committed and was not applied yet", () => {
  const applied = (upTo: number) =>
    take(leaderOf({ terms: [1, 1, 1], state: { commitIndex: 2, appliedIndex: 1 } }), { type: "applied", upTo });
  assertThrows(() => applied(0), InvariantError);
  assertEquals(applied(1), { effects: [], changes: {} });
  assertEquals(applied(2), { effects: [], changes: { appliedIndex: 2 } });
  assertThrows(() => applied(3), InvariantError);
});
