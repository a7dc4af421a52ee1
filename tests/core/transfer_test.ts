import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { accepted, coreOf, deadline, type GivenLeader, leaderOf, receive, sends, take } from "./states.ts";

const transfer = (to?: string) => ({ type: "transfer-requested", to }) as const;

const failed = (reason: "timeout" | "no-target" | "not-leader") =>
  ({ type: "announce-transfer-failed", reason }) as const;

const timeoutNow = { type: "timeout-now", term: 2 } as const;

const leader = (about: GivenLeader = {}) => leaderOf({ terms: [1, 2, 2], ...about });

test("transfer: to a peer that is caught up, it is told at once", () => {
  assertEquals(take(leader({ progress: { b: { matchIndex: 3 } } }), transfer("b"), 5), {
    effects: [sends("b", timeoutNow)],
    changes: { "leading.transfer": { to: "b", deadline: 1005, told: true }, "leading.leaseFrom": Infinity },
  });
});

test("transfer: to a peer that lacks one entry, it is told when it has that, once (BE26)", () => {
  const core = leader({ progress: { b: { matchIndex: 2 } } });
  assertEquals(take(core, transfer("b"), 5), {
    effects: [],
    changes: { "leading.transfer": { to: "b", deadline: 1005, told: false } },
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
    effects: [failed("timeout")],
    changes: { "leading.transfer": undefined },
  });
  assertEquals([core.deadline, core.state.role], [2000, "leader"]);
  assertEquals(core.step({ type: "proposed", count: 1 }, 1006)[0]!.type, "append");
});

test("transfer: a leader without a vote makes way at the deadline, also when a heartbeat is due then (M6)", () => {
  const leading = { heartbeatAt: 1005, transfer: { to: "b", deadline: 1005, told: false } };
  const core = leader({ servers: "b c", leading, progress: { b: { heardAt: 900 }, c: { heardAt: 900 } } });
  assertEquals(take(core, deadline, 1004), { effects: [], changes: {} });
  assertEquals(core.step(deadline, 1005)[0], failed("timeout"));
  assertEquals([core.state.leading, core.state.role], [undefined, "follower"]);
});

test("transfer: ends with the leadership, and a later one begins without it (P6)", () => {
  const core = leader();
  core.step(transfer("b"), 5);
  receive(core, "b", accepted({ term: 3 }));
  assertEquals([core.state.leading, core.state.role], [undefined, "follower"]);
});
