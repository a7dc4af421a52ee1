import { assertEquals } from "@std/assert";
import type { Core } from "../../src/core/core.ts";
import { test } from "../harness.ts";
import { announces, deadline, drained, type GivenLeader, leaderOf, take } from "./states.ts";

/** A leader that hears its peers at every moment, and gives up when its disk takes more than 300 ms. */
function leader(about: GivenLeader = {}): Core {
  return leaderOf({ terms: [1, 2], settings: { diskStallMs: 300 }, ...about });
}

/** The role after a heartbeat at that time, when peers were heard. */
function roleAt(core: Core, now: number): string {
  for (const progress of core.state.leading?.progress.values() ?? []) progress.heardAt = now;
  core.step(deadline, now);
  return core.state.role;
}

const propose = (core: Core, now: number) => {
  core.step({ type: "proposed", count: 1 }, now);
  core.step(drained, now);
};

test("a leader whose disk keeps its oldest write too long gives up leadership, not a millisecond earlier (P8)", () => {
  const core = leader();
  propose(core, 100);
  propose(core, 350);
  assertEquals([roleAt(core, 400), roleAt(core, 450)], ["leader", "follower"]);
  const again = leader();
  propose(again, 100);
  for (const progress of again.state.leading!.progress.values()) progress.heardAt = 401;
  const role = take(again, deadline, 401).effects.find(({ type }) => type === "announce-role");
  assertEquals(role, announces("follower", 2, undefined, "disk-stalled"));
});

test("a write that becomes durable starts the time anew for those behind it, and ends it without any", () => {
  const core = leader();
  propose(core, 100);
  propose(core, 200);
  core.step({ type: "entries-persisted", end: 4, epoch: 0 }, 350);
  assertEquals(core.state.leading!.unsyncedSince, 350);
  assertEquals([roleAt(core, 650), roleAt(core, 700)], ["leader", "follower"]);
  const idle = leader();
  propose(idle, 100);
  idle.step({ type: "entries-persisted", end: 4, epoch: 0 }, 200);
  assertEquals([idle.state.leading!.unsyncedSince, roleAt(idle, 5_000)], [Infinity, "leader"]);
});

test("a leader that nobody could replace waits for its disk, and so does one that was given no limit", () => {
  const alone = leader({ servers: "a ~n" });
  propose(alone, 100);
  assertEquals(roleAt(alone, 5_000), "leader");
  const patient = leaderOf({ terms: [1, 2] });
  propose(patient, 100);
  assertEquals(roleAt(patient, 5_000), "leader");
});
