import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import type { Core } from "../../src/core/core.ts";
import type { Effect } from "../../src/core/effect.ts";
import { accepted, coreOf, deadline, drained, type GivenLeader, leaderOf, receive, sends, take } from "./states.ts";

const transfer = (to?: string) => ({ type: "transfer-requested", to }) as const;

const failed = (reason: "no-target" | "not-leader") => ({ type: "announce-transfer-failed", reason }) as const;

const timedOut = (to: string) => ({ type: "announce-transfer-failed", reason: "timeout", to }) as const;

const timeoutNow = { type: "timeout-now", term: 2 } as const;

const leader = (about: GivenLeader = {}) => leaderOf({ terms: [1, 2, 2], ...about });

test("transfer: to a peer that is caught up, it is told at once", () => {
  assertEquals(take(leader({ progress: { b: { matchIndex: 3 } } }), transfer("b"), 5), {
    effects: [sends("b", timeoutNow)],
    changes: {
      "leading.transfer": { to: "b", isNamed: true, deadline: 1005, told: true },
      "leading.leaseFrom": Infinity,
    },
  });
});

test("transfer: to a peer that lacks one entry, it is told when it has that, once (BE26)", () => {
  const core = leader({ progress: { b: { matchIndex: 2 } } });
  assertEquals(take(core, transfer("b"), 5), {
    effects: [],
    changes: { "leading.transfer": { to: "b", isNamed: true, deadline: 1005, told: false } },
  });
  const toldBy = (from: string) => receive(core, from, accepted({ term: 2, sequence: 9, matchIndex: 3 })).effects;
  const told = sends("b", timeoutNow);
  assertEquals(toldBy("c").filter(({ type }) => type === "send"), []);
  assertEquals(toldBy("b"), [told]);
  assertEquals(toldBy("b"), []);
});

test("transfer: meanwhile nothing is appended, so that the target stays caught up", () => {
  const core = leader({ progress: { b: { matchIndex: 2 } } });
  core.step(transfer("b"), 5);
  assertEquals(take(core, { type: "proposed", count: 1 }), {
    effects: [{ type: "refuse-proposals", reason: "transferring", leader: "a" }],
    changes: {},
  });
});

test("transfer: to nobody in particular goes to the voter that needs least and was heard lately", () => {
  const target = (progress: GivenLeader["progress"], servers = "a b c ~d e!") => {
    const core = leader({ servers, progress: progress! });
    core.step(transfer(), 600);
    return core.state.leading!.transfer?.to;
  };
  const lately = { heardAt: 100 };
  const all = { d: { ...lately, matchIndex: 3 }, e: { ...lately, matchIndex: 3 } };
  assertEquals(target({ b: { ...lately, matchIndex: 1 }, c: { ...lately, matchIndex: 2 }, ...all }), "c");
  assertEquals(target({ b: { ...lately, matchIndex: 1 }, c: { heardAt: 99, matchIndex: 2 }, ...all }), "b");
  assertEquals(target({ b: { heardAt: 99 }, c: { heardAt: 99 }, ...all }), undefined);
  // Of what it has a peer is asked only among those that answer on the connection that they have now.
  for (const state of ["probe", "snapshot"] as const) {
    assertEquals(target({ b: { ...lately, state, matchIndex: 2 }, c: { ...lately, matchIndex: 1 }, ...all }), "c");
    assertEquals(target({ b: { ...lately, matchIndex: 1 }, c: { ...lately, state, matchIndex: 2 }, ...all }), "b");
    const both = { b: { ...lately, state, matchIndex: 1 }, c: { ...lately, state, matchIndex: 2 } };
    assertEquals(target({ ...both, ...all }), "c");
    assertEquals(target({ ...both, c: { state, heardAt: 99, matchIndex: 2 }, ...all }), "b");
  }
});

const closed = (peer: string) => ({ type: "peer-disconnected", peer }) as const;

/** The answer to a request that was sent since the peer's connection closed. */
const answers = (matchIndex: number) => accepted({ term: 2, sequence: 10, matchIndex });

/** Brings out what was asked to be sent, so that it may be answered. */
function turn(core: Core): void {
  core.step(drained, 10);
}

/** Who is told to campaign by this. */
const told = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => effect.type === "send" && effect.message.type === "timeout-now" ? [effect.to] : []);

/** A transfer under way as its leader sees it. */
const underWay = (core: Core) => {
  const { to, told, deadline } = core.state.leading!.transfer!;
  return [to, told, deadline];
};

test("transfer: a peer that has everything is not told before it answers on the connection that it has now", () => {
  for (const to of ["b", undefined]) {
    const core = leader({ progress: { b: { matchIndex: 3 }, c: { heardAt: -501 } } });
    core.step(closed("b"), 5);
    assertEquals(told(core.step(transfer(to), 5)), []);
    turn(core);
    // Sent before the connection closed, and heard after.
    assertEquals(told(receive(core, "b", accepted({ term: 2, sequence: 9, matchIndex: 3 }), 20).effects), []);
    assertEquals(told(receive(core, "b", answers(3), 20).effects), ["b"]);
  }
});

test("transfer: when nobody was named another one is chosen as soon as the target's connection closes (P6)", () => {
  const core = leader({ progress: { b: { matchIndex: 2 }, c: { matchIndex: 1 } } });
  core.step(transfer(), 5);
  // Not by that of somebody else.
  core.step(closed("c"), 6);
  assertEquals(underWay(core), ["b", false, 1005]);
  turn(core);
  receive(core, "c", answers(1), 20);
  assertEquals(told(core.step(closed("b"), 400)), []);
  assertEquals(underWay(core), ["c", false, 1005]);
  assertEquals(told(receive(core, "c", accepted({ term: 2, sequence: 10, matchIndex: 3 }), 410).effects), ["c"]);
});

test("transfer: when nobody was named the next one is told at once, also when the first was told (P6)", () => {
  for (const matchIndex of [2, 3]) {
    const core = leader({ progress: { b: { matchIndex: 3 }, c: { matchIndex } } });
    assertEquals(told(core.step(transfer(), 5)), ["b"]);
    assertEquals(told(core.step(closed("b"), 400)), matchIndex === 3 ? ["c"] : []);
    assertEquals(underWay(core), ["c", matchIndex === 3, 1005]);
    // The connection of one that is not the target any more.
    assertEquals(told(core.step(closed("b"), 401)), []);
    assertEquals(underWay(core), ["c", matchIndex === 3, 1005]);
  }
});

test("transfer: when there is no other the target is told again if it answers in time", () => {
  const core = leader({ progress: { b: { matchIndex: 3 }, c: { heardAt: -200 } } });
  assertEquals(told(core.step(transfer(), 5)), ["b"]);
  core.step(closed("b"), 400);
  assertEquals(underWay(core), ["b", false, 1005]);
  turn(core);
  assertEquals(told(receive(core, "b", answers(3), 410).effects), ["b"]);
  assertEquals(underWay(core), ["b", true, 1005]);
});

test("transfer: one that was named, first or later, stays the target when its connection closes", () => {
  for (const [first, ...later] of [["b"], [undefined, "b"], ["b", undefined]]) {
    for (const matchIndex of [2, 3]) {
      const core = leader({ progress: { b: { matchIndex }, c: { matchIndex: matchIndex - 1 } } });
      for (const to of [first, ...later]) core.step(transfer(to), 5);
      assertEquals(told(core.step(closed("b"), 6)), []);
      assertEquals(told(receive(core, "c", accepted({ term: 2, sequence: 9, matchIndex: 3 }), 7).effects), []);
      assertEquals(underWay(core), ["b", false, 1005]);
      turn(core);
      assertEquals(told(receive(core, "b", answers(3), 8).effects), ["b"]);
    }
  }
});

test("transfer: when nobody was named whoever has everything first is told, if it may lead", () => {
  const core = leader({ servers: "a b c d!", progress: { b: { matchIndex: 2 }, c: { matchIndex: 1 } } });
  core.step(transfer(), 5);
  const has = (from: string) => told(receive(core, from, accepted({ term: 2, sequence: 9, matchIndex: 3 }), 6).effects);
  assertEquals([has("d"), has("c"), has("b")], [[], ["c"], []]);
  assertEquals(underWay(core), ["c", true, 1005]);
});

test("transfer: to itself, a stranger, a nonvoter or one that never leads has no target (BE24)", () => {
  for (const to of ["a", "x", "d", "e", "f"]) {
    const core = leader({ servers: "a b ~d +e f!", progress: { f: { matchIndex: 3 } } });
    assertEquals(take(core, transfer(to)), { effects: [failed("no-target")], changes: {} });
  }
  assertEquals(take(leader({ servers: "a" }), transfer()), { effects: [failed("no-target")], changes: {} });
});

test("transfer: only a leader can hand over (BE17)", () => {
  assertEquals(take(coreOf(), transfer("b")), { effects: [failed("not-leader")], changes: {} });
});

test("transfer: given up at its deadline, not one millisecond earlier; commands are taken again (P6)", () => {
  const core = leader({ leading: { heartbeatAt: 2000 }, progress: { b: { heardAt: 900 }, c: { heardAt: 900 } } });
  core.step(transfer("b"), 5);
  assertEquals(core.deadline, 1005);
  assertEquals(take(core, deadline, 1004), { effects: [], changes: {} });
  assertEquals(take(core, deadline, 1005), {
    effects: [timedOut("b")],
    changes: { "leading.transfer": undefined },
  });
  assertEquals([core.deadline, core.state.role], [2000, "leader"]);
  assertEquals(core.step({ type: "proposed", count: 1 }, 1006)[0]!.type, "append");
});

test("transfer: a leader without a vote makes way at the deadline, also when a heartbeat is due then (M6)", () => {
  const leading = { heartbeatAt: 1005, transfer: { to: "b", isNamed: false, deadline: 1005, told: false } };
  const core = leader({ servers: "b c", leading, progress: { b: { heardAt: 900 }, c: { heardAt: 900 } } });
  assertEquals(take(core, deadline, 1004), { effects: [], changes: {} });
  assertEquals(core.step(deadline, 1005)[0], timedOut("b"));
  assertEquals([core.state.leading, core.state.role], [undefined, "follower"]);
});

test("transfer: ends with the leadership, and a later one begins without it (P6)", () => {
  const core = leader();
  core.step(transfer("b"), 5);
  receive(core, "b", accepted({ term: 3 }));
  assertEquals([core.state.leading, core.state.role], [undefined, "follower"]);
});
