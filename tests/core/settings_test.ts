import { assertEquals } from "@std/assert";
import type { Event } from "../../src/core/event.ts";
import { test } from "../harness.ts";
import { append, coreOf, leaderOf, receive, settings } from "./states.ts";

const changed = (over: Partial<typeof settings>): Event => ({
  type: "settings-changed",
  settings: { ...settings, ...over },
});

/** No randomness here either. */
const election = (ms: number) => changed({ electionMinMs: ms, electionMaxMs: ms });

test("settings: a follower counts its next election from when its leader was heard", () => {
  const core = coreOf({ state: { leader: "b", leaderHeardAt: 700, electionAt: 1700 } });
  assertEquals([core.step(election(400), 800), core.deadline], [[], 1100]);
  core.step(election(3000), 900);
  assertEquals(core.deadline, 3700);
  assertEquals(core.state.settings.electionMaxMs, 3000);
});

test("settings: a timeout that is over at once is over: the election begins with the next turn", () => {
  const core = coreOf({ state: { leader: "b", leaderHeardAt: 0, electionAt: 1000 } });
  core.step(election(100), 500);
  assertEquals(core.deadline, 100);
  core.step({ type: "deadline-reached" }, 500);
  assertEquals(core.state.role, "pre-candidate");
});

test("settings: without a leader, a change makes an election sooner and never later", () => {
  const core = coreOf({ state: { electionAt: 1000 } });
  for (let now = 0; now < 900; now += 100) core.step(election(5000), now);
  assertEquals(core.deadline, 1000);
  core.step(election(50), 900);
  assertEquals(core.deadline, 950);
});

test("settings: a leader's next heartbeat comes sooner, and later ones as asked", () => {
  const core = leaderOf({ servers: "a b", terms: [1, 1] });
  core.state.leading!.heartbeatAt = 100;
  core.step(changed({ heartbeatMs: 400 }), 60);
  assertEquals(core.deadline, 100);
  core.step(changed({ heartbeatMs: 10 }), 70);
  assertEquals(core.deadline, 80);
  core.step({ type: "deadline-reached" }, 80);
  assertEquals(core.deadline, 90);
});

test("settings: a leader that has heard nobody for the new lease steps down", () => {
  const core = leaderOf({ servers: "a b", terms: [1, 1], progress: { b: { heardAt: 0 } } });
  core.state.leading!.heartbeatAt = 100;
  core.step({ type: "deadline-reached" }, 100);
  assertEquals(core.state.role, "leader");
  core.step(changed({ leaseMs: 60, heartbeatMs: 20 }), 110);
  core.step({ type: "deadline-reached" }, 130);
  assertEquals(core.state.role, "follower");
});

test("settings: what was promised by the earlier ones is kept: a shorter timeout begins no election before that", () => {
  for (const leader of ["b", undefined]) {
    const core = coreOf({ state: { leader, leaderHeardAt: 0, promisedUntil: 1000, electionAt: 1500 } });
    core.step(election(100), 500);
    assertEquals(core.deadline, 1000);
    // Nor does it when a leader is heard once more, that counts on nothing.
    for (const [now, deadline] of [[600, 1000], [900, 1000], [901, 1001]] as const) {
      receive(core, "b", append({ term: core.state.term }), now);
      assertEquals(core.deadline, deadline);
    }
  }
});

test("settings: who waits for a leader whose end has closed the connection waits by the new ones when it is back", () => {
  for (const promisedUntil of [-Infinity, 5000]) {
    const leaderClosed = { electionAt: 1500, waitMs: 100 };
    const core = coreOf({
      state: { leader: "b", leaderHeardAt: 700, electionAt: 900, promisedUntil, leaderClosed },
    });
    core.step(election(3000), 800);
    assertEquals(core.deadline, Math.max(900, promisedUntil), "an election is due as soon as it was");
    core.step({ type: "peer-connected", peer: "b", disk: undefined }, 850);
    assertEquals(core.deadline, Math.max(3700, promisedUntil));
  }
});
