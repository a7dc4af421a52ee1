import { EntryType } from "../../../src/types.ts";
import { encodeRecords } from "../../../src/wire/record.ts";
import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { accepted, rejected } from "../../core/states.ts";
import { compactTerms } from "../../../src/core/term_index.ts";
import { type Actor, request, rule } from "./stage.ts";

rule("L1", "logs with the same entry are the same up to it", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.append(a, 1);
  stage.append(b, 1, 1, { content: isBad ? 7 : 0 });
  stage.end(a, b);
});

rule("L1", "… also when one of them is long gone", (stage, isBad) => {
  const [a, b] = [stage.server("a", { term: 3 }), stage.server("b", { term: 3 })];
  stage.append(a, 2, 2);
  stage.end(a);
  stage.truncate(a, 2);
  stage.append(a, 3, 1);
  stage.end(a);
  stage.append(b, 2, 2, { content: isBad ? 7 : 0 });
  stage.end(b);
});

rule("L2", "the core's picture of the log is the log's", (stage, isBad) => {
  const a = stage.server("a");
  stage.append(a, 1);
  if (isBad) a.core.log.lastIndex = 3;
  stage.end(a);
});

rule("L2", "no entry is of a later term than its server", (stage, isBad) => {
  const a = stage.server("a");
  stage.append(a, 2);
  if (!isBad) a.core.term = 2;
  stage.end(a);
});

rule("L3", "nothing that is known to be committed is removed", (stage, isBad) => {
  const a = stage.server("a", { terms: [1, 1, 1], state: { commitIndex: 2 } });
  stage.step(a, { type: "drained" }, () => {}, [{ type: "truncate", from: isBad ? 2 : 3 }]);
});

rule("L3", "nothing that others have committed is removed for a later leader", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  stage.reign(a, 3, b);
  stage.end(a);
  stage.append(c, 3);
  // One of an earlier term may: it does not know better, and c was no part of the quorum.
  stage.step(c, { type: "drained" }, (core) => core.term = isBad ? 4 : 2, [{ type: "truncate", from: 2 }]);
});

rule("L4", "what is acknowledged is on disk", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  stage.append(a, 2);
  stage.receive(b, "a", { ...request(2, 2, 2), end: 4, runs: [{ term: 2, from: 3 }] }, () => {
    stage.append(b, 2, 1, { durable: !isBad });
  });
  stage.send(b, "a", accepted({ term: 2, matchIndex: 3 }));
});

rule("L4", "what is damaged is not acknowledged", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  b.core.damaged = [{ from: isBad ? 2 : 3, end: 4, isTermKnown: true }];
  const message = accepted({ term: 2, matchIndex: 2 });
  stage.receive(b, "a", request(2, 2, 2), () => {}, [{ type: "send", to: "a", message }]);
});

rule("L4", "what is acknowledged is what the leader has", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  stage.append(a, 2);
  stage.receive(b, "a", { ...request(2, 2, 2), end: 4, runs: [{ term: 2, from: 3 }] }, () => {
    stage.append(b, 2, 1, { content: isBad ? 7 : 0 });
  });
  stage.send(b, "a", accepted({ term: 2, matchIndex: 3 }));
});

rule("L5", "no more is acknowledged than was sent", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b", { terms: [1, 1] })];
  stage.append(a, 1);
  stage.lead(a, 2, b);
  stage.receive(b, "a", request(2, 1, 1));
  stage.send(b, "a", accepted({ term: 2, matchIndex: isBad ? 2 : 1 }));
});

rule("L5", "a rejection leads no further than what was sent", (stage, isBad) => {
  const b = stage.server("b", { terms: [1, 1, 1], term: 3 });
  stage.send(b, "a", rejected(2, isBad ? 3 : 2, 1, { term: 3 }));
});

rule("L5", "… and to no term that the leader's log did not come to", (stage, isBad) => {
  const b = stage.server("b", { terms: [1, 2, 2], term: 3 });
  stage.receive(b, "a", { ...request(3, 3, 1), sequence: 7 });
  stage.send(b, "a", rejected(3, isBad ? 3 : 1, isBad ? 2 : 1, { term: 3, sequence: 7 }));
});

rule("L5", "… unless that is all it has", (stage, isBad) => {
  const b = stage.server("b", { terms: isBad ? [1, 2, 2] : [1, 2], term: 3 });
  stage.receive(b, "a", { ...request(3, 3, 1), sequence: 7 });
  stage.send(b, "a", rejected(3, 2, 2, { term: 3, sequence: 7 }));
});

rule("L5", "… nor what an earlier request of that number was about", (stage, isBad) => {
  const b = stage.server("b", { terms: [1, 2, 2], term: 3 });
  stage.receive(b, "a", { ...request(3, 3, 1), sequence: 7 });
  // Taken out and in again: the leader counts anew.
  if (!isBad) stage.receive(b, "a", { ...request(3, 5, 3), sequence: 7 });
  stage.send(b, "a", rejected(5, 3, 2, { term: 3, sequence: 7 }));
});

rule("L6", "what was acknowledged stays on disk while its term lasts", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  if (!isBad) stage.vote(b, 3, undefined);
  // Nobody has committed it yet.
  stage.uncommit(0);
  stage.persist(b, () => stage.truncate(b, 2), 2);
});

rule("L6", "… and over a crash", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  stage.uncommit(0);
  const found = { ...b.disk, log: b.disk.log.clone() };
  if (isBad) found.log.truncateFrom(2);
  stage.recover("b", found);
});

rule("L7", "a leader believes no more than what was acknowledged", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  stage.receive(a, "b", accepted({ term: 2, matchIndex: 2 }), (core) => {
    const progress = core.leading!.progress.get("b")!;
    Object.assign(progress, isBad ? { matchIndex: 3, nextIndex: 4 } : { matchIndex: 2, nextIndex: 3 });
  });
});

rule("L7", "a leader forgets nothing of what was acknowledged", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  const believe = (matchIndex: number) => {
    stage.receive(a, "b", accepted({ term: 2, matchIndex }), (core) => {
      Object.assign(core.leading!.progress.get("b")!, { matchIndex, nextIndex: 3 });
    });
  };
  believe(2);
  believe(isBad ? 1 : 2);
});

rule("L7", "… unless that was lost, as who lost it says", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  const rejected = { prevIndex: 2, hintIndex: 0, hintTerm: 0, isDamaged: !isBad };
  stage.receive(a, "b", accepted({ term: 2, matchIndex: 2 }), (core) => {
    Object.assign(core.leading!.progress.get("b")!, { matchIndex: 2, nextIndex: 3 });
  });
  stage.receive(a, "b", accepted({ term: 2, matchIndex: 0, rejected }), (core) => {
    Object.assign(core.leading!.progress.get("b")!, { matchIndex: 0, nextIndex: 1 });
  });
});

rule("L7", "a leader sends nothing that it knows to be there", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  stage.receive(a, "b", accepted({ term: 2, matchIndex: 2 }), (core) => {
    core.leading!.progress.get("b")!.nextIndex = isBad ? 2 : 3;
  });
});

rule("L7", "a server takes no entry for durable that is not on its disk", (stage, isBad) => {
  const a = stage.server("a");
  stage.append(a, 1, 1, { durable: false });
  stage.end(a);
  stage.step(a, { type: "entries-persisted", end: 3, epoch: 0 }, (core) => core.persistedIndex = isBad ? 2 : 1);
  stage.end(a);
});

rule("L7", "… nor where another one is there", (stage, isBad) => {
  const a = stage.server("a", { term: 3 });
  a.log.add(3, 0);
  a.disk.log.add(isBad ? 2 : 3, 0);
  a.core.log.lastIndex = a.core.persistedIndex = 2;
  a.core.log.runs = [{ term: 1, from: 1 }, { term: 3, from: 2 }];
  stage.end(a);
});

rule("L7", "memory may forget only what is on disk", (stage, isBad) => {
  const a: Actor = { ...stage.server("a"), cache: { durableEnd: isBad ? 3 : 2 } };
  stage.append(a, 1, 1, { durable: false });
  stage.end(a);
});

rule("L7", "… or in a snapshot", (stage, isBad) => {
  const a: Actor = { ...stage.server("a"), cache: { durableEnd: 3 } };
  stage.append(a, 1, 2, { durable: false });
  a.core.snapshot = { index: 2, term: 1 };
  compactTerms(a.core.log, isBad ? 2 : 3);
  stage.end(a);
});

rule("L7", "nobody looks on its disk for what is not there", (stage, isBad) => {
  const a = stage.server("a");
  stage.append(a, 1, 1, { durable: false });
  stage.read(a, 1, isBad ? 3 : 2);
});

rule("L8", "a request says what stands before its entries", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  stage.send(a, "b", request(2, 2, isBad ? 1 : 2));
});

rule("L8", "a request claims no more to be committed than its leader knows", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  stage.send(a, "b", request(2, 2, 2, isBad ? 3 : 2));
});

rule("L8", "a request holds its leader's own entries", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.lead(a, 2, b);
  const entry = (byte: number) => encodeRecords(2, 2, 0, [{ type: EntryType.command, payload: Uint8Array.of(byte) }]);
  a.log.append(entry(1));
  const message = { ...request(2, 1, 1), end: 3, runs: [{ term: 2, from: 2 }] };
  stage.send(a, "b", message, entry(isBad ? 2 : 1));
});

rule("L9", "an answer to an earlier term changes nothing", (stage, isBad) => {
  const [a, b] = [stage.server("a", { term: 4 }), stage.server("b")];
  stage.lead(a, 5, b);
  stage.receive(a, "b", accepted({ term: 4 }), (core) => core.electionAt += isBad ? 1 : 0);
});

rule("L9", "… nor shows that its sender is there", (stage, isBad) => {
  const [a, b] = [stage.server("a", { term: 4 }), stage.server("b")];
  stage.lead(a, 5, b);
  stage.receive(a, "b", accepted({ term: isBad ? 4 : 5, sequence: 0 }), (core) => {
    core.leading!.progress.get("b")!.heardAt++;
  });
});

rule("L9", "a rejection from before a change of mind changes nothing", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  a.core.leading!.progress.get("b")!.stateSequence = 5;
  stage.receive(a, "b", rejected(3, 2, 1, { term: 2, sequence: isBad ? 4 : 5 }), (core) => {
    core.leading!.progress.get("b")!.nextIndex = 4;
  });
});

rule("L9", "a write from before a truncation makes nothing durable", (stage, isBad) => {
  const a = stage.server("a", { state: { epoch: 3 } });
  stage.append(a, 1, 1, { durable: false });
  stage.step(a, { type: "entries-persisted", end: 3, epoch: isBad ? 2 : 3 }, (core) => core.persistedIndex = 2);
});

rule("L9", "an older vote on disk begins nothing", (stage, isBad) => {
  const a = stage.server("a", { state: { voteAsked: 2 } });
  const message = accepted({ term: 1 });
  stage.step(a, { type: "vote-persisted", sequence: isBad ? 1 : 2 }, () => {}, [{ type: "send", to: "b", message }]);
});

rule("L9", "an answer to an earlier campaign is not counted", (stage, isBad) => {
  const a = stage.server("a", { term: 3 });
  a.core.campaign = { pre: false, term: 3, transfer: false, votes: new Map([["a", true]]) };
  const response = { type: "vote-response", term: 3, pre: false, granted: true } as const;
  stage.receive(a, "b", { ...response, campaign: isBad ? 2 : 3 }, (core) => core.campaign!.votes.set("b", true));
});

rule("L9", "a leader of an earlier term is told so, and no more", (stage, isBad) => {
  const b = stage.server("b", { term: 3 });
  const message = accepted({ term: 3 });
  stage.receive(b, "a", request(2, 1, 1), (core) => core.leader = isBad ? "a" : undefined, [
    { type: "send", to: "a", message },
  ]);
});

rule("L9", "… and nothing is done for it", (stage, isBad) => {
  const b = stage.server("b", { term: 3 });
  const send = { type: "send", to: "a", message: accepted({ term: 3 }) } as const;
  stage.receive(b, "a", request(2, 1, 1), () => {}, isBad ? [send, { type: "announce-removed", index: 1 }] : [send]);
});

rule("L9", "only the leader of this term can ask for a campaign", (stage, isBad) => {
  const b = stage.server("b", { state: { leader: "a" } });
  stage.receive(b, isBad ? "c" : "a", { type: "timeout-now", term: 1 }, (core) => {
    Object.assign(core, { term: 2, votedFor: "b", role: "candidate", leader: undefined });
  });
});

rule("D4", "a crash leaves what was durable, with or without what was under way", (stage, isBad) => {
  const a = stage.server("a");
  const after = { ...a.disk, log: a.disk.log.clone() };
  after.log.add(1, 0);
  const lost = { ...a.disk, log: new ChainLog() };
  stage.recover("a", isBad ? lost : after, [a.disk, after]);
});
