import { assertEquals } from "@std/assert";
import type { Effect } from "../../../src/core/effect.ts";
import type { Event } from "../../../src/core/event.ts";
import { type DiskMark, DiskObserver } from "../../../src/testing/sim/disk_marks.ts";
import { MoveObserver } from "../../../src/testing/sim/move_marks.ts";
import { beforeOf, type NodeView } from "../../../src/testing/sim/view.ts";
import { test } from "../../harness.ts";
import { configuration } from "../../core/states.ts";
import { Stage } from "./stage.ts";

/** What is seen when this life takes these steps, one after the other, and crashes. */
function seen(node: NodeView, ...steps: readonly (readonly [event: Event, effects?: readonly Effect[]])[]) {
  const observer = new DiskObserver();
  for (const [event, effects = []] of steps) {
    observer.onStep(undefined, node, { event, effects, before: beforeOf(node.core, event), now: 0 });
  }
  observer.onCrash(node);
  return Object.entries(observer.hits).filter(([, count]) => count > 0).map(([name]) => name as DiskMark);
}

const drained = { type: "drained" } as const;
const receive = { type: "receive-snapshot", from: "b", request: {} } as unknown as Effect;
const install = { type: "install-snapshot", index: 9 } as unknown as Effect;

const received = (servers: string) =>
  ({
    type: "snapshot-received",
    index: 9,
    term: 1,
    configuration: configuration(servers),
    configurationIndex: 1,
  }) as const;

test("disk marks: how far a snapshot was when its receiver crashed, and whose servers it has", () => {
  const a = () => new Stage().server("a");
  assertEquals(seen(a(), [drained]), []);
  assertEquals(seen(a(), [drained, [receive]]), ["crashed-while-receiving-snapshot"]);
  assertEquals(seen(a(), [drained, [receive]], [received("a b c"), [install]]), []);
  const installing = new Stage().server("a", { state: { installing: 9 } });
  assertEquals(seen(installing, [drained]), ["crashed-while-installing-snapshot"]);
  assertEquals(seen(a(), [received("a d e / a b c")]), ["snapshot-received-in-joint"]);
  assertEquals(seen(a(), [drained, [install]], [drained, [install]]), ["snapshot-installed-twice"]);
});

test("disk marks: what servers stop for, and that they start again when their disk has room", () => {
  const observer = new DiskObserver();
  const a = new Stage().server("a");
  observer.onStart(undefined, a);
  for (const fault of ["sync-error", "rot", "disk-full"] as const) observer.onDown(a.index, fault);
  observer.onStart(undefined, a);
  observer.onStart(undefined, a);
  const { hits } = observer;
  assertEquals([hits["stopped-for-sync-error"], hits["stopped-for-full-disk"], hits["started-after-full-disk"]], [
    1,
    1,
    1,
  ]);
  assertEquals(seen(a, [{ type: "storage-filled", isFull: true }]), []);
  assertEquals(seen(a, [{ type: "storage-filled", isFull: false }]), ["full-disk-has-room"]);
});

test("move marks: a leader that crashes leaves a joint configuration that some know, and others don't", () => {
  const joint = "a d e / a b c";
  const crash = (...others: string[]) => {
    const stage = new Stage();
    const leader = stage.server("a", { servers: joint, state: { role: "leader" } });
    const lives = ["d", "b"].map((id, i) => stage.server(id, { servers: others[i]! }));
    // Another entry is another hash.
    for (const [i, life] of lives.entries()) if (others[i] !== joint) life.log.truncateFrom(1);
    const observer = new MoveObserver();
    observer.onCrash(leader, [leader, ...lives]);
    return [observer.hits["leader-crashed-in-joint"], observer.hits["leader-crashed-in-joint-half-known"]];
  };
  assertEquals(crash(joint, "a b c"), [1, 1]);
  assertEquals(crash(joint, joint), [1, 0]);
  assertEquals(crash("a b c", "a b c"), [1, 0]);
});
