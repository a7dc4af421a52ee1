import { assertEquals } from "@std/assert";
import type { Core } from "../../src/core/core.ts";
import type { Effect } from "../../src/core/effect.ts";
import { isTrusted, verdictOn } from "../../src/core/identity.ts";
import type { Configuration, Disk, ServerId } from "../../src/types.ts";
import { test } from "../harness.ts";
import {
  accepted,
  append,
  campaigning,
  configuration,
  coreOf,
  deadline,
  drained,
  following,
  type GivenLeader,
  leaderOf,
  receive,
  rejected,
  voteRequest,
  voteResponse,
} from "./states.ts";

const disk = (name: string, starts = 1): Disk => ({ incarnation: name, starts });

/** `a b c`, known by the disks A, B and C, each started once; all but those left out. */
function known(...without: ServerId[]): Configuration {
  const servers = configuration("a b c").servers.map((server) =>
    without.includes(server.id) ? server : { ...server, disk: disk(server.id.toUpperCase()) }
  );
  return { servers };
}

/** What a core knows when the log has that configuration and these peers are connected with these disks. */
function knowing(configuration: Configuration, disks: Readonly<Record<ServerId, Disk>> = {}, own = disk("A")) {
  return {
    configurations: [{ index: 1, configuration }],
    disk: own,
    peerDisks: new Map(Object.entries(disks)),
    voteAsked: 1,
    votePersisted: 1,
  };
}

const all = { b: disk("B"), c: disk("C") };

/** A leader of term 2 that has committed its own entry, 2, and has heard b and c just now. */
function leader(given: GivenLeader = {}): Core {
  const caughtUp = { matchIndex: 2, nextIndex: 3, heardAt: 0 };
  return leaderOf({
    terms: [1, 2],
    progress: { b: caughtUp, c: caughtUp },
    ...given,
    state: { ...knowing(known(), all), commitIndex: 2, persistedIndex: 2, ...given.state },
  });
}

const connects = (peer: ServerId, disk: Disk) => ({ type: "peer-connected", peer, disk }) as const;

/** The configurations that were appended: their disks by server, and where. */
function recorded(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) =>
    effect.type !== "append" || effect.configuration === undefined ? [] : [
      `${effect.from}: ${
        effect.configuration.servers.map(({ id, disk }) => `${id}=${disk?.incarnation}.${disk?.starts}`).join(" ")
      }`,
    ]
  );
}

const types = (effects: readonly Effect[]) => effects.map(({ type }) => type);

function acknowledge(core: Core, peer: ServerId, matchIndex: number, now = 0): Effect[] {
  const { term, leading } = core.state;
  const sequence = leading!.progress.get(peer)!.sequence - 1;
  const effects = receive(core, peer, accepted({ term, sequence, matchIndex }), now).effects;
  return [...effects, ...core.step(drained, now)];
}

test("identity: a disk is known, new, started again, replaced or an older copy", () => {
  const verdict = (now: Disk | undefined, configuration = known()) => {
    const { state } = coreOf({ state: knowing(configuration, now === undefined ? {} : { b: now }) });
    return [verdictOn(state, "b"), isTrusted(state, "b")];
  };
  assertEquals(verdict(undefined), ["known", true]);
  assertEquals(verdict(disk("B")), ["known", true]);
  assertEquals(verdict(disk("B", 2)), ["restarted", true]);
  assertEquals(verdict(disk("B", 0)), ["older", false]);
  assertEquals(verdict(disk("X", 9)), ["replaced", false]);
  assertEquals(verdict(disk("X"), known("b")), ["new", true]);
});

test("identity: a new leader begins with the disks, when any is new, instead of with an empty entry", () => {
  const elect = (configuration: Configuration, own = disk("A")) => {
    const core = coreOf({
      terms: [1],
      state: { ...knowing(configuration, all, own), ...campaigning(2), term: 2, votedFor: "a" },
    });
    return receive(core, "b", voteResponse()).effects;
  };
  assertEquals(recorded(elect(known("a", "b", "c"))), ["2: a=A.1 b=B.1 c=C.1"]);
  assertEquals(recorded(elect(known("c"))), ["2: a=A.1 b=B.1 c=C.1"]);
  assertEquals(recorded(elect(known(), disk("A", 4))), ["2: a=A.4 b=B.1 c=C.1"]);
  const nothingNew = elect(known());
  assertEquals(recorded(nothingNew), []);
  assertEquals(nothingNew.some((effect) => effect.type === "append" && effect.source === "noop"), true);
});

test("identity: a disk that is new is recorded when others have committed something since, and counts from there", () => {
  const core = leader({ state: knowing(known("b"), { c: disk("C") }), leading: { heartbeatAt: 1e9 } });
  core.state.commitIndex = 2;
  core.step(connects("b", disk("B")), 0);
  // Nobody has a command: the leader appends something to be committed.
  const [noop] = core.step(drained, 0).filter((effect) => effect.type === "append");
  assertEquals([noop?.source, noop?.from], ["noop", 3]);
  core.step({ type: "entries-persisted", end: 4, epoch: 0 }, 0);
  acknowledge(core, "b", 3);
  assertEquals(core.state.commitIndex, 2);
  assertEquals(recorded(acknowledge(core, "c", 3)), ["4: a=A.1 b=B.1 c=C.1"]);
  core.step({ type: "entries-persisted", end: 5, epoch: 0 }, 0);
  acknowledge(core, "b", 3);
  assertEquals(core.state.commitIndex, 3);
  acknowledge(core, "b", 4);
  assertEquals(core.state.commitIndex, 4);
});

test("identity: a server that was started again counts as before, and that is recorded", () => {
  const core = leader();
  core.step(connects("b", disk("B", 2)), 0);
  assertEquals(core.state.leading!.progress.get("b")!.matchIndex, 2);
  assertEquals(recorded(core.step(drained, 0)), ["3: a=A.1 b=B.2 c=C.1"]);
  core.step({ type: "entries-persisted", end: 4, epoch: 0 }, 0);
  acknowledge(core, "b", 3);
  assertEquals(core.state.commitIndex, 3);
});

for (const [what, now] of [["an empty", disk("X")], ["an older", disk("B", 0)]] as const) {
  test(`identity: a server that comes back with ${what} disk counts for nothing until it is re-admitted (M8)`, () => {
    const core = leader({ leading: { heartbeatAt: 1e9 } });
    const effects = core.step(connects("b", now), 0);
    const reason = now.incarnation === "X" ? "replaced" : "older";
    assertEquals(effects.filter(({ type }) => type === "announce-distrust"), [
      { type: "announce-distrust", peer: "b", reason },
    ]);
    const progress = core.state.leading!.progress.get("b")!;
    assertEquals([progress.matchIndex, progress.state], [0, "probe"]);
    core.step({ type: "proposed", count: 1 }, 0);
    core.step({ type: "entries-persisted", end: 4, epoch: 0 }, 0);
    core.step(drained, 0);
    // It has everything, fast enough: that commits nothing, and does not re-admit it, as a later leader may know better.
    const caughtUp = acknowledge(core, "b", 3, 10);
    assertEquals([core.state.commitIndex, recorded(caughtUp)], [2, []]);
    // Committed by the others, entry 3 shows that there is none.
    const settled = acknowledge(core, "c", 3, 20);
    assertEquals([core.state.commitIndex, recorded(settled)], [3, [
      `4: a=A.1 b=${now.incarnation}.${now.starts} c=C.1`,
    ]]);
    assertEquals(settled.filter(({ type }) => type === "announce-readmission"), [
      { type: "announce-readmission", peer: "b" },
    ]);
    core.step({ type: "entries-persisted", end: 5, epoch: 0 }, 20);
    acknowledge(core, "b", 3, 30);
    assertEquals(core.state.commitIndex, 3);
    acknowledge(core, "b", 4, 30);
    assertEquals(core.state.commitIndex, 4);
  });
}

for (const isAsked of [false, true]) {
  const who = isAsked ? "that somebody asks for" : "that nobody waits for";
  test(`identity: a staging server ${who} gets its vote when the log knows its disk, not before (V1)`, () => {
    const [a, b] = known().servers;
    const servers: Configuration = { servers: [a, { ...b, suffrage: "staging" }] };
    const core = leaderOf({
      terms: [1, 2],
      progress: { b: { matchIndex: 2, nextIndex: 3, heardAt: 0 } },
      state: { ...knowing(servers, { b: disk("B") }), commitIndex: 2, persistedIndex: 2 },
      leading: { heartbeatAt: 1e9 },
    });
    if (isAsked) {
      const changes = [{ type: "add-voter", id: "b", address: b.address }] as const;
      core.step({ type: "change-requested", id: 1, changes, prevIndex: undefined, force: false }, 0);
    }
    core.step(connects("b", disk("X")), 0);
    core.step(drained, 0);
    // It has all there is, and fast. With a vote it would have to agree to what is to show that nobody needs it.
    const appended = acknowledge(core, "b", 2, 10).filter((effect) => effect.type === "append");
    assertEquals(appended.map(({ source, from }) => [source, from]), [["noop", 3]]);
    const suffrage = () => core.state.configurations.at(-1)!.configuration.servers[1].suffrage;
    core.step({ type: "entries-persisted", end: 4, epoch: 0 }, 20);
    assertEquals([recorded(core.step(drained, 20)), suffrage()], [["4: a=A.1 b=X.1"], "staging"]);
    core.step({ type: "entries-persisted", end: 5, epoch: 0 }, 30);
    core.step(drained, 30);
    assertEquals([core.state.configurations.at(-1)!.index, suffrage()], [5, "voter"]);
  });
}

test("identity: a peer that was last seen before its disk was recorded is as good as any, once it says which it has", () => {
  for (const seen of [disk("B", 1), disk("X", 7)]) {
    const configuration = {
      servers: known("b").servers.map((it) => it.id === "b" ? { ...it, disk: disk("B", 3) } : it),
    };
    const core = coreOf({
      terms: [1],
      state: { ...knowing(configuration, { b: seen, c: disk("C") }), ...campaigning(2), term: 2, votedFor: "a" },
    });
    const { effects } = receive(core, "c", voteResponse());
    assertEquals([effects.filter(({ type }) => type === "announce-distrust"), recorded(effects)], [[], []]);
    core.step({ type: "entries-persisted", end: 3, epoch: 0 }, 0);
    core.step(drained, 0);
    acknowledge(core, "c", 2);
    assertEquals(core.state.commitIndex, 2);
    const back = [...core.step(connects("b", disk("B", 4)), 0), ...core.step(drained, 0)];
    assertEquals(back.filter(({ type }) => type === "announce-distrust"), []);
    assertEquals(recorded(back), ["3: a=A.1 b=B.4 c=C.1"]);
    assertEquals(core.state.leading!.progress.get("b")!.hasForgotten, false);
  }
});

for (const [seen, reason] of [[disk("X"), "replaced"], [disk("B", 0), "older"]] as const) {
  test(`identity: a peer that answers a new leader without having said which disk it has since is distrusted as ${reason}`, () => {
    const core = coreOf({
      terms: [1],
      state: { ...knowing(known(), { ...all, b: seen }), ...campaigning(2), term: 2, votedFor: "a" },
    });
    receive(core, "c", voteResponse());
    core.step({ type: "entries-persisted", end: 3, epoch: 0 }, 0);
    core.step(drained, 0);
    // What it acknowledges counts for nothing, the first time too.
    const effects = acknowledge(core, "b", 2);
    assertEquals(effects.filter(({ type }) => type === "announce-distrust"), [
      { type: "announce-distrust", peer: "b", reason },
    ]);
    assertEquals([core.state.commitIndex, core.state.leading!.progress.get("b")!.hasForgotten], [0, true]);
    acknowledge(core, "c", 2);
    assertEquals(core.state.commitIndex, 2);
  });
}

test("identity: a leader that only such a server answers steps down, and confirms no read by it", () => {
  const core = leader();
  core.step(connects("b", disk("X")), 0);
  core.step({ type: "read-requested", id: 1 }, 0);
  core.step(drained, 0);
  const sequence = core.state.leading!.progress.get("b")!.sequence - 1;
  const answer = receive(core, "b", accepted({ term: 2, sequence, round: 1, matchIndex: 0 }), 10).effects;
  assertEquals(types(answer).includes("answer-read"), false);
  core.state.leading!.progress.get("b")!.heardAt = 600;
  core.step(deadline, 600);
  assertEquals(core.state.role, "follower");
});

test("identity: neither a vote of such a server is counted, nor one given to it", () => {
  const candidate = (b: Disk) => {
    const core = coreOf({
      terms: [1, 1],
      state: { ...knowing(known(), { b }), ...campaigning(2), term: 2, votedFor: "a" },
    });
    receive(core, "b", voteResponse());
    return core.state.role;
  };
  assertEquals([candidate(disk("B")), candidate(disk("X")), candidate(disk("B", 0))], [
    "leader",
    "candidate",
    "candidate",
  ]);
  const grants = (pre: boolean, b: Disk, own = disk("A"), lastIndex = 1) => {
    const core = coreOf({ terms: [1], state: knowing(known(), { b }, own) });
    const { effects } = receive(core, "b", voteRequest({ pre, lastIndex, lastTerm: 1 }));
    return effects.flatMap((effect) =>
      effect.type === "send" && "granted" in effect.message ? [effect.message.granted] : []
    );
  };
  assertEquals([grants(true, disk("B")), grants(true, disk("X"))], [[true], [false]]);
  const refused = coreOf({ terms: [1], state: knowing(known(), { b: disk("X") }) });
  receive(refused, "b", voteRequest({ lastIndex: 1, lastTerm: 1 }));
  assertEquals([refused.state.term, refused.state.votedFor], [1, undefined]);
  // A voter that knows that it has forgotten its votes gives none.
  assertEquals(grants(true, disk("B"), disk("Y")), [false]);
  // One entry that the voter lacks may be what re-admits the candidate, or the voter. Else nobody could be elected where it
  // was committed with the help of one that is down for good.
  assertEquals(grants(true, disk("X"), disk("A"), 2), [true]);
  assertEquals(grants(true, disk("B"), disk("Y"), 2), [true]);
  const voter = coreOf({ terms: [1], state: knowing(known(), { b: disk("X") }) });
  receive(voter, "b", voteRequest({ lastIndex: 2, lastTerm: 1 }));
  assertEquals([voter.state.term, voter.state.votedFor], [2, "b"]);
});

test("identity: a server that the log knows by another disk does not campaign, until it is known by its own", () => {
  const core = coreOf({ id: "b", state: { ...knowing(known(), {}, disk("X")), ...following("a") } });
  core.step(deadline, 5_000);
  assertEquals(core.state.role, "follower");
  const servers = known().servers.map((server) => server.id === "b" ? { ...server, disk: disk("X") } : server);
  const readmission = append({ terms: [1], configurations: [{ index: 2, configuration: { servers } }] });
  receive(core, "a", readmission, 5_000);
  core.step(deadline, 10_000);
  assertEquals(core.state.role, "pre-candidate");
});

test("identity: leadership is not handed to such a server", () => {
  const core = leader();
  core.step(connects("b", disk("X")), 0);
  assertEquals(core.step({ type: "transfer-requested", to: "b" }, 0), [
    { type: "announce-transfer-failed", reason: "no-target" },
  ]);
  core.step({ type: "transfer-requested", to: undefined }, 0);
  assertEquals(core.state.leading!.transfer!.to, "c");
});

test("identity: a connection that comes up again with the same disk does not begin anew what has been caught up", () => {
  const core = leader({ leading: { heartbeatAt: 1e9 } });
  core.step(connects("b", disk("X")), 0);
  core.step({ type: "proposed", count: 1 }, 0);
  core.step({ type: "entries-persisted", end: 4, epoch: 0 }, 0);
  core.step(drained, 0);
  acknowledge(core, "b", 3, 10);
  const progress = core.state.leading!.progress.get("b")!;
  core.step(connects("b", disk("X")), 20);
  assertEquals([progress.matchIndex, progress.admitAfter, progress.hasForgotten], [3, 2, true]);
  // It was started again meanwhile: what it acknowledged is on that disk, but who knows which start of it this is.
  core.step(connects("b", disk("X", 2)), 30);
  assertEquals([progress.matchIndex, progress.admitAfter], [0, 3]);
});

test("identity: a server that loses its disk twice is re-admitted by the last one, and not by what the one before did", () => {
  const core = leader({ leading: { heartbeatAt: 1e9 } });
  core.step(connects("b", disk("X")), 0);
  core.step({ type: "proposed", count: 1 }, 0);
  core.step({ type: "entries-persisted", end: 4, epoch: 0 }, 0);
  core.step(drained, 0);
  acknowledge(core, "b", 3, 10);
  core.step(connects("b", disk("Y")), 15);
  assertEquals(recorded(acknowledge(core, "c", 3, 20)), []);
  core.step({ type: "proposed", count: 1 }, 20);
  core.step({ type: "entries-persisted", end: 5, epoch: 0 }, 20);
  core.step(drained, 20);
  assertEquals(recorded(acknowledge(core, "b", 4, 30)), []);
  assertEquals(recorded(acknowledge(core, "c", 4, 30)), ["5: a=A.1 b=Y.1 c=C.1"]);
});

test("identity: a disk that no log knows is told from the one that this leader saw before", () => {
  for (const [now, match] of [[disk("B", 2), 2], [disk("B"), 2], [disk("X"), 0], [disk("B", 0), 0]] as const) {
    const core = leader({ state: knowing(known("b"), all) });
    core.step(connects("b", now), 0);
    const { matchIndex, hasForgotten } = core.state.leading!.progress.get("b")!;
    assertEquals([matchIndex, hasForgotten], [match, match === 0], `${now.incarnation}.${now.starts}`);
  }
});

test("identity: a leader that can commit by nobody but whose disk is not recorded makes way to one that records it", () => {
  const led = (configuration: Configuration) => {
    const core = leader({ state: knowing(configuration, all) });
    core.state.leading!.progress.get("b")!.heardAt = 600;
    core.step(deadline, 600);
    return core.state.role;
  };
  assertEquals([led(known()), led(known("c")), led(known("b"))], ["leader", "leader", "follower"]);
});

test("identity: a server that denies what it acknowledged, twice, has lost it: the log says so, then it is re-admitted", () => {
  const core = leader({ leading: { heartbeatAt: 1e9 } });
  const denies = (now: number) => {
    core.step(drained, now);
    const { sequence } = core.state.leading!.progress.get("b")!;
    return receive(core, "b", rejected(2, 1, 1, { term: 2, sequence: sequence - 1 }), now).effects;
  };
  core.step({ type: "peer-disconnected", peer: "b" }, 0);
  core.step(connects("b", disk("B")), 0);
  assertEquals(types(denies(1)), []);
  assertEquals(core.state.leading!.progress.get("b")!.matchIndex, 2);
  assertEquals(types(denies(2)), ["announce-distrust"]);
  assertEquals(core.state.leading!.progress.get("b")!.matchIndex, 0);
  // No server has the disk that it is known by now.
  assertEquals(recorded(core.step(drained, 3)), ["3: a=A.1 b=lost.1 c=C.1"]);
  assertEquals(isTrusted(core.state, "b"), false);
  core.step({ type: "entries-persisted", end: 4, epoch: 0 }, 4);
  acknowledge(core, "b", 3, 5);
  assertEquals(core.state.commitIndex, 2);
  const back = acknowledge(core, "c", 3, 6);
  assertEquals(recorded(back), ["4: a=A.1 b=B.1 c=C.1"]);
  assertEquals(back.filter(({ type }) => type === "announce-readmission"), [{
    type: "announce-readmission",
    peer: "b",
  }]);
});

test("identity: a denial that was overtaken by an acknowledgement is no proof, and is forgotten", () => {
  const core = leader({ leading: { heartbeatAt: 1e9 } });
  core.step({ type: "peer-disconnected", peer: "b" }, 0);
  core.step(connects("b", disk("B")), 0);
  core.step(drained, 0);
  const sequence = core.state.leading!.progress.get("b")!.sequence - 1;
  receive(core, "b", rejected(2, 1, 1, { term: 2, sequence }), 1);
  assertEquals(core.state.leading!.progress.get("b")!.isDoubted, true);
  core.step(drained, 1);
  acknowledge(core, "b", 2, 2);
  const { isDoubted, state, hasForgotten } = core.state.leading!.progress.get("b")!;
  assertEquals([isDoubted, state, hasForgotten], [false, "replicate", false]);
});
