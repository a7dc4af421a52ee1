import { assertEquals } from "@std/assert";
import type { Event } from "../../src/core/event.ts";
import { LateCompletions } from "../../src/driver/late_completions.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

/** What is said at each question, in turn; no after that. */
function setUp(...answers: boolean[]) {
  const environment = new VirtualEnvironment();
  const told: string[] = [];
  let asked = 0;
  const say = ({ type }: Event, rest = "") => void told.push(type + rest);
  const late = new LateCompletions(environment, () => answers[asked++] === true, ({ event }) => say(event, " late"));
  /** As a driver does. */
  const tell = (event: Event) => {
    if (!late.takes({ event })) say(event);
  };
  return { environment, late, told, tell, asked: () => asked };
}

const entries = (end: number) => ({ type: "entries-persisted", end, epoch: 0 }) as const;
const vote = { type: "vote-persisted", sequence: 1 } as const;
const applied = { type: "applied", upTo: 1 } as const;
const snapshot = { type: "snapshot-persisted", index: 1, term: 1 } as const;

test("LateCompletions: what is done is overtaken by what comes later, and told soon after", async () => {
  const { environment, told, tell } = setUp(true, false, false);
  for (const event of [entries(2), vote, applied]) tell(event);
  assertEquals(told, ["vote-persisted", "applied"]);
  await environment.advance(1);
  assertEquals(told.length, 2);
  await environment.advance(1);
  assertEquals(told, ["vote-persisted", "applied", "entries-persisted late"]);
  tell(entries(3));
  assertEquals(told.at(-1), "entries-persisted");
});

test("LateCompletions: none overtakes another of its kind, nor a snapshot what it holds", async () => {
  const { environment, told, tell, asked } = setUp(true, true);
  for (const event of [entries(2), entries(3), applied, snapshot, entries(4)]) tell(event);
  // What is behind another is not asked about.
  assertEquals([told, asked()], [[], 2]);
  await environment.advance(2);
  const kinds = ["entries-persisted", "entries-persisted", "applied", "snapshot-persisted", "entries-persisted"];
  assertEquals(told, kinds.map((kind) => `${kind} late`));
});

test("LateCompletions: what is applied does not overtake a snapshot either", async () => {
  const { environment, told, tell } = setUp(true);
  for (const event of [snapshot, applied]) tell(event);
  assertEquals(told, []);
  await environment.advance(2);
  assertEquals(told, ["snapshot-persisted late", "applied late"]);
});

test("LateCompletions: nothing but completions waits", () => {
  const { told, tell, asked } = setUp(true, true, true);
  const events: Event[] = [
    { type: "drained" },
    { type: "deadline-reached" },
    { type: "proposed", count: 1 },
    { type: "sent", to: "b", term: 1, sequence: 1, end: 2, bytes: 1 },
    { type: "snapshot-sending", to: "b", term: 1, index: 1 },
    { type: "peer-disconnected", peer: "b" },
  ];
  for (const event of events) tell(event);
  assertEquals([told, asked()], [events.map(({ type }) => type), 0]);
});

test("LateCompletions.close() tells nothing more, and leaves no timer", async () => {
  const { environment, late, told, tell } = setUp(true);
  tell(vote);
  assertEquals(environment.timerCount, 1);
  late.close();
  assertEquals(environment.timerCount, 0);
  await environment.advance(10);
  assertEquals(told, []);
});
