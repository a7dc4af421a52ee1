import { assertEquals, assertNotEquals } from "@std/assert";
import type { CoreMessage } from "../../../src/core/event.ts";
import type { Message } from "../../../src/message.ts";
import { garbled } from "../../../src/testing/sim/hostile.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { test } from "../../harness.ts";
import { accepted, append, coreOf, leaderOf, receive } from "../../core/states.ts";

/** All that is made of one message, by many draws. */
function all(message: Message): CoreMessage[] {
  const random = Random.seeded(1);
  return Array.from({ length: 40 }, () => garbled(random, message)).filter((it) => it !== undefined) as CoreMessage[];
}

const vote = { type: "vote-request", term: 2, pre: false, lastIndex: 9, lastTerm: 2, transfer: true } as const;
const heartbeat = append({ term: 2, prevIndex: 1, prevTerm: 1, commitIndex: 1 });

test("hostile: a server changes nothing for what no honest one sends, and much for what one does", () => {
  for (const message of [vote, heartbeat, { type: "removed", term: 2, index: 9 }] as const) {
    const core = coreOf();
    const before = JSON.stringify(core.state);
    for (const forged of all(message)) assertEquals(receive(core, "b", forged, 5).effects, []);
    assertEquals(JSON.stringify(core.state), before);
    receive(core, "b", message, 5);
    assertNotEquals(JSON.stringify(core.state), before);
  }
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

test("hostile: nothing is made of messages that somebody waits for", () => {
  assertEquals(all({ type: "forward-request", term: 1, id: 1, count: 1 }), []);
});
