import { assertEquals } from "@std/assert";
import { Watcher } from "../../src/driver/watcher.ts";
import type { RaftEvent } from "../../src/events.ts";
import { configuration, coreOf, leaderOf } from "../core/states.ts";
import { test } from "../harness.ts";

function watch(core = coreOf()): { watcher: Watcher; told: () => string[] } {
  const events: RaftEvent[] = [];
  const watcher = new Watcher({ emit: (event) => void events.push(event) }, core.state);
  return { watcher, told: () => events.splice(0).map(textOf) };
}

function textOf(event: RaftEvent): string {
  if ("server" in event && typeof event.server === "object") return `${event.type} ${event.server.id}`;
  if ("lastContactMs" in event) return `${event.type} ${event.peer} ${event.lastContactMs}`;
  return `${event.type} ${"index" in event ? event.index : ""}`;
}

test("Watcher tells who was added, changed and removed, but nobody of the first configuration", () => {
  const { watcher, told } = watch();
  const to = (index: number, text: string) =>
    watcher.onConfiguration({ type: "announce-configuration", index, configuration: configuration(text) });
  to(0, "");
  to(1, "a b c");
  assertEquals(told(), ["configuration 0", "configuration 1"]);
  to(5, "a ~b c +d");
  assertEquals(told(), ["configuration 5", "server-updated b", "server-added d"]);
  to(6, "a ~b d!");
  assertEquals(told(), ["configuration 6", "server-updated d", "server-removed c"]);
  to(6, "a ~b d!");
  assertEquals(told(), ["configuration 6"]);
});

test("Watcher does not take another disk for another server", () => {
  const { watcher, told } = watch();
  const { servers } = configuration("a b");
  const disk = { incarnation: "0123456789abcdef0123456789abcdef", starts: 2 } as never;
  const announce = (index: number, configuration: { servers: typeof servers }) =>
    watcher.onConfiguration({ type: "announce-configuration", index, configuration });
  announce(1, { servers });
  announce(2, { servers: servers.map((server) => ({ ...server, disk })) });
  assertEquals(told(), ["configuration 1", "configuration 2"]);
});

test("Watcher tells once that a configuration is committed, when it is", () => {
  const core = coreOf({ terms: [1, 1, 1] });
  const { watcher, told } = watch(core);
  watcher.look(core.state, 0);
  assertEquals(told(), []);
  core.state.configurations.push({ index: 3, configuration: configuration("a b c d") });
  for (const commitIndex of [0, 2, 3, 3]) {
    core.state.commitIndex = commitIndex;
    watcher.look(core.state, 0);
  }
  assertEquals(told(), ["configuration-committed 1", "configuration-committed 3"]);
});

test("Watcher tells a leader's silent peers after a lease, and when they are heard again, once each", () => {
  const core = leaderOf({ servers: "a b c", terms: [1, 1], progress: { b: { heardAt: 0 }, c: { heardAt: 0 } } });
  const { watcher, told } = watch(core);
  const { progress } = core.state.leading!;
  const look = (now: number) => {
    progress.get("c")!.heardAt = now;
    watcher.look(core.state, now);
    return told();
  };
  assertEquals([look(400), look(500)], [[], []]);
  assertEquals([look(526), look(600)], [["heartbeat-failed b 526"], []]);
  progress.get("b")!.heardAt = 690;
  assertEquals([look(700), look(800)], [["heartbeat-resumed b 10"], []]);
  assertEquals(look(1300), ["heartbeat-failed b 610"]);
  progress.get("b")!.heardAt = 1390;
  assertEquals(look(1400), ["heartbeat-resumed b 10"]);
  progress.get("b")!.leaving = { index: 9, until: 9000 };
  assertEquals(look(2400), []);
});

test("Watcher starts anew with each leadership", () => {
  const core = leaderOf({ servers: "a b", terms: [1, 1], progress: { b: { heardAt: 0 } } });
  const { watcher, told } = watch(core);
  watcher.look(core.state, 1000);
  const { leading } = core.state;
  core.state.leading = undefined;
  watcher.look(core.state, 1100);
  core.state.leading = leading;
  watcher.look(core.state, 1200);
  assertEquals(told(), ["heartbeat-failed b 1000", "heartbeat-failed b 1200"]);
});
