import { assertEquals } from "@std/assert";
import type { Effect } from "../../../src/core/effect.ts";
import { accepted, append, configuration, coreOf } from "../../core/states.ts";
import { request, rule } from "./stage.ts";

const asks = { type: "vote-request", term: 2, pre: false, lastIndex: 1, lastTerm: 1, transfer: false } as const;

rule("E1", "a term has one leader, over all time", (stage, isBad) => {
  const [a, c] = [stage.server("a"), stage.server("c")];
  // Goes by other servers, so that its quorum does not meet that of a.
  const b = stage.server("b", { servers: "b" });
  stage.lead(a, 2, c);
  stage.lead(b, isBad ? 2 : 3);
});

rule("E1", "entries come from the leader of their term", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  stage.lead(a, 2, b);
  stage.vote(c, 2, undefined);
  stage.send(isBad ? c : a, "b", request(2, 1, 1));
});

rule("E1", "… while it leads", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.lead(a, 2, b);
  if (isBad) stage.step(a, { type: "drained" }, (core) => core.role = "follower");
  stage.send(a, "b", request(2, 1, 1));
});

rule("E2", "a vote is given once a term, whatever happens between", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  stage.grant(c, 2, a);
  stage.grant(c, isBad ? 2 : 3, b);
});

rule("E2", "a vote that was heard of stays on its disk", (stage, isBad) => {
  const [a, c] = [stage.server("a"), stage.server("c")];
  stage.grant(c, 2, a);
  stage.vote(c, 2, isBad ? undefined : "a");
});

rule("E3", "a vote is on disk before anybody hears of it", (stage, isBad) => {
  const c = stage.server("c");
  stage.vote(c, 2, isBad ? undefined : "a");
  stage.send(c, "a", { type: "vote-response", term: 2, pre: false, campaign: 2, granted: true });
});

rule("E4", "a term is on disk before anybody hears of it", (stage, isBad) => {
  const a = stage.server("a");
  stage.vote(a, isBad ? 1 : 2, undefined);
  stage.send(a, "b", accepted({ term: 2 }));
});

rule("E4", "a candidate's own vote is on disk before it asks for others'", (stage, isBad) => {
  const a = stage.server("a");
  stage.vote(a, 2, isBad ? undefined : "a");
  stage.send(a, "b", asks);
});

rule("E4", "term and vote are on disk together before they are taken for durable", (stage, isBad) => {
  const a = stage.server("a", { state: { voteAsked: 2 } });
  Object.assign(a.core, { term: 3, votedFor: undefined });
  Object.assign(a.disk, { term: 3, votedFor: isBad ? "b" : undefined });
  stage.step(a, { type: "vote-persisted", sequence: 2 });
});

rule("E4", "… which an earlier write says nothing about", (stage, isBad) => {
  const a = stage.server("a", { state: { voteAsked: 2 } });
  Object.assign(a.core, { term: 3, votedFor: "b" });
  stage.step(a, { type: "vote-persisted", sequence: isBad ? 2 : 1 });
});

rule("E5", "nobody answers for a term that is over", (stage, isBad) => {
  const a = stage.server("a", { term: 3 });
  stage.send(a, "b", accepted({ term: isBad ? 2 : 3 }));
});

rule("E5", "whoever hears of a later term enters it", (stage, isBad) => {
  const a = stage.server("a");
  stage.receive(a, "b", accepted({ term: 3 }), (core) => core.term = isBad ? 2 : 3);
});

rule("E5", "… also from a refusal of what it only asked", (stage, isBad) => {
  const a = stage.server("a");
  stage.receive(a, "b", { type: "vote-response", term: 3, pre: true, campaign: 2, granted: !isBad });
});

rule("E5", "… but no term that nobody can believe in", (stage, isBad) => {
  const a = stage.server("a");
  stage.receive(a, "b", accepted({ term: isBad ? 2 ** 40 : 2 ** 41 }));
});

rule("E5", "a term only grows in memory", (stage, isBad) => {
  const a = stage.server("a");
  stage.step(a, { type: "drained" }, (core) => core.term = isBad ? 0 : 1);
});

rule("E5", "a term only grows on disk", (stage, isBad) => {
  const a = stage.server("a", { term: 4 });
  stage.persist(a, (disk) => disk.term = 5);
  stage.persist(a, (disk) => disk.term = isBad ? 4 : 5);
});

rule("E5", "a term only grows over a crash", (stage, isBad) => {
  const a = stage.server("a");
  stage.persist(a, (disk) => disk.term = 5);
  stage.recover("a", { ...a.disk, term: isBad ? 4 : 5 });
});

rule("E5", "a life begins with what its disk holds", (stage, isBad) => {
  const a = stage.server("a", { term: 4, votedFor: "b" });
  if (isBad) a.core.votedFor = undefined;
  stage.begin(a);
});

rule("E6", "a leader has the votes of a majority", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.lead(a, 2, ...isBad ? [] : [b]);
});

rule("E6", "a leader has the votes of a majority of both sets while two are in force", (stage, isBad) => {
  const servers = "a b c / a d e";
  const [a, b, d] = ["a", "b", "d"].map((id) => stage.server(id, { servers }));
  const state = coreOf({ servers }).state;
  stage.lead(Object.assign(a!, { core: state }), 2, b!, ...isBad ? [] : [d!]);
});

rule("E6", "a vote for another term does not count", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.grant(b, isBad ? 2 : 3, a);
  stage.lead(a, 3);
});

rule("E7", "a vote goes to a log as up to date as the voter's", (stage, isBad) => {
  const c = stage.server("c", { terms: [1, 1, 2] });
  stage.receive(c, "a", { ...asks, term: 3, lastIndex: isBad ? 9 : 3, lastTerm: isBad ? 1 : 2 }, (core) => {
    Object.assign(core, { term: 3, votedFor: "a" });
  });
});

rule("E7", "… and is promised to no other", (stage, isBad) => {
  const c = stage.server("c", { terms: [1, 1, 2], term: 2 });
  const message = { type: "vote-response", term: 2, pre: true, campaign: 3, granted: true } as const;
  stage.receive(c, "a", { ...asks, term: 3, pre: true, lastIndex: isBad ? 9 : 3, lastTerm: isBad ? 1 : 2 }, () => {}, [
    { type: "send", to: "a", message },
  ]);
});

rule("E8", "who only asks changes nothing", (stage, isBad) => {
  const c = stage.server("c");
  stage.receive(c, "a", { ...asks, pre: true }, (core) => core.electionAt += isBad ? 1 : 0);
});

rule("V4", "who hears a leader promises nobody a vote", (stage, isBad) => {
  const c = stage.server("c", { state: { leader: "b", leaderHeardAt: 1000 } });
  const { electionMinMs } = c.core.settings;
  const message = { type: "vote-response", term: 1, pre: true, campaign: 2, granted: true } as const;
  const granted: Effect = { type: "send", to: "a", message };
  stage.receive(c, "a", { ...asks, pre: true }, () => {}, [granted], 1000 + electionMinMs - (isBad ? 1 : 0));
});

const doubted = { leaderClosed: { electionAt: 9, waitMs: 9 } };

rule("V4", "who was told that its leader's end has closed the connection may promise a vote", (stage, isBad) => {
  const c = stage.server("c", { state: { leader: "b", leaderHeardAt: 1000, ...isBad ? {} : doubted } });
  const message = { type: "vote-response", term: 1, pre: true, campaign: 2, granted: true } as const;
  stage.receive(c, "a", { ...asks, pre: true }, () => {}, [{ type: "send", to: "a", message }], 1001);
});

for (
  const [what, wrong] of [
    ["not when this side gave the connection up", { isClosedByPeer: false }],
    ["not for another server's connection", { peer: "a" }],
  ] as const
) {
  rule("V4", `a leader is doubted when its end closes the connection, ${what}`, (stage, isBad) => {
    const settings = { ...coreOf({}).state.settings, preVote: true };
    const c = stage.server("c", { state: { settings, leader: "b" } });
    const closed = { type: "peer-disconnected", peer: "b", isClosedByPeer: true, ...isBad ? wrong : {} } as const;
    stage.step(c, closed, (core) => void Object.assign(core, doubted));
  });
}

rule("V4", "a leader is not doubted by who would campaign without asking", (stage, isBad) => {
  const settings = { ...coreOf({}).state.settings, preVote: !isBad };
  const c = stage.server("c", { state: { settings, leader: "b" } });
  const closed = { type: "peer-disconnected", peer: "b", isClosedByPeer: true } as const;
  stage.step(c, closed, (core) => void Object.assign(core, doubted));
});

rule("V4", "a leader that is heard is doubted no more", (stage, isBad) => {
  const c = stage.server("c", { state: { leader: "b", termLeader: "b", ...doubted } });
  stage.receive(c, "b", append({ term: c.core.term }), (core) => {
    if (!isBad) core.leaderClosed = undefined;
  });
});

rule("V4", "a leader takes no term from who asks for votes, but when it hands over", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  stage.receive(a, "b", { ...asks, term: 3, lastIndex: 9, lastTerm: 2, transfer: !isBad }, (core) => {
    Object.assign(core, { term: 3, role: "follower", leader: undefined, leading: undefined, votedFor: "b" });
  });
});

rule("V4", "who can ask before it campaigns does", (stage, isBad) => {
  const c = stage.server("c", { state: { settings: { ...coreOf({}).state.settings, preVote: true } } });
  const votes = new Map<string, boolean>();
  c.core.campaign = isBad ? undefined : { pre: true, term: c.core.term + 1, transfer: false, votes };
  stage.step(c, { type: "deadline-reached" }, (core) => {
    Object.assign(core, { role: "candidate", term: core.term + 1, votedFor: "c", leader: undefined });
  });
});

rule("E9", "a leader removes nothing", (stage, isBad) => {
  const [a, b] = [stage.server("a", { terms: [1, 1] }), stage.server("b")];
  stage.lead(a, 2, b);
  stage.step(a, { type: "drained" }, () => {}, isBad ? [{ type: "truncate", from: 2 }] : []);
});

rule("E10", "a vote is not changed within a term", (stage, isBad) => {
  const c = stage.server("c", { votedFor: "a" });
  stage.step(c, { type: "drained" }, (core) => core.votedFor = isBad ? "b" : "a");
});

rule("E10", "one leader is followed within a term", (stage, isBad) => {
  const c = stage.server("c", { state: { leader: "a" } });
  stage.step(c, { type: "drained" }, (core) => core.leader = isBad ? "b" : undefined);
});

rule("E11", "only voters campaign", (stage, isBad) => {
  const d = stage.server("d", { servers: isBad ? "a b c ~d" : "a b c d" });
  stage.send(d, "a", { ...asks, pre: true });
});

rule("E11", "none of priority 0 campaigns", (stage, isBad) => {
  const d = stage.server("d");
  const { servers } = d.core.configurations[0]!.configuration;
  const idler = { ...servers[0]!, id: "d", priority: isBad ? 0 : 1 };
  d.core.configurations[0] = { index: 1, configuration: { servers: [...servers, idler] } };
  stage.send(d, "a", { ...asks, pre: true });
});

rule("M1", "the configuration in force is the last one in the log", (stage, isBad) => {
  const a = stage.server("a");
  stage.append(a, 1);
  const [first] = a.core.configurations;
  for (const log of [a.log, a.disk.log]) log.configure(2, first!.configuration);
  if (!isBad) a.core.configurations.push({ index: 2, configuration: first!.configuration });
  stage.end(a);
});

rule("M1", "only what can't be read from disk may be missing among configurations", (stage, isBad) => {
  const range = { from: isBad ? 3 : 2, end: 4, isTermKnown: true };
  const a = stage.server("a", { terms: [1, 1, 1], state: { damaged: [range] } });
  for (const log of [a.log, a.disk.log]) log.configure(2, configuration("a b"));
  stage.begin(a);
});

rule("M1", "the configuration in force says what the entry says", (stage, isBad) => {
  const a = stage.server("a");
  const { configuration } = coreOf({ servers: isBad ? "a b" : "a b c" }).state.configurations[0]!;
  a.core.configurations[0] = { index: 1, configuration };
  stage.begin(a);
});

rule("M4", "who has no vote becomes nothing but a follower", (stage, isBad) => {
  const d = stage.server("d", { servers: isBad ? "a b c +d" : "a b c d" });
  stage.step(d, { type: "deadline-reached" }, (core) => core.role = "pre-candidate");
});

rule("M4", "who has no vote is not asked for it", (stage, isBad) => {
  const a = stage.server("a", { servers: isBad ? "a b ~c" : "a b c" });
  stage.send(a, "c", { ...asks, pre: true });
});

rule("V7", "a leader that no quorum answers steps down within two election timeouts", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.lead(a, 2, b);
  stage.receive(a, "b", accepted({ term: 2 }), () => {}, [], 100);
  stage.step(a, { type: "deadline-reached" }, () => {}, [], 1000);
  stage.step(a, { type: "deadline-reached" }, () => {}, [], isBad ? 2101 : 2099);
});

rule("V7", "a leader whose clock jumps all the time gets no credit for it", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.lead(a, 2, b);
  // Its leaseMs is 500.
  for (let now = 400; now <= 2800; now += isBad ? 2400 : 500) {
    stage.step(a, { type: "clock-jumped" }, () => {}, [], now);
  }
  stage.step(a, { type: "deadline-reached" }, () => {}, [], isBad ? 4801 : 4299);
});

rule("V1", "whoever may campaign does when it hears nobody", (stage, isBad) => {
  const a = stage.server("a");
  stage.step(
    a,
    { type: "deadline-reached" },
    (core) => {
      if (!isBad) core.campaign = { pre: true, term: 2, transfer: false, votes: new Map([["a", true]]) };
    },
    [],
    Infinity,
  );
});

rule("V1", "… and when its time has come", (stage, isBad) => {
  const a = stage.server("a", { state: { electionAt: 500 } });
  stage.step(a, { type: "deadline-reached" }, () => {}, [], isBad ? 500 : 499);
});

rule("V1", "… unless its disk is not sound, or not the one it was", (stage, isBad) => {
  const a = stage.server("a");
  if (!isBad) a.core.damaged = [{ from: 1, end: 2, isTermKnown: true }];
  stage.step(a, { type: "deadline-reached" }, () => {}, [], Infinity);
});

rule("V1", "… also who is removed by what may not be committed", (stage, isBad) => {
  const a = stage.server("a", { terms: [1, 1], state: { commitIndex: isBad ? 1 : 2 } });
  const others = a.core.configurations[0]!.configuration.servers.filter(({ id }) => id !== "a");
  a.core.configurations.push({ index: 2, configuration: { servers: others } });
  stage.step(a, { type: "deadline-reached" }, () => {}, [], Infinity);
});

rule("V1", "… but nobody who was told that it is removed", (stage, isBad) => {
  const a = stage.server("a", { state: { removedAt: isBad ? 0 : 2 } });
  stage.step(a, { type: "deadline-reached" }, () => {}, [], Infinity);
});

rule("V4", "whoever has heard a leader waits for it as long as the settings say that are in force", (stage, isBad) => {
  const c = stage.server("c", { state: { leader: "b", leaderHeardAt: 100 } });
  const settings = { ...c.core.settings, electionMinMs: 400 };
  stage.step(c, { type: "settings-changed", settings }, (core) => core.settings = settings, [], 150);
  const asks = { pre: true, term: 2, transfer: false, votes: new Map() };
  const change = { role: "pre-candidate", leader: undefined, campaign: asks } as const;
  stage.step(
    c,
    { type: "deadline-reached" },
    (core) => void Object.assign(core, change),
    [],
    isBad ? 499 : 500,
  );
});

rule("V4", "… by the sum that the deadline is, which is rounded as time is", (stage, isBad) => {
  const [leaderHeardAt, electionMinMs] = [2023.003, 40];
  const c = stage.server("c", { settings: { electionMinMs }, state: { leader: "b", leaderHeardAt } });
  const asks = { pre: true, term: 2, transfer: false, votes: new Map() };
  const change = { role: "pre-candidate", leader: undefined, campaign: asks } as const;
  const deadline = leaderHeardAt + electionMinMs;
  assertEquals(deadline - leaderHeardAt < electionMinMs, true);
  const campaign = (core: object) => void Object.assign(core, change);
  stage.step(c, { type: "deadline-reached" }, campaign, [], isBad ? deadline - 0.001 : deadline);
});

rule("V4", "… and may then promise a vote", (stage, isBad) => {
  const [leaderHeardAt, electionMinMs] = [2023.003, 40];
  const c = stage.server("c", { settings: { electionMinMs }, state: { leader: "b", leaderHeardAt } });
  const message = { type: "vote-response", term: 1, pre: true, campaign: 2, granted: true } as const;
  const granted: Effect = { type: "send", to: "a", message };
  const deadline = leaderHeardAt + electionMinMs;
  stage.receive(c, "a", { ...asks, pre: true }, () => {}, [granted], isBad ? deadline - 0.001 : deadline);
});

rule("V4", "… unless the leader's end has closed the connection", (stage, isBad) => {
  const leaderClosed = isBad ? undefined : { electionAt: 900, waitMs: 10 };
  const c = stage.server("c", { state: { leader: "b", leaderHeardAt: 100, leaderClosed } });
  const asks = { pre: true, term: 2, transfer: false, votes: new Map() };
  const change = { role: "pre-candidate", leader: undefined, leaderClosed: undefined, campaign: asks } as const;
  stage.step(c, { type: "deadline-reached" }, (core) => void Object.assign(core, change), [], 110);
});
