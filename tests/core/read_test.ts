import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { accepted, coreOf, deadline, drained, following, type GivenLeader, leaderOf, receive, take } from "./states.ts";

/** A leader of term 2 that has committed its first entry, 2, and one more. */
const leader = (about: GivenLeader = {}) =>
  leaderOf({ terms: [1, 2, 2], leading: { firstIndex: 2 }, state: { commitIndex: 3 }, ...about });

const read = (id: number) => ({ type: "read-requested", id }) as const;

const answered = (round: number) => accepted({ term: 2, sequence: 10, round, matchIndex: 3 });

test("read: begins a round that every peer is told of, when the turn is over", () => {
  const core = leader();
  assertEquals(take(core, read(7)), { effects: [], changes: { "leading.readsWaiting": [7] } });
  const { effects, changes } = take(core, drained);
  assertEquals(effects.map((it) => it.type === "replicate" && [it.to, it.round]), [["b", 1], ["c", 1]]);
  assertEquals(changes["leading.readRound"], { round: 1, index: 3, ids: [7] });
  assertEquals(changes["leading.readsWaiting"], []);
});

test("read: answered with the commit index of its beginning when a quorum answered its round", () => {
  const core = leader();
  core.step(read(7), 0);
  core.step(drained, 0);
  core.state.commitIndex = 2;
  assertEquals(receive(core, "b", answered(1)).effects.filter(({ type }) => type === "answer-read"), [
    { type: "answer-read", id: 7, index: 3 },
  ]);
  assertEquals(core.state.leading!.readRound, undefined);
});

test("read: the round before proves nothing (BR03, P3)", () => {
  const core = leader({ leading: { firstIndex: 2, round: 4 } });
  core.step(read(7), 0);
  core.step(drained, 0);
  assertEquals(receive(core, "b", answered(4)).effects, []);
  assertEquals(receive(core, "b", answered(5)).effects.length, 1);
});

test("read: a round that was never begun proves nothing", () => {
  const core = leader();
  receive(core, "b", accepted({ term: 2, sequence: 9, round: 99 }));
  assertEquals(core.state.leading!.progress.get("b")!.ackedRound, 0);
  core.step(read(7), 0);
  core.step(drained, 0);
  assertEquals(core.state.leading!.readRound?.ids, [7]);
});

test("read: waits until an entry of this leader's term is committed (BR02)", () => {
  const core = leader({ state: { commitIndex: 1 } });
  core.step(read(7), 0);
  core.step(drained, 0);
  assertEquals([core.state.leading!.readRound, core.state.leading!.readsWaiting], [undefined, [7]]);
  core.state.commitIndex = 2;
  core.step(drained, 0);
  assertEquals(core.state.leading!.readRound, { round: 1, index: 2, ids: [7] });
});

test("read: those that come during a round wait for the next one", () => {
  const core = leader();
  core.step(read(1), 0);
  core.step(drained, 0);
  core.step(read(2), 0);
  core.step(read(3), 0);
  core.step(drained, 0);
  assertEquals(receive(core, "b", answered(1)).effects, [{ type: "answer-read", id: 1, index: 3 }]);
  core.step(drained, 0);
  assertEquals(core.state.leading!.readRound, { round: 2, index: 3, ids: [2, 3] });
  assertEquals(receive(core, "b", answered(1)).effects, []);
  assertEquals(receive(core, "c", { ...answered(2), sequence: 11 }).effects.length, 2);
});

for (
  const { servers, needed } of [
    { servers: "a b", needed: 1 },
    { servers: "a b c d", needed: 2 },
    { servers: "a b c d e", needed: 2 },
  ]
) {
  test(`read: of "${servers}" ${needed} others must answer, one less does not do`, () => {
    const core = leader({ servers });
    core.step(read(7), 0);
    core.step(drained, 0);
    for (const id of ["b", "c", "d"].slice(0, needed - 1)) assertEquals(receive(core, id, answered(1)).effects, []);
    assertEquals(receive(core, ["b", "c"][needed - 1]!, answered(1)).effects.length, 1);
  });
}

test("read: nonvoters prove nothing (P2)", () => {
  const core = leader({ servers: "a b c ~d +e" });
  core.step(read(7), 0);
  core.step(drained, 0);
  for (const id of ["d", "e"]) assertEquals(receive(core, id, answered(1)).effects, []);
});

test("read: a single voter answers when the turn is over", () => {
  const core = leader({ servers: "a" });
  core.step(read(7), 0);
  assertEquals(core.step(drained, 0), [{ type: "answer-read", id: 7, index: 3 }]);
});

test("read: a peer that rejects or is behind follows all the same", () => {
  const core = leader();
  core.step(read(7), 0);
  core.step(drained, 0);
  const refusal = {
    ...answered(1),
    matchIndex: 0,
    rejected: { prevIndex: 3, hintIndex: 1, hintTerm: 1, isDamaged: false },
  };
  assertEquals(receive(core, "b", refusal).effects.length, 1);
});

test("read: a follower refuses, and says who leads", () => {
  const refused = { type: "refuse-read", id: 7, leader: "b" } as const;
  assertEquals(take(coreOf({ state: following("b") }), read(7)), { effects: [refused], changes: {} });
});

test("read: all that wait are refused when the leadership ends", () => {
  const core = leader();
  core.step(read(1), 0);
  core.step(drained, 0);
  core.step(read(2), 0);
  const refused = receive(core, "b", accepted({ term: 3 })).effects.filter(({ type }) => type === "refuse-read");
  assertEquals(refused, [1, 2].map((id) => ({ type: "refuse-read" as const, id, leader: undefined })));
});

test("read: a heartbeat begun after it proves as much as its own round", () => {
  const core = leader();
  core.step(read(7), 0);
  core.step(drained, 0);
  core.step(deadline, 50);
  core.step(drained, 50);
  assertEquals(receive(core, "b", { ...answered(2), sequence: 11 }, 51).effects, [{
    type: "answer-read",
    id: 7,
    index: 3,
  }]);
});
