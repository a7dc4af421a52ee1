import { assertEquals, assertThrows } from "@std/assert";
import { Core } from "../../src/core/core.ts";
import { isEmpty } from "../../src/core/bootstrap.ts";
import { InvariantError } from "../../src/errors.ts";
import { test } from "../harness.ts";
import { configuration, settings, take } from "./states.ts";

const event = { type: "bootstrap-requested", configuration: configuration("a b c") } as const;

/** A server without entries. */
function emptyOf(term: number): Core {
  return Core.start({
    ...{ id: "a", settings, seed: 1, now: 0, vote: { term, votedFor: undefined } },
    ...{ firstIndex: 1, lastIndex: 0, terms: [], configurations: [], damaged: [] },
  }).core;
}

test("bootstrap-requested: an empty server takes entry 1 in term 1, and waits for an election timeout", () => {
  const core = emptyOf(0);
  assertEquals(isEmpty(core.state), true);
  const { effects } = take(core, event, 300);
  assertEquals(effects, [
    { type: "persist-vote", sequence: 1, term: 1, votedFor: undefined },
    { type: "announce-configuration", index: 1, configuration: configuration("a b c") },
    { type: "append", source: "message", from: 1, end: 2, term: 1, epoch: 0 },
  ]);
  const { term, log, persistedIndex, commitIndex, role, leader } = core.state;
  assertEquals([term, log.lastIndex, persistedIndex, commitIndex, role, leader], [1, 1, 0, 0, "follower", undefined]);
  assertEquals([core.deadline, isEmpty(core.state)], [1300, false]);
});

test("bootstrap-requested: a server with a term or an entry would rather stop", () => {
  assertThrows(() => emptyOf(1).step(event, 300), InvariantError);
  const begun = emptyOf(0);
  take(begun, event, 300);
  assertThrows(() => begun.step({ ...event, configuration: configuration("a") }, 400), InvariantError);
});
