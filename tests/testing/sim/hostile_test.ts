import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { AppendResponse, CoreMessage, Message } from "../../../src/message.ts";
import { garbled } from "../../../src/testing/sim/hostile.ts";
import { INDEX_MAX } from "../../../src/wire/items.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { test } from "../../harness.ts";
import { accepted, append, campaigning, coreOf, leaderOf, receive, rejected, voteResponse } from "../../core/states.ts";

/** All that is made of one message, by many draws. */
function all(message: Message): CoreMessage[] {
  const random = Random.seeded(1);
  return Array.from({ length: 40 }, () => garbled(random, message)).filter((it) => it !== undefined) as CoreMessage[];
}

const vote = { type: "vote-request", term: 2, pre: false, lastIndex: 9, lastTerm: 2, transfer: true } as const;
const heartbeat = append({ term: 2, prevIndex: 1, prevTerm: 1, commitIndex: 1 });

test("hostile: a server changes nothing for what no honest one sends, and much for what one does", () => {
  for (const message of [vote, heartbeat, { type: "removed", term: 2, index: 9 }] as const) {
    const core = coreOf({ term: 2 });
    const before = JSON.stringify(core.state);
    for (const forged of all(message)) assertEquals(receive(core, "b", forged, 5).effects, []);
    assertEquals(JSON.stringify(core.state), before);
    receive(core, "b", message, 5);
    assertNotEquals(JSON.stringify(core.state), before);
  }
});

test("hostile: who leads is not told that it is removed by others, nor a candidate that they refuse", () => {
  const leader = leaderOf({ terms: [1, 2] });
  const forged = all(accepted({ term: 2, sequence: 9, matchIndex: 2 })).filter(({ type }) => type === "removed");
  const denials = all(voteResponse({ term: 1, campaign: 2, pre: true, granted: true })).filter(({ term }) =>
    term === 1
  );
  assert(forged.length > 0 && denials.length > 0);
  for (const message of forged) receive(leader, "b", message, 5);
  assertEquals([leader.state.role, leader.state.removedAt], ["leader", 0]);
  // Its own vote is not durable yet: nobody was asked.
  const candidate = coreOf({ term: 2, votedFor: "a", state: { ...campaigning(2, { yes: "" }), voteAsked: 1 } });
  for (const message of denials) receive(candidate, "b", message, 5);
  assertEquals([candidate.state.role, candidate.state.campaign!.votes.size], ["candidate", 0]);
});

test("hostile: an answer about what was never sent changes where a leader looks, and nothing else", () => {
  const progress = { b: { state: "probe" as const, nextIndex: 2, matchIndex: 1 } };
  const core = leaderOf({ terms: [1, 2], progress });
  for (const message of all(rejected(1, 0, 0, { term: 2, sequence: 9 }))) receive(core, "b", message, 5);
  const { nextIndex, matchIndex } = core.state.leading!.progress.get("b")!;
  assertEquals([core.state.term, nextIndex, matchIndex], [2, 2, 1]);
});

test("hostile: a leader counts no acknowledgement of what it never had", () => {
  const core = leaderOf({ terms: [1, 2] });
  const forged = all(accepted({ term: 2, sequence: 9, matchIndex: 2 }));
  assertEquals(new Set(forged.map(({ term }) => term > 2)), new Set([true, false]));
  for (const message of forged) receive(core, "b", message, 5);
  assertEquals([core.state.term, core.state.leading!.progress.get("b")!.matchIndex], [2, 0]);
  receive(core, "b", accepted({ term: 2, sequence: 9, matchIndex: 2 }), 5);
  assertEquals(core.state.leading!.progress.get("b")!.matchIndex, 2);
});

test("hostile: an index is beyond every log, wherever logs begin, and no frame is refused for it", () => {
  const answers = (index: number) =>
    [
      ...all(accepted({ term: 2, sequence: 9, matchIndex: index })).map((it) => (it as AppendResponse).matchIndex),
      ...all(rejected(index, 0, 0, { term: 2, sequence: 9 })).map((it) => (it as AppendResponse).rejected?.prevIndex),
    ].filter((it) => it !== undefined && it > index);
  // A server that has nothing yet may answer a leader whose log begins near the end.
  assertEquals(new Set([...answers(1), ...answers(2 ** 52)]), new Set([INDEX_MAX]));
});

test("hostile: nothing is made of messages that somebody waits for", () => {
  assertEquals(all({ type: "forward-request", term: 1, id: 1, count: 1 }), []);
});
