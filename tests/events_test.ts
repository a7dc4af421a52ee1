import { assertEquals, assertThrows } from "@std/assert";
import { EventHub, type RaftEvent } from "../src/events.ts";
import { test } from "./harness.ts";
import { drain } from "./virtual_environment.ts";

const event = (term: number): RaftEvent => ({ type: "role", role: "follower", term, reason: "started" });
const done = { done: true, value: undefined } as const;

async function termsOf(stream: AsyncIterable<RaftEvent>): Promise<number[]> {
  const terms: number[] = [];
  for await (const event of stream) if (event.type === "role") terms.push(event.term);
  return terms;
}

test("EventHub gives every subscriber every event since it subscribed, in order", async () => {
  const hub = new EventHub();
  const early = hub.subscribe();
  hub.emit(event(1));
  const late = hub.subscribe();
  hub.emit(event(2));
  hub.close();
  assertEquals([await termsOf(early), await termsOf(late)], [[1, 2], [2]]);
});

test("EventHub hands an event to a reader that waits, each to one", async () => {
  const hub = new EventHub();
  const stream = hub.subscribe();
  const [first, second] = [stream.next(), stream.next()];
  hub.emit(event(1));
  hub.emit(event(2));
  assertEquals([(await first).value, (await second).value], [event(1), event(2)]);
});

test("EventHub drops a slow reader's oldest events and counts them, at one more than fit", async () => {
  const hub = new EventHub();
  const stream = hub.subscribe({ bufferMax: 3 });
  for (const term of [1, 2, 3]) hub.emit(event(term));
  assertEquals(stream.dropped, 0);
  hub.emit(event(4));
  assertEquals(stream.dropped, 1);
  hub.close();
  assertEquals(await termsOf(stream), [2, 3, 4]);
});

test("EventHub keeps 1024 events by default", () => {
  const hub = new EventHub();
  const stream = hub.subscribe();
  for (let term = 1; term <= 1024; term++) hub.emit(event(term));
  assertEquals(stream.dropped, 0);
  hub.emit(event(1025));
  assertEquals(stream.dropped, 1);
});

test("EventHub.subscribe() refuses a buffer that holds nothing", () => {
  const hub = new EventHub();
  for (const bufferMax of [0, -1, 1.5, NaN, Infinity]) assertThrows(() => hub.subscribe({ bufferMax }), RangeError);
  hub.subscribe({ bufferMax: 1 });
});

test("EventHub filters before it queues: what is filtered out takes no room", async () => {
  const hub = new EventHub();
  const stream = hub.subscribe({ bufferMax: 2, filter: (event) => event.type === "role" && event.term % 2 === 0 });
  for (let term = 1; term <= 5; term++) hub.emit(event(term));
  hub.close();
  assertEquals([await termsOf(stream), stream.dropped], [[2, 4], 0]);
});

test("EventHub ends the subscription of a filter that throws, and nobody else's", async () => {
  const hub = new EventHub();
  const bad = hub.subscribe({
    filter: () => {
      throw new Error("bad");
    },
  });
  const good = hub.subscribe();
  const waiting = bad.next();
  hub.emit(event(1));
  hub.close();
  assertEquals([await waiting, await termsOf(good)], [done, [1]]);
});

test("EventHub ends a subscription by its signal, now or already aborted, and lets go of the signal", async () => {
  const hub = new EventHub();
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
  signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
  const left = hub.subscribe({ signal });
  await left.return!();
  assertEquals(listeners, 0);
  const waiting = hub.subscribe({ signal }).next();
  controller.abort();
  assertEquals([await waiting, await hub.subscribe({ signal }).next()], [done, done]);
});

test("EventHub forgets a reader that leaves its loop", async () => {
  const hub = new EventHub();
  let asked = 0;
  const stream = hub.subscribe({ filter: () => (asked++, true) });
  hub.emit(event(1));
  hub.emit(event(2));
  for await (const _ of stream) break;
  hub.emit(event(3));
  assertEquals([asked, await stream.next()], [2, done]);
});

test("EventHub.close() ends readers that wait, those that come later, and lets the queue be read first", async () => {
  const hub = new EventHub();
  const full = hub.subscribe();
  hub.emit(event(1));
  const waiting = hub.subscribe().next();
  hub.close();
  hub.emit(event(2));
  await drain();
  assertEquals([await waiting, await termsOf(full), await hub.subscribe().next()], [done, [1], done]);
});
