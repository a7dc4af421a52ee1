import { assertEquals } from "@std/assert";
import type { Event } from "../../src/core/event.ts";
import { LeaderContact } from "../../src/driver/leader_contact.ts";
import type { AppendRequest } from "../../src/message.ts";
import type { Role } from "../../src/types.ts";
import { append } from "../core/states.ts";
import { test } from "../harness.ts";

/** Somebody who was told this by "a", which leads term 2 as far as it knows, and whose machine has slept before and after. */
function told(from: string, message: AppendRequest, role: Role = "follower") {
  const clocks = { toldMs: 7, sleptMs: (now: number) => now === 100 ? 57 : 0 };
  const contact = new LeaderContact(clocks);
  contact.onStep({ type: "message-received", from, message }, { role, leader: "a", term: 2 });
  clocks.toldMs = 27;
  return (role: "leader" | "follower", leaderHeardAt: number) => {
    const { index, heardAt, now } = contact.heard({ role, commitIndex: 3, leaderHeardAt }, 100);
    return [index, now - heardAt];
  };
}

const request = (term: number) => append({ term, prevIndex: 1, prevTerm: 1, commitIndex: 9 });

test("LeaderContact knows what the leader has said is committed, and when it was heard", () => {
  const heard = told("a", request(2));
  assertEquals([heard("follower", 90), heard("follower", -Infinity)], [[9, 60], [9, Infinity]]);
  assertEquals(heard("leader", 90), [9, 30], "it has slept since the last turn");
});

test("LeaderContact takes nobody at their word but the leader", () => {
  for (const [from, term] of [["b", 2], ["a", 1], ["a", 3]] as const) {
    assertEquals(told(from, request(term))("follower", 90), [3, 67]);
  }
  assertEquals(told("a", request(2), "leader")("follower", 90), [3, 67], "it was handed back");
});

test("LeaderContact knows whether this server has led since it heard another, and leads no more", () => {
  const contact = new LeaderContact({ toldMs: 0, sleptMs: () => 0 });
  const led = (role: Role) => contact.heard({ role, commitIndex: 3, leaderHeardAt: 90 }, 100).hasLed;
  const step = (role: Role, event: Event = { type: "drained" }) =>
    contact.onStep(event, { role, leader: "a", term: 2 });
  step("candidate");
  assertEquals(led("candidate"), false);
  step("leader");
  assertEquals([led("leader"), led("follower")], [false, true]);
  step("follower");
  step("follower", { type: "message-received", from: "b", message: request(2) });
  assertEquals(led("follower"), true, "who does not lead was heard");
  step("follower", { type: "message-received", from: "a", message: request(2) });
  assertEquals(led("follower"), false);
});
