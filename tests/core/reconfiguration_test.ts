import { assertEquals } from "@std/assert";
import type { Core } from "../../src/core/core.ts";
import type { Effect } from "../../src/core/effect.ts";
import { type ConfigurationChange, type LogIndex, type ServerId, SERVERS_MAX } from "../../src/types.ts";
import { test } from "../harness.ts";
import {
  accepted,
  append,
  configuration,
  coreOf,
  deadline,
  drained,
  following,
  type Given,
  type GivenLeader,
  leaderOf,
  receive,
  take,
  voteRequest,
} from "./states.ts";

const add = (id: ServerId): ConfigurationChange => ({ type: "add-voter", id, address: `${id}:1` });
const remove = (id: ServerId): ConfigurationChange => ({ type: "remove-server", id });
const demote = (id: ServerId): ConfigurationChange => ({ type: "demote-voter", id });

/** A leader of term 2 whose own entry, 2, is committed, and who has heard b and c just now. */
function leader(given: GivenLeader = {}): Core {
  const caughtUp = { matchIndex: 2, heardAt: 0, nextIndex: 3 };
  return leaderOf({
    terms: [1, 2],
    state: { commitIndex: 2, persistedIndex: 2, appliedIndex: 2, voteAsked: 1, votePersisted: 1 },
    progress: { b: caughtUp, c: caughtUp, d: caughtUp },
    ...given,
  });
}

/** Asks for servers; what that and the end of the turn did. */
function ask(
  core: Core,
  changes: readonly ConfigurationChange[],
  about: { readonly prevIndex?: LogIndex; readonly force?: boolean; readonly now?: number; readonly id?: number } = {},
): Effect[] {
  const { id = 1, prevIndex, force = false, now = 0 } = about;
  const first = core.step({ type: "change-requested", id, changes, prevIndex, force }, now);
  return [...first, ...core.step(drained, now)];
}

/** The leader's own disk and these peers have all there is. */
function commit(core: Core, peers: string, now = 0): Effect[] {
  const { lastIndex } = core.state.log;
  const { epoch, term } = core.state;
  const effects = core.step({ type: "entries-persisted", end: lastIndex + 1, epoch }, now);
  for (const peer of peers.split(" ")) {
    if (peer === "" || core.state.leading === undefined) continue;
    const sequence = core.state.leading.progress.get(peer)!.sequence - 1;
    effects.push(...core.step({
      type: "message-received",
      from: peer,
      message: accepted({ term, sequence, matchIndex: lastIndex }),
    }, now));
  }
  return [...effects, ...core.step(drained, now)];
}

/** The configurations that were appended, as `index: servers / outgoing`. */
function appended(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => {
    if (effect.type !== "append" || effect.configuration === undefined) return [];
    const marks = { voter: "", nonvoter: "~", staging: "+" };
    const { servers, outgoing } = effect.configuration;
    const text = servers.map(({ id, suffrage, leaving }) => (leaving ? "-" : marks[suffrage]) + id).join(" ");
    return [`${effect.from}: ${text}${outgoing === undefined ? "" : ` / ${outgoing.join(" ")}`}`];
  });
}

/** How changes ended: `id at index` or `id reason`, with a star when something of it stays. */
function settled(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => {
    if (effect.type !== "settle-change") return [];
    const { id, index, refusal } = effect;
    return [refusal === undefined ? `${id} at ${index}` : `${id} ${refusal.reason}${refusal.begun ? "*" : ""}`];
  });
}

const typesOf = (effects: readonly Effect[]) => effects.map(({ type }) => type);

test("membership: a new voter is staging first, votes when it has caught up, and then the caller knows", () => {
  const core = leader();
  const first = ask(core, [add("x")]);
  assertEquals(appended(first), ["3: a b c +x"]);
  // In force at once, and nothing new counts: a and b are still a majority.
  assertEquals(core.state.configurations.at(-1)!.index, 3);
  const second = commit(core, "b");
  assertEquals([core.state.commitIndex, appended(second), settled(second)], [3, [], []]);
  const third = commit(core, "x");
  assertEquals([appended(third), settled(third)], [["4: a b c x"], []]);
  // Now x counts: of four, two are no majority.
  assertEquals(settled(commit(core, "x")), []);
  assertEquals(settled(commit(core, "b")), ["1 at 4"]);
});

test("membership: a server that does not lead refuses", () => {
  assertEquals(settled(ask(coreOf(), [add("x")])), ["1 not-leader"]);
});

test("membership: nothing is changed before an entry of the leader's own term is committed (M2, BM01)", () => {
  const core = leader({ state: { commitIndex: 1, persistedIndex: 2, voteAsked: 1, votePersisted: 1 }, progress: {} });
  assertEquals(appended(ask(core, [add("x")])), []);
  assertEquals(appended(commit(core, "b")), ["3: a b c +x"]);
});

test("membership: one entry at a time, also while a server catches up others are served (M2)", () => {
  const core = leader();
  assertEquals(appended(ask(core, [add("x")])), ["3: a b c +x"]);
  assertEquals(appended(ask(core, [add("y")], { id: 2 })), []);
  assertEquals(appended(commit(core, "b")), ["4: a b c +x +y"]);
  // x has not caught up, and holds up nobody.
  assertEquals(appended(ask(core, [remove("c")], { id: 3 })), []);
  assertEquals(appended(commit(core, "b")), ["5: a b +x +y"]);
  assertEquals(settled(commit(core, "b")), ["3 at 5"]);
});

test("membership: what is so already appends nothing", () => {
  for (const changes of [[add("b")], [remove("x")], [demote("x")], []]) {
    const effects = ask(leader(), changes);
    assertEquals([appended(effects), settled(effects)], [[], ["1 at 1"]]);
  }
});

test("membership: made for another configuration than the one in force, it is refused", () => {
  assertEquals(settled(ask(leader(), [add("x")], { prevIndex: 2 })), ["1 conflict"]);
  assertEquals(appended(ask(leader(), [add("x")], { prevIndex: 1 })), ["3: a b c +x"]);
});

test("membership: the last voter stays (M7, BM15)", () => {
  assertEquals(settled(ask(leader(), [remove("a"), remove("b"), remove("c")])), ["1 invalid"]);
  const alone = leader({ servers: "a ~n" });
  assertEquals(settled(ask(alone, [demote("a")])), ["1 invalid"]);
  assertEquals(appended(ask(leader(), [remove("b"), remove("c")])), ["3: a -b -c / a b c"]);
});

test("membership: what can't be while a server catches up is refused, also when it could be after that", () => {
  const at = (id: ServerId, address: string): ConfigurationChange => ({ type: "add-voter", id, address });
  for (const taken of [at("c", "c:2"), remove("n")]) {
    // It would have the address of one that goes, or moves, only when it has caught up.
    const core = leader({ servers: "a b c ~n" });
    const effects = ask(core, [at("x", `${taken.id}:1`), taken]);
    assertEquals([appended(effects), settled(effects)], [[], ["1 invalid"]]);
    // Without a vote it need not catch up.
    const listener = { type: "add-nonvoter", id: "x", address: `${taken.id}:1` } as const;
    assertEquals(settled(ask(core, [listener, taken], { id: 2 })), []);
    assertEquals(core.state.log.lastIndex, 3);
  }
  // Where there is room for one more only: two come when one has gone.
  const many = (count: number) => ["a", ...Array.from({ length: count - 1 }, (_, i) => `~n${i}`)].join(" ");
  const full = leader({ servers: many(SERVERS_MAX - 1) });
  assertEquals(settled(ask(full, [add("x"), add("y"), remove("n0")])), ["1 invalid"]);
  assertEquals(settled(ask(full, [add("x"), remove("n0")], { id: 2 })), []);
  assertEquals(full.state.log.lastIndex, 3);
});

test("membership: what would leave too few voters that answer is refused unless forced", () => {
  const heard = (b: number, c: number, d: number) => ({
    servers: "a b c d",
    progress: { b: { matchIndex: 2, heardAt: b }, c: { matchIndex: 2, heardAt: c }, d: { matchIndex: 2, heardAt: d } },
  });
  // At 600, with a lease of 500: of a, c and d only a would answer.
  assertEquals(settled(ask(leader(heard(600, 99, 99)), [remove("b")], { now: 600 })), ["1 no-quorum"]);
  assertEquals(appended(ask(leader(heard(600, 100, 99)), [remove("b")], { now: 600 })), ["3: a c d"]);
  assertEquals(appended(ask(leader(heard(600, 99, 99)), [remove("b")], { now: 600, force: true })), ["3: a c d"]);
});

test("membership: two voters at once are joint, and left when both halves have it (M5)", () => {
  const core = leader({ servers: "a b c ~d ~e" });
  assertEquals(appended(ask(core, [add("d"), add("e"), remove("b"), remove("c")])), ["3: a b c +d +e"]);
  commit(core, "b");
  assertEquals(appended(commit(core, "d")), []);
  assertEquals(appended(commit(core, "e")), ["4: a -b -c d e / a b c"]);
  // A majority of the new half alone does not commit it, nor does one of the old.
  assertEquals(appended(commit(core, "d e")), []);
  const left = commit(core, "b");
  assertEquals([appended(left), settled(left)], [["5: a d e"], []]);
  assertEquals(settled(commit(core, "d")), ["1 at 5"]);
});

test("membership: a new leader leaves a joint configuration that it finds, when it is committed (BM07)", () => {
  const core = leader({ servers: "a b -c / a b c", state: { commitIndex: 1, voteAsked: 1, votePersisted: 1 } });
  core.state.leading!.reconfigures = true;
  for (const progress of core.state.leading!.progress.values()) progress.matchIndex = 0;
  assertEquals(appended(core.step(drained, 0)), []);
  assertEquals(appended(commit(core, "b")), ["3: a b"]);
});

test("membership: a leader that is removed leads until that is committed, then hands over (M6, P12)", () => {
  const core = leader();
  assertEquals(appended(ask(core, [remove("a")])), ["3: b c"]);
  assertEquals(core.state.role, "leader");
  // Its own disk counts no more.
  assertEquals(settled(commit(core, "b")), []);
  const effects = commit(core, "c");
  assertEquals(settled(effects), ["1 at 3"]);
  assertEquals(effects.filter(({ type }) => type === "announce-removed"), [{ type: "announce-removed", index: 3 }]);
  assertEquals(
    effects.filter((effect) => effect.type === "send" && effect.message.type === "timeout-now").length,
    1,
  );
  assertEquals([core.state.role, core.state.leader], ["follower", undefined]);
  // It stays quiet.
  assertEquals(typesOf(core.step(deadline, 5000)), []);
});

test("membership: a demoted leader makes way in the same manner and is still a member (P12)", () => {
  const core = leader();
  assertEquals(appended(ask(core, [demote("a")])), ["3: ~a b c"]);
  const effects = commit(core, "b c");
  assertEquals(effects.some(({ type }) => type === "announce-removed"), false);
  assertEquals(core.state.role, "follower");
});

test("membership: a removed server gets the entry that says so and is told, then forgotten", () => {
  const core = leader();
  ask(core, [remove("c")]);
  assertEquals([...core.state.leading!.progress.keys()], ["b", "c"]);
  commit(core, "b c");
  const effects = core.step(deadline, 50);
  assertEquals(effects.filter(({ type }) => type === "forget-peer"), [{ type: "forget-peer", peer: "c" }]);
  assertEquals(effects.filter(({ type }) => type === "send"), [
    { type: "send", to: "c", message: { type: "removed", term: 2, index: 3 } },
  ]);
  assertEquals([...core.state.leading!.progress.keys()], ["b"]);
});

test("membership: a removed server that does not answer is forgotten after two election timeouts", () => {
  const core = leader({ progress: { b: { matchIndex: 2, heardAt: 0 }, c: { matchIndex: 2, heardAt: 0 } } });
  ask(core, [remove("c")]);
  const forgets = (now: number) => {
    core.state.leading!.progress.get("b")!.heardAt = now;
    return core.step(deadline, now).some(({ type }) => type === "forget-peer");
  };
  assertEquals([forgets(1999), forgets(2049)], [false, true]);
});

test("membership: a server that is told of its removal campaigns no more, until it is in again", () => {
  const core = coreOf({ id: "c", state: following("a") });
  const removed = { type: "removed", term: 1, index: 7 } as const;
  // Not from anybody but the leader of this term, not of an earlier one.
  assertEquals(receive(core, "b", removed).effects, []);
  assertEquals(receive(core, "a", { ...removed, term: 0 }).effects, []);
  assertEquals(receive(core, "a", removed), {
    effects: [{ type: "announce-removed", index: 7 }],
    changes: { removedAt: 7 },
  });
  assertEquals(receive(core, "a", removed).effects, []);
  core.step(deadline, 5000);
  assertEquals(core.state.role, "follower");
  const again = append({
    prevIndex: 1,
    terms: [1, 1, 1, 1, 1, 1, 1],
    configurations: [{ index: 8, configuration: configuration("a b c") }],
  });
  core.step({ type: "message-received", from: "a", message: again }, 5000);
  core.step(deadline, 10_000);
  assertEquals(core.state.role, "pre-candidate");
});

test("membership: a leader of a later term, which never sends anything else, is believed too", () => {
  const core = coreOf({ id: "c", state: following("a") });
  const { effects } = receive(core, "d", { type: "removed", term: 5, index: 7 });
  assertEquals(effects.at(-1), { type: "announce-removed", index: 7 });
  assertEquals([core.state.term, core.state.leader, core.state.removedAt], [5, undefined, 7]);
});

test("membership: a word of removal that the own log has overtaken says nothing", () => {
  const core = coreOf({ id: "c", state: following("a") });
  assertEquals(receive(core, "a", { type: "removed", term: 1, index: 1 }).effects, []);
});

test("membership: a stranger that asks for votes is told that it is one; a member is not (BM20)", () => {
  const told = (from: ServerId) =>
    leader().step({ type: "message-received", from, message: voteRequest({ term: 3, pre: true }) }, 0)
      .flatMap((effect) => effect.type === "send" ? [effect.message.type] : []);
  assertEquals(told("x"), ["removed", "vote-response"]);
  assertEquals(told("b"), ["vote-response"]);
});

test("membership: a server too slow to catch up in ten rounds is given up; it stays staging and votes later", () => {
  const core = leader();
  ask(core, [add("x")]);
  const progress = () => core.state.leading!.progress.get("x")!;
  let now = 0;
  const round = (ms: number) => {
    now += ms;
    core.step({ type: "proposed", count: 1 }, now);
    core.state.leading!.progress.get("b")!.heardAt = now;
    return commit(core, "b x", now);
  };
  for (let i = 1; i <= 9; i++) assertEquals([i, settled(round(1001))], [i, []]);
  assertEquals(progress().catchUp!.round, 10);
  assertEquals(settled(round(1001)), ["1 too-slow*"]);
  // A round in time, and the leader promotes it although nobody waits for it.
  assertEquals(appended(round(1000)).at(-1)!.replace(/.*: /, ""), "a b c x");
});

test("membership: a new server that never answers is given up after ten election timeouts", () => {
  const core = leader();
  ask(core, [add("x")]);
  commit(core, "b");
  const at = (now: number) => {
    core.state.leading!.progress.get("b")!.heardAt = now;
    return settled(core.step(drained, now));
  };
  assertEquals([at(10_000), at(10_001)], [[], ["1 unreachable*"]]);
});

test("membership: a server that is taken out while it catches up ends the waiting", () => {
  const core = leader();
  ask(core, [add("x")]);
  commit(core, "b");
  ask(core, [remove("x")], { id: 2 });
  assertEquals(settled(commit(core, "b")).sort(), ["1 removed*", "2 at 4"]);
});

test("membership: a leader that falls says what was begun", () => {
  const core = leader();
  ask(core, [add("x")]);
  ask(core, [add("y")], { id: 2 });
  const fall = core.step({ type: "message-received", from: "b", message: append({ term: 3, prevIndex: 1 }) }, 1);
  assertEquals(settled(fall), ["1 leadership-lost*", "2 leadership-lost"]);
});

test("membership: a follower goes back to the configuration before when the entry is cut off (M1, BM04)", () => {
  const core = coreOf({ id: "b", state: following("a") });
  const one = append({ terms: [1], configurations: [{ index: 2, configuration: configuration("a b c +x") }] });
  core.step({ type: "message-received", from: "a", message: one }, 0);
  assertEquals(core.state.configurations.at(-1)!.index, 2);
  core.step({ type: "message-received", from: "c", message: append({ term: 2, terms: [2] }) }, 0);
  assertEquals(core.state.configurations.at(-1)!.index, 1);
});

test("priority: a voter of higher priority that has everything is handed the leadership, not too often", () => {
  const servers = configuration("a b c").servers.map((server) =>
    server.id === "b" ? { ...server, priority: 5 } : server
  );
  const about = (match: number, heardAt: number, state: "replicate" | "probe" = "replicate") => {
    const core = leader({
      leading: { preferAt: 0 },
      progress: { b: { matchIndex: match, heardAt, state }, c: { heardAt: 0 } },
    });
    core.state.configurations = [{ index: 1, configuration: { servers } }];
    core.step(deadline, 50);
    return core.state.leading?.transfer?.to;
  };
  assertEquals(about(2, 0), "b");
  assertEquals(about(1, 0), undefined);
  assertEquals(about(2, -451), undefined);
  // Its connection has closed, and it has not answered since.
  assertEquals(about(2, 0, "probe"), undefined);
  const core = leader({ leading: { preferAt: 100 } });
  core.state.configurations = [{ index: 1, configuration: { servers } }];
  core.step(deadline, 50);
  assertEquals(core.state.leading!.transfer, undefined);
  core.step(deadline, 100);
  assertEquals(core.state.leading!.transfer!.to, "b");
  assertEquals(core.state.leading!.preferAt, 10_100);
});

test("transfer: a second one waits for the first when it is the same, and is refused when it is not", () => {
  const core = leader({ progress: { b: { matchIndex: 1 }, c: { matchIndex: 1 } } });
  core.step({ type: "transfer-requested", to: "b" }, 0);
  assertEquals(take(core, { type: "transfer-requested", to: "b" }).effects, []);
  assertEquals(take(core, { type: "transfer-requested", to: undefined }).effects, []);
  assertEquals(take(core, { type: "transfer-requested", to: "c" }).effects, [
    { type: "announce-transfer-failed", reason: "busy" },
  ]);
});

const removing = { index: 2, configuration: configuration("b") };

/** `a` has appended that it goes, of which nobody else knows. */
function goner(about: Given = {}): Core {
  const configurations = [{ index: 1, configuration: configuration("a b") }, removing];
  return coreOf({ terms: [1, 1], ...about, state: { configurations, electionAt: 1000, ...about.state } });
}

test("membership: whoever may be the only one with the entry that removes it can be elected (thesis §4.2.2)", () => {
  const core = goner();
  const { effects } = take(core, deadline, 1000);
  assertEquals(effects.filter(({ type }) => type === "send").map((effect) => "to" in effect && effect.to), ["b"]);
  assertEquals(core.state.role, "pre-candidate");
});

test("membership: once that is committed, it is not needed any more", () => {
  const isWilling = (state: Given["state"]) => {
    const core = goner({ state: state! });
    core.step(deadline, 1000);
    return core.state.role === "pre-candidate";
  };
  assertEquals(isWilling({ commitIndex: 1 }), true);
  assertEquals(isWilling({ commitIndex: 2 }), false);
  assertEquals(isWilling({ removedAt: 1 }), true);
  assertEquals(isWilling({ removedAt: 2 }), false);
});

test("membership: a record of disks after it proves nothing, other voters after it do", () => {
  const isWilling = (last: string) => {
    const configurations = [
      { index: 1, configuration: configuration("a b") },
      removing,
      { index: 3, configuration: configuration(last) },
    ];
    const core = goner({ terms: [1, 1, 1], state: { configurations } });
    core.step(deadline, 1000);
    return core.state.role === "pre-candidate";
  };
  assertEquals(isWilling("b"), true);
  assertEquals(isWilling("b c"), false);
});

test("membership: who is told that it is removed while it asks for votes gives that up", () => {
  const core = coreOf({ state: { electionAt: 1000 } });
  core.step(deadline, 1000);
  assertEquals(core.state.role, "pre-candidate");
  receive(core, "b", { type: "removed", term: 1, index: 5 }, 1500);
  assertEquals(core.step(deadline, 1999), []);
  const { effects } = take(core, deadline, 2000);
  const role = { role: "follower", term: 1, leader: undefined, reason: "election-timeout" } as const;
  assertEquals(effects, [{ type: "announce-role", ...role }]);
  assertEquals(take(core, deadline, 4000).effects, []);
});

test("change: a read round is answered when those who have not answered it leave, and not before", () => {
  const core = leader({ servers: "a b" });
  core.step({ type: "read-requested", id: 7 }, 0);
  core.step(drained, 0);
  core.step({ type: "read-requested", id: 8 }, 0);
  assertEquals(core.state.leading!.readRound?.ids, [7]);
  const answers = (effects: readonly Effect[]) => effects.filter(({ type }) => type === "answer-read");
  // Who is new is one more to wait for.
  assertEquals(answers(ask(core, [{ type: "add-nonvoter", id: "c", address: "c:1" }])), []);
  commit(core, "");
  assertEquals(core.state.leading!.readRound?.ids, [7]);
  const alone = leader({ servers: "a b" });
  alone.step({ type: "read-requested", id: 7 }, 0);
  alone.step(drained, 0);
  alone.step({ type: "read-requested", id: 8 }, 0);
  assertEquals(answers(ask(alone, [remove("b")])), [
    { type: "answer-read", id: 7, index: 2 },
    { type: "answer-read", id: 8, index: 2 },
  ]);
});
