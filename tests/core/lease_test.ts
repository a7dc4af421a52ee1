/**
 * Lease reads (docs/leases.md): what a leader may answer without asking, and what voters promise.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Core } from "../../src/core/core.ts";
import { CLOCK_TOLERANCE_MS, holdsLease } from "../../src/core/lease.ts";
import { test } from "../harness.ts";
import {
  accepted,
  append,
  configuration,
  coreOf,
  deadline,
  drained,
  following,
  type GivenLeader,
  leaderOf,
  receive,
  settings,
  take,
  voteRequest,
} from "./states.ts";

const leaseMs = 400;

/** A leader of term 2 that has committed its first entry, and nothing is known of when voters heard it. */
const leader = (about: GivenLeader = {}) =>
  leaderOf({
    terms: [1, 2, 2],
    leading: { firstIndex: 2, leaseWantedAt: 0 },
    state: { commitIndex: 3 },
    settings: { leaseMs },
    ...about,
  });

const answered = (round: number, about: Parameters<typeof accepted>[0] = {}) =>
  accepted({ term: 2, sequence: 10, round, matchIndex: 3, ...about });

const read = (id: number) => ({ type: "read-requested", id, isLease: true }) as const;

/** A heartbeat at that time, which begins the next round. */
function beat(core: Core, at: number): void {
  core.state.leading!.heartbeatAt = at;
  // Whether it stays is another question.
  for (const progress of core.state.leading!.progress.values()) progress.heardAt = at;
  core.step(deadline, at);
  core.step(drained, at);
}

/** A leader whose round of that time `b` has answered at another. */
function leased(about: GivenLeader = {}, [sentAt, answeredAt] = [1000, 1001]): Core {
  const core = leader(about);
  beat(core, sentAt);
  receive(core, "b", answered(core.state.leading!.round), answeredAt);
  return core;
}

test("lease: a read is answered at once with what is committed, and costs no round", () => {
  const core = leased();
  assertEquals(take(core, read(7), 1100), {
    effects: [{ type: "answer-read", id: 7, index: 3 }],
    changes: { "leading.leaseWantedAt": 1100 },
  });
  assertEquals(take(core, { type: "read-requested", id: 8 }, 1100), {
    effects: [],
    changes: { "leading.readsWaiting": [8] },
  });
});

test("lease: counts from when the round began, not from when it was answered (BR05)", () => {
  for (const answeredAt of [1001, 1300]) {
    const core = leased({}, [1000, answeredAt]);
    const end = 1000 + leaseMs - CLOCK_TOLERANCE_MS;
    assertEquals([holdsLease(core.state, end - 0.1), holdsLease(core.state, end)], [true, false]);
    assertEquals(core.step(read(7), end), []);
    assertEquals(core.state.leading!.readsWaiting, [7], "it waits for a round instead");
  }
});

test("lease: is shorter by what a fast and a slow clock may run apart", () => {
  const core = leased({ settings: { leaseMs, clockDriftMax: 0.1 } });
  const end = 1000 + leaseMs * 0.9 / 1.1 - CLOCK_TOLERANCE_MS;
  assertEquals([holdsLease(core.state, end - 0.1), holdsLease(core.state, end + 0.1)], [true, false]);
});

test("lease: an answer to an earlier round says nothing about a later one", () => {
  const core = leader();
  beat(core, 1000);
  beat(core, 1200);
  receive(core, "b", answered(1), 1201);
  assertEquals([holdsLease(core.state, 1394), holdsLease(core.state, 1395)], [true, false]);
  beat(core, 1300);
  receive(core, "b", answered(3, { sequence: 11 }), 1301);
  assertEquals([holdsLease(core.state, 1694), holdsLease(core.state, 1695)], [true, false]);
});

test("lease: a round that got lost does not keep later ones from counting", () => {
  const core = leader();
  beat(core, 1000);
  beat(core, 1000 + leaseMs + 1);
  receive(core, "b", answered(2), 1402);
  assertEquals(core.state.leading!.progress.get("b")!.promisedAt, 1401);
});

test("lease: takes a majority, of voters that the log knows by their disks", () => {
  const five = leased({ servers: "a b c d e" });
  assertEquals(holdsLease(five.state, 1100), false);
  receive(five, "c", answered(1), 1002);
  assertEquals(holdsLease(five.state, 1100), true);
  const nonvoter = leader({ servers: "a b c ~d" });
  beat(nonvoter, 1000);
  receive(nonvoter, "d", answered(1), 1001);
  assertEquals(holdsLease(nonvoter.state, 1100), false);
  for (const about of [{ hasForgotten: true }, { countsFrom: 4 }]) {
    assertEquals(holdsLease(leased({ progress: { b: about } }).state, 1100), false);
  }
  assertEquals(holdsLease(leased({ servers: "a" }).state, 9e9), true, "a single voter needs nobody's promise");
});

test("lease: none before an entry of the own term is committed (BR02)", () => {
  const core = leased({ state: { commitIndex: 1 }, progress: { b: { countsFrom: 9 } } });
  core.state.leading!.progress.get("b")!.countsFrom = 0;
  assertEquals(holdsLease(core.state, 1100), false);
  core.state.commitIndex = 2;
  assertEquals(holdsLease(core.state, 1100), true);
});

test("lease: none while the servers are not settled, nor for a leader without a vote", () => {
  const core = leased();
  const { configurations } = core.state;
  core.state.configurations = [...configurations, { index: 4, configuration: configuration("a b c ~d") }];
  assertEquals(holdsLease(core.state, 1100), false);
  core.state.commitIndex = 4;
  assertEquals(holdsLease(core.state, 1100), true);
  core.state.configurations = [{ index: 4, configuration: configuration("~a b") }];
  assertEquals(holdsLease(core.state, 1100), false);
});

test("lease: none from when another server is told to campaign, for the rest of the term (BR04)", () => {
  const core = leased();
  const transfer = { type: "transfer-requested", to: "b" } as const;
  assertEquals(core.step(transfer, 1050).map(({ type }) => type), ["send"]);
  assertEquals(holdsLease(core.state, 1050), false);
  core.state.leading!.heartbeatAt = 9e9; // Not yet.
  core.step(deadline, 1050 + settings.electionMinMs);
  assertEquals(core.state.leading!.transfer, undefined);
  beat(core, 3000);
  receive(core, "b", answered(core.state.leading!.round, { sequence: 11 }), 3001);
  assertEquals(holdsLease(core.state, 3002), false, "the order may be on its way yet");
});

test("lease: a transfer that waits for its target changes nothing yet", () => {
  const core = leased();
  core.state.leading!.progress.get("c")!.matchIndex = 1;
  core.step({ type: "transfer-requested", to: "c" }, 1050);
  assertEquals([core.state.leading!.transfer?.told, holdsLease(core.state, 1050)], [false, true]);
});

for (const type of ["clock-jumped", "clock-doubted"] as const) {
  test(`lease: void after "${type}", until a round that began since is answered`, () => {
    const core = leased();
    beat(core, 1100);
    core.step({ type }, 1150);
    receive(core, "b", answered(2, { sequence: 11 }), 1160);
    assertEquals(holdsLease(core.state, 1170), false);
    beat(core, 1200);
    receive(core, "b", answered(core.state.leading!.round, { sequence: 12 }), 1201);
    assertEquals(holdsLease(core.state, 1210), true);
  });
}

test("lease: a longer one lasts as long from the next round on: earlier promises were perhaps for less", () => {
  const changed = (leaseMs: number) =>
    ({ type: "settings-changed", settings: { ...settings, leaseMs, electionMinMs: 2 * leaseMs } }) as const;
  for (const [ms, isHeld] of [[leaseMs - 100, true], [leaseMs, true], [leaseMs + 1, false]] as const) {
    const core = leased();
    core.step(changed(ms), 1050);
    assertEquals(holdsLease(core.state, 1060), isHeld, `${ms} ms`);
    beat(core, 1100);
    receive(core, "b", answered(core.state.leading!.round, { sequence: 11 }), 1101);
    const end = 1100 + ms - CLOCK_TOLERANCE_MS;
    assertEquals([holdsLease(core.state, end - 1), holdsLease(core.state, end)], [true, false]);
  }
});

// --- what followers are told ---

/** What the peers are told with the heartbeat of that time. */
function told(core: Core, at: number): boolean[] {
  core.state.leading!.heartbeatAt = at;
  for (const progress of core.state.leading!.progress.values()) progress.heardAt = at;
  const effects = [...core.step(deadline, at), ...core.step(drained, at)];
  return effects.flatMap((effect) => effect.type === "replicate" ? [effect.isLeased] : []);
}

const unused = { leading: { firstIndex: 2, leaseWantedAt: -Infinity } };

test("lease: as long as nobody reads by one followers are not bound, and no round counts for one", () => {
  const core = leader(unused);
  assertEquals(told(core, 1000), [false, false]);
  receive(core, "b", answered(1), 1001);
  assertEquals(holdsLease(core.state, 1002), false);
  core.step({ type: "read-requested", id: 1 }, 1002);
  assertEquals(told(core, 1050), [false, false], "other reads need none");
});

test("lease: the first read by one costs a round, which binds followers, and those after it cost none", () => {
  const core = leader(unused);
  assertEquals(core.step(read(1), 1000), []);
  const asked = core.step(drained, 1000);
  assertEquals(asked.map((effect) => effect.type === "replicate" && effect.isLeased), [true, true]);
  assertEquals(receive(core, "b", answered(1), 1001).effects, [{ type: "answer-read", id: 1, index: 3 }]);
  assertEquals(core.step(read(2), 1002), [{ type: "answer-read", id: 2, index: 3 }]);
});

test("lease: an answer to a round that bound nobody counts for none, however late the wish for one came", () => {
  const core = leader(unused);
  told(core, 1000);
  core.step(read(1), 1001);
  receive(core, "b", answered(1), 1002);
  assertEquals(holdsLease(core.state, 1003), false);
});

test("lease: followers are let go ten longest election timeouts after the last read by one", () => {
  const [core, other] = [leader(), leader()];
  const until = 10 * settings.electionMaxMs;
  assertEquals([told(core, until), told(other, until + 1)], [[true, true], [false, false]]);
});

test("lease: a round that bound followers counts no more when a later one, which did not, is answered for it", () => {
  const core = leader();
  const until = 10 * settings.electionMaxMs;
  assertEquals(told(core, until - 10), [true, true]);
  assertEquals(told(core, until + 1), [false, false]);
  receive(core, "b", answered(2), until + 2);
  assertEquals(holdsLease(core.state, until + 2), false);
});

test("lease: one that was promised before followers are let go lasts to its end", () => {
  const core = leader();
  const until = 10 * settings.electionMaxMs;
  told(core, until);
  receive(core, "b", answered(1), until + 1);
  told(core, until + 1);
  const end = until + leaseMs - CLOCK_TOLERANCE_MS;
  assertEquals([holdsLease(core.state, end - 1), holdsLease(core.state, end)], [true, false]);
});

test("clock-doubted: changes nothing but leases", () => {
  assertEquals(take(leader(), { type: "clock-doubted" }, 50).changes, { "leading.leaseFrom": 50 });
  assertEquals(take(coreOf({ state: following("b") }), { type: "clock-doubted" }, 50), { effects: [], changes: {} });
});

test("lease: a follower refuses a lease read like any other", () => {
  assertEquals(coreOf({ state: following("b") }).step(read(7), 0), [{ type: "refuse-read", id: 7, leader: "b" }]);
});

// --- what voters promise ---

const candidacy = voteRequest({ term: 9, lastIndex: 9, lastTerm: 9 });

/** Whether it votes for `c` at that time. */
const votes = (core: Core, now: number) => {
  const { effects, changes } = receive(core, "c", candidacy, now);
  return effects.length > 0 && changes["votedFor"] === "c";
};

/** A follower that heard `b` at 500. */
function heard(): Core {
  const core = coreOf({ terms: [1, 2] });
  receive(core, "b", append({ term: 2, prevIndex: 2, prevTerm: 2, isLeased: true }), 500);
  return core;
}

const promisedUntil = 500 + settings.electionMinMs;

test("promise: whoever heard a leader votes for nobody else for the shortest election timeout", () => {
  assertEquals([votes(heard(), promisedUntil - 1), votes(heard(), promisedUntil)], [false, true]);
});

test("promise: none is made to a leader that counts on none, which is heard all the same", () => {
  const core = coreOf({ terms: [1, 2] });
  receive(core, "b", append({ term: 2, prevIndex: 2, prevTerm: 2, isLeased: false }), 500);
  assertEquals([core.state.promisedUntil, votes(core, promisedUntil - 1)], [-Infinity, false]);
  assertEquals(votes(core, promisedUntil), true);
});

test("promise: kept when a later term takes the leader away (BR06)", () => {
  for (const [now, expected] of [[promisedUntil - 1, false], [promisedUntil, true]] as const) {
    const core = heard();
    receive(core, "c", { type: "vote-response", term: 5, pre: false, campaign: 1, granted: false }, 600);
    assertEquals([core.state.term, core.state.leader], [5, undefined]);
    assertEquals(votes(core, now), expected);
  }
});

test("promise: kept when the election timeout becomes shorter", () => {
  const core = heard();
  core.step({ type: "settings-changed", settings: { ...settings, electionMinMs: 10, electionMaxMs: 20 } }, 600);
  assertEquals(votes(core, promisedUntil - 1), false);
  receive(core, "b", append({ term: 2, prevIndex: 2, prevTerm: 2, isLeased: true }), promisedUntil);
  assertEquals([votes(core, promisedUntil + 9), votes(core, promisedUntil + 10)], [false, true]);
});

test("promise: a restart counts as having heard a leader, the first start of a disk does not (BR06)", () => {
  const start = (starts: number) =>
    Core.start({
      id: "a",
      settings,
      seed: 1,
      now: 500,
      vote: { term: 2, votedFor: undefined },
      firstIndex: 1,
      lastIndex: 2,
      terms: [{ term: 1, from: 1 }, { term: 2, from: 2 }],
      configurations: [{ index: 1, configuration: configuration("a b c") }],
      damaged: [],
      disk: { incarnation: "one", starts },
    }).core;
  assertEquals([votes(start(1), 500), votes(start(2), promisedUntil - 1), votes(start(2), promisedUntil)], [
    true,
    false,
    true,
  ]);
});

test("promise: what a leader orders itself is not bound by it", () => {
  const { changes } = receive(heard(), "c", { ...candidacy, transfer: true }, 501);
  assertEquals(changes["votedFor"], "c");
});
