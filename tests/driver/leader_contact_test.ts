import { assertEquals } from "@std/assert";
import { LeaderContact } from "../../src/driver/leader_contact.ts";
import { append } from "../core/states.ts";
import { test } from "../harness.ts";

/** Somebody who was told this by "a", which leads term 2 as far as it knows. */
function told(from: string, message: Parameters<LeaderContact["onMessage"]>[1]) {
  const clocks = { aheadMs: 7, sleptMs: (_now: number, since: number) => since === 7 ? 20 : 1000 };
  const contact = new LeaderContact(clocks);
  contact.onMessage(from, message, { leader: "a", term: 2 });
  return (role: "leader" | "follower", leaderHeardAt: number) => {
    const { index, agoMs } = contact.heard({ role, commitIndex: 3, leaderHeardAt }, 100);
    return [index, agoMs];
  };
}

const request = (term: number) => append({ term, prevIndex: 1, prevTerm: 1, commitIndex: 9 });

test("LeaderContact knows what the leader has said is committed, and when it was heard", () => {
  const heard = told("a", request(2));
  assertEquals([heard("follower", 90), heard("follower", -Infinity)], [[9, 30], [9, undefined]]);
  assertEquals(heard("leader", 90), [9, 0]);
});

test("LeaderContact takes nobody at their word but the leader", () => {
  for (const [from, term] of [["b", 2], ["a", 1], ["a", 3]] as const) {
    assertEquals(told(from, request(term))("follower", 90), [3, 1010]);
  }
});
