import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../src/errors.ts";
import type { SnapshotRequest, SnapshotResponse } from "../../src/message.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Event } from "../../src/core/event.ts";
import { test } from "../harness.ts";
import {
  accepted,
  append,
  campaigning,
  configuration,
  coreOf,
  deadline,
  following,
  type Given,
  receive,
  rejected,
  sends,
  take,
  voteResponse,
} from "./states.ts";

/** A snapshot of a leader of term 3 with entries up to 9. */
function offer(about: Partial<SnapshotRequest> = {}): SnapshotRequest {
  return {
    ...{ type: "snapshot-request", term: 3, id: 7, index: 9, lastTerm: 2 },
    ...{ configuration: configuration("a b c d"), configurationIndex: 5, timeMs: 0, bytes: 100, checksum: 1 },
    ...about,
  };
}

function received(index = 9, term = 2): Extract<Event, { type: "snapshot-received" }> {
  return { type: "snapshot-received", index, term, configuration: configuration("a b c d"), configurationIndex: 5 };
}

const answers = (status: SnapshotResponse["status"], term = 3): Effect =>
  sends("b", { type: "snapshot-response", term, id: 7, status, offset: 0 });

/** A follower of b in term 3 with five entries, of which three are committed and applied. */
const follower = (about: Given = {}) =>
  coreOf({
    terms: [1, 1, 1, 2, 2],
    term: 3,
    ...about,
    state: { ...following("b"), commitIndex: 3, appliedIndex: 3, ...about.state },
  });

test("snapshot: what goes beyond the log is received, from the leader", () => {
  const core = follower();
  assertEquals(receive(core, "b", offer()).effects, [{ type: "receive-snapshot", from: "b", request: offer() }]);
});

test("snapshot: an offer is contact: it makes a leader known, and no election is due for a while", () => {
  const core = coreOf({ terms: [1, 1], state: campaigning(2, { pre: true }) });
  const { effects } = receive(core, "b", offer({ term: 1, lastTerm: 1 }), 500);
  assertEquals(effects.map(({ type }) => type), ["announce-role", "receive-snapshot"]);
  assertEquals([core.state.leader, core.state.leaderHeardAt, core.state.electionAt], ["b", 500, 1500]);
});

test("BS18: an offer of a later term is taken by any role, and the term with it", () => {
  for (const state of [campaigning(2), campaigning(2, { pre: true }), {}]) {
    const core = coreOf({ terms: [1, 1], term: 2, state });
    const { effects } = receive(core, "b", offer());
    assertEquals([core.state.role, core.state.term, core.state.leader], ["follower", 3, "b"]);
    assertEquals(effects.at(-1)!.type, "receive-snapshot");
  }
});

test("BS15: an offer of an older term is refused with our own, and is no contact", () => {
  const core = follower({ term: 4 });
  assertEquals(receive(core, "b", offer(), 500), { effects: [answers("refused", 4)], changes: {} });
});

test("snapshot: a term that nobody can have reached is not believed", () => {
  assertEquals(receive(follower(), "b", offer({ term: 2 ** 50 })), { effects: [], changes: {} });
});

test("BS01: what is committed is not received again: it is answered as done at once", () => {
  for (const index of [1, 2, 3]) {
    const core = follower();
    assertEquals(receive(core, "b", offer({ index, lastTerm: 1, configurationIndex: 1 })).effects, [answers("done")]);
    assertEquals([core.state.commitIndex, core.state.log.lastIndex], [3, 5]);
  }
});

test("BS01: what the log ends with is not received either, but is known to be committed from now on", () => {
  const core = follower();
  const { effects } = receive(core, "b", offer({ index: 5, lastTerm: 2 }));
  assertEquals(effects, [{ type: "apply", upTo: 5 }, answers("done")]);
  assertEquals([core.state.commitIndex, core.state.verifiedIndex], [5, 5]);
});

test("BS01: one entry more, or another last term, and the snapshot is needed", () => {
  for (const about of [{ index: 6, lastTerm: 2 }, { index: 5, lastTerm: 3 }, { index: 4, lastTerm: 1 }]) {
    const core = follower();
    assertEquals(
      receive(core, "b", offer({ ...about, configurationIndex: 1 })).effects.at(-1)!.type,
      "receive-snapshot",
    );
    assertEquals(core.state.commitIndex, 3);
  }
});

test("BS09: it is not done before what it includes is durable here", () => {
  const core = follower({ state: { persistedIndex: 4 } });
  assertEquals(receive(core, "b", offer({ index: 5, lastTerm: 2 })).effects.at(-1), answers("installing"));
  take(core, { type: "entries-persisted", end: 6, epoch: 0 });
  assertEquals(receive(core, "b", offer({ index: 5, lastTerm: 2 })).effects, [answers("done")]);
});

test("BS02: two entries in one committed slot stop the server", () => {
  assertThrows(() => receive(follower(), "b", offer({ index: 3, lastTerm: 2, configurationIndex: 1 })), InvariantError);
  assertThrows(() => take(follower(), received(3, 2)), InvariantError);
});

test("BE06: an answer waits until its term is durable", () => {
  const core = follower({ term: 2 });
  const { effects } = receive(core, "b", offer({ index: 3, lastTerm: 1, configurationIndex: 1 }));
  assertEquals(effects.map(({ type }) => type), ["persist-vote", "announce-role"]);
  assertEquals(take(core, { type: "vote-persisted", sequence: 1 }).effects, [answers("done")]);
});

test("P4: a whole snapshot takes the place of a log that conflicts with it, in one piece", () => {
  const core = follower();
  const { effects, changes } = take(core, received());
  assertEquals(effects, [
    { type: "install-snapshot", index: 9, term: 2, truncateFrom: 4, epoch: 1 },
    { type: "announce-configuration", index: 5, configuration: configuration("a b c d") },
  ]);
  assertEquals(changes, {
    ...{ "log.firstIndex": 10, "log.lastIndex": 9, "log.prevTerm": 2, "log.runs": [] },
    configurations: [{ index: 5, configuration: configuration("a b c d") }],
    ...{ snapshot: { index: 9, term: 2 }, installing: 9, commitIndex: 9, verifiedIndex: 9 },
    ...{ persistedIndex: 3, epoch: 1, ackOwed: { sequence: 0, round: 0 } },
  });
});

test("snapshot: a log that ends with what is committed has nothing to remove", () => {
  const core = follower({ terms: [1, 1, 1] });
  assertEquals(take(core, received()).effects[0], {
    ...{ type: "install-snapshot", index: 9, term: 2, truncateFrom: undefined, epoch: 1 },
  });
});

test("P4: a log with another entry where the snapshot ends is replaced, and longer ones too", () => {
  const core = follower({ terms: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] });
  const [first] = take(core, received()).effects;
  assertEquals(first, { type: "install-snapshot", index: 9, term: 2, truncateFrom: 4, epoch: 1 });
  assertEquals([core.state.log.firstIndex, core.state.log.lastIndex], [10, 9]);
});

test("S2: what follows the snapshot's last entry in the log stays when that entry is the same", () => {
  const core = follower({ terms: [1, 1, 1, 2, 2, 2, 2, 2, 2, 3] });
  const { effects } = take(core, received());
  assertEquals(effects, [
    { type: "apply", upTo: 9 },
    sends("b", accepted({ term: 3, sequence: 0, matchIndex: 9 })),
  ]);
  assertEquals(take(core, { type: "applied", upTo: 9 }).effects, [{ type: "compact", firstIndex: 10, prevTerm: 2 }]);
  assertEquals([core.state.log.lastIndex, core.state.epoch, core.state.installing], [10, 0, undefined]);
});

test("P15: a snapshot that the log has passed meanwhile rewinds nothing", () => {
  const core = follower({ terms: [1, 1, 1, 2, 2, 2, 2, 2, 2, 3], state: { commitIndex: 10, appliedIndex: 10 } });
  const { effects } = take(core, received());
  assertEquals(effects, [
    { type: "compact", firstIndex: 10, prevTerm: 2 },
    sends("b", accepted({ term: 3, sequence: 0, matchIndex: 9 })),
  ]);
  assertEquals([core.state.commitIndex, core.state.appliedIndex, core.state.log.lastIndex], [10, 10, 10]);
});

test("BS16: the same snapshot twice, or an older one after it, changes nothing", () => {
  const core = follower();
  take(core, received());
  assertEquals(take(core, received()), { effects: [], changes: {} });
  assertEquals(take(core, received(8, 2)), { effects: [], changes: {} });
  assertEquals(take(core, received(10, 2)).effects[0]!.type, "install-snapshot");
});

test("BS09: an install is acknowledged when the log's new beginning is durable, once", () => {
  const core = follower();
  take(core, received());
  assertEquals(receive(core, "b", append({ term: 3, prevIndex: 9, prevTerm: 2, round: 1 })).effects, [
    sends("b", accepted({ term: 3, matchIndex: 3, round: 1 })),
  ]);
  const { effects } = take(core, { type: "entries-persisted", end: 10, epoch: 1 });
  assertEquals(effects, [sends("b", accepted({ term: 3, matchIndex: 9, round: 1 }))]);
  assertEquals([core.state.persistedIndex, core.state.installing, core.state.ackOwed], [9, undefined, undefined]);
});

test("BL06: a write from before the install makes nothing of it durable", () => {
  const core = follower({ state: { persistedIndex: 3 } });
  take(core, received());
  assertEquals(take(core, { type: "entries-persisted", end: 6, epoch: 0 }), { effects: [], changes: {} });
});

test("E11: a server does not campaign while a snapshot's place in its log is not durable (BE13)", () => {
  const core = follower({ settings: { preVote: false } });
  take(core, received());
  const timeoutNow = { type: "timeout-now", term: 3 } as const;
  assertEquals(receive(core, "b", timeoutNow), { effects: [], changes: {} });
  take(core, deadline, 5000);
  assertEquals(core.state.role, "follower");
  take(core, { type: "entries-persisted", end: 10, epoch: 1 });
  take(core, deadline, 9000);
  assertEquals(core.state.role, "candidate");
});

test("BE13: a campaign ends when a snapshot takes the log's place, whatever votes come yet", () => {
  const core = follower({ term: 4, state: campaigning(4) });
  const { effects } = take(core, received());
  assertEquals(effects[0], {
    type: "announce-role",
    role: "follower",
    term: 4,
    leader: undefined,
    reason: "snapshot-installed",
  });
  assertEquals(receive(core, "c", voteResponse({ term: 4, campaign: 4 })).effects, []);
  assertEquals(core.state.role, "follower");
});

test("snapshot: it is installed though its leader is none any more: what is committed stays so", () => {
  const core = follower({ term: 5, state: following("c") });
  assertEquals(take(core, received()).effects[0]!.type, "install-snapshot");
  const { effects } = take(core, { type: "entries-persisted", end: 10, epoch: 1 });
  assertEquals(effects, [sends("c", accepted({ term: 5, sequence: 0, matchIndex: 9 }))]);
});

test("snapshot: nobody is answered while no leader is known", () => {
  const core = follower({ state: following("b", { leader: undefined }) });
  take(core, received());
  assertEquals(take(core, { type: "entries-persisted", end: 10, epoch: 1 }).effects, []);
});

test("E4: a snapshot of a term that this server has never heard of stops it", () => {
  assertThrows(() => take(follower(), received(9, 4)), InvariantError);
});

test("BL11: right after an install only what follows its last entry fits, with that entry's term", () => {
  const installed = () => {
    const core = follower();
    take(core, received());
    take(core, { type: "entries-persisted", end: 10, epoch: 1 });
    return core;
  };
  const answer = (prevIndex: number, prevTerm: number) =>
    receive(installed(), "b", append({ term: 3, prevIndex, prevTerm, terms: [3] })).effects.at(-1);
  assertEquals(answer(9, 2)!.type, "append");
  // One further, the entry before is missing; with another term it is not the same entry, and that was committed.
  assertEquals(answer(10, 3), sends("b", rejected(10, 9, 2, { term: 3 })));
  assertEquals(answer(10, 0), sends("b", rejected(10, 9, 2, { term: 3 })));
  assertThrows(() => answer(9, 1), InvariantError);
  assertThrows(() => answer(9, 0), InvariantError);
  // What lies before was committed, so it is the leader's too.
  assertEquals(answer(7, 2), sends("b", accepted({ term: 3, matchIndex: 9 })));
});

const wanted = (beyond: number | undefined) => ({ type: "snapshot-wanted", beyond }) as const;

test("snapshot: one that is wanted for the machine is received although the log has what it includes; no other is", () => {
  const core = follower();
  assertEquals(take(core, wanted(3)), { effects: [], changes: { wantedBeyond: 3 } });
  const within = offer({ index: 5, lastTerm: 2, configurationIndex: 1 });
  assertEquals(receive(core, "b", within).effects, [{ type: "receive-snapshot", from: "b", request: within }]);
  // It would bring what the machine has, and that is what is wrong.
  const before = offer({ index: 3, lastTerm: 1, configurationIndex: 1 });
  assertEquals(receive(core, "b", before).effects, [answers("done")]);
  take(core, wanted(undefined));
  assertEquals(receive(core, "b", within).effects, [{ type: "apply", upTo: 5 }, answers("done")]);
});

test("snapshot: the machine begins anew from it once; log, vote and what is acknowledged stay", () => {
  const core = follower();
  take(core, wanted(3));
  const before = structuredClone(core.state);
  const { effects } = take(core, received(5, 2));
  assertEquals(effects, [
    { type: "apply", upTo: 5 },
    { type: "restore-snapshot", index: 5 },
    sends("b", accepted({ term: 3, sequence: 0, matchIndex: 5 })),
  ]);
  const { log, term, votedFor, persistedIndex, epoch } = core.state;
  assertEquals(
    { log, term, votedFor, persistedIndex, epoch },
    {
      ...{ log: before.log, term: before.term, votedFor: before.votedFor },
      ...{ persistedIndex: before.persistedIndex, epoch: before.epoch },
    },
  );
  assertEquals([core.state.wantedBeyond, core.state.snapshot], [undefined, { index: 5, term: 2 }]);
  assertEquals(take(core, received(5, 2)), { effects: [], changes: {} });
});

test("BL03: a wanted snapshot acknowledges nothing that is not durable here", () => {
  const core = follower({ state: { persistedIndex: 4 } });
  take(core, wanted(3));
  const { effects } = take(core, received(5, 2));
  assertEquals(effects, [{ type: "apply", upTo: 5 }, { type: "restore-snapshot", index: 5 }]);
});

test("snapshot: one that was overtaken before it was wanted changes no machine", () => {
  for (const beyond of [undefined, 5, 6]) {
    const core = follower();
    take(core, wanted(beyond));
    const types = take(core, received(5, 2)).effects.map(({ type }) => type);
    assertEquals(types.includes("restore-snapshot"), false);
    assertEquals(core.state.wantedBeyond, beyond);
  }
});

test("snapshot: one that takes the place of the log is what was wanted, too", () => {
  const core = follower();
  take(core, wanted(3));
  assertEquals(take(core, received()).effects[0]!.type, "install-snapshot");
  assertEquals(core.state.wantedBeyond, undefined);
});

test("BS02: nor may a wanted one change what is committed", () => {
  const core = follower({ state: { commitIndex: 5, appliedIndex: 3 } });
  take(core, wanted(3));
  const other = offer({ index: 5, lastTerm: 1, configurationIndex: 1 });
  assertThrows(() => receive(core, "b", other), InvariantError);
});
