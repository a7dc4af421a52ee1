import { assertEquals, assertThrows } from "@std/assert";
import type { Event } from "../../src/core/event.ts";
import type { CoreState } from "../../src/core/state.ts";
import { Beginning } from "../../src/driver/beginning.ts";
import type { Peers } from "../../src/driver/peers.ts";
import type { SnapshotHost } from "../../src/driver/snapshot_host.ts";
import { SnapshotReceiver } from "../../src/driver/snapshot_receiver.ts";
import { ProtocolError } from "../../src/errors.ts";
import type { RaftEvent } from "../../src/events.ts";
import type { SnapshotRequest, SnapshotResponse } from "../../src/message.ts";
import { memorySnapshotStore } from "../../src/store/memory_snapshots.ts";
import type { SnapshotStore } from "../../src/store/snapshot_store.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { encodeSnapshot, type SnapshotOrigin } from "../../src/wire/snapshot.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

const configuration = { servers: [{ id: "b", address: "b:1", suffrage: "voter" }] } as const;
const origin: SnapshotOrigin = { index: 9, term: 2, configuration, configurationIndex: 1, timeMs: 5 };

async function containerOf(about: SnapshotOrigin = origin, size = 600_000): Promise<Uint8Array> {
  const user = new Blob([new Uint8Array(size).fill(7)]).stream();
  const pieces: number[] = [];
  for await (const piece of encodeSnapshot({ origin: about, user })) for (const byte of piece) pieces.push(byte);
  return new Uint8Array(pieces);
}

function offerOf(bytes: Uint8Array, about: Partial<SnapshotRequest> = {}): SnapshotRequest {
  const { index, term: lastTerm, configurationIndex, timeMs } = origin;
  return {
    ...{ type: "snapshot-request", term: 3, id: 1, index, lastTerm, configuration, configurationIndex, timeMs },
    ...{ bytes: bytes.length, checksum: crc32c(bytes), ...about },
  };
}

async function setUp({ store, canRestore = true }: { store?: SnapshotStore | null; canRestore?: boolean } = {}) {
  const environment = new VirtualEnvironment();
  const snapshots = store === null ? undefined : store ?? memorySnapshotStore();
  await snapshots?.open();
  const answers: string[] = [];
  const events: Event[] = [];
  const told: RaftEvent[] = [];
  const send = (to: string, { id, status, offset }: SnapshotResponse) => {
    answers.push(`${to} ${id} ${status} ${offset}`);
    return true;
  };
  const host: SnapshotHost = {
    environment,
    peers: { send } as unknown as Peers,
    state: {} as CoreState,
    beginning: new Beginning(),
    durableTerm: () => 3,
    enqueue: (event) => events.push(event),
    emit: (event) => told.push(event),
    warn: () => {},
  };
  const receiver = new SnapshotReceiver(snapshots, canRestore, host);
  const chunk = (bytes: Uint8Array, offset: number, id = 1, from = "b") =>
    receiver.onChunk(from, { type: "snapshot-chunk", term: 3, id, offset, checksum: 0 }, bytes);
  /** All of it, in pieces. */
  const give = async (bytes: Uint8Array, from = 0, to = bytes.length) => {
    for (let at = from; at < to; at += 200_000) {
      chunk(bytes.subarray(at, Math.min(to, at + 200_000)), at);
      await environment.advance(10);
    }
  };
  const failures = () => told.flatMap((event) => event.type === "snapshot-failed" ? [event.reason] : []);
  return { environment, receiver, snapshots, answers, events, chunk, give, failures };
}

test("SnapshotReceiver takes what was offered, says how far it is, and hands over what is durable", async () => {
  const bytes = await containerOf();
  const { environment, receiver, snapshots, answers, events, give } = await setUp();
  receiver.offer("b", offerOf(bytes));
  await environment.advance(10);
  await give(bytes);
  assertEquals(answers, ["b 1 receiving 0", "b 1 receiving 200000", "b 1 receiving 400000", "b 1 receiving 600000"]);
  assertEquals(events, [{ type: "snapshot-received", index: 9, term: 2, configuration, configurationIndex: 1 }]);
  assertEquals((await snapshots!.list()).map(({ index }) => index), [9]);
  receiver.onDurable(8);
  assertEquals(answers.length, 4);
  receiver.onDurable(9);
  assertEquals(answers.at(-1), "b 1 done 0");
  await receiver.close();
});

test("SnapshotReceiver goes on where it was for whoever offers the same, and begins anew for another", async () => {
  const bytes = await containerOf();
  const { environment, receiver, answers, give, chunk, events } = await setUp();
  receiver.offer("b", offerOf(bytes));
  await environment.advance(10);
  await give(bytes, 0, 400_000);
  receiver.offer("c", offerOf(bytes, { id: 7, term: 4 }));
  assertEquals(answers.at(-1), "c 7 receiving 400000");
  // The old leader's are not wanted any more.
  chunk(bytes.subarray(400_000, 500_000), 400_000, 1, "b");
  chunk(bytes.subarray(400_000, 500_000), 400_000, 7, "c");
  await environment.advance(10);
  assertEquals(answers.at(-1), "c 7 receiving 500000");
  receiver.offer("c", offerOf(bytes, { id: 8, index: 10 }));
  await environment.advance(10);
  assertEquals([answers.at(-1), events], ["c 8 receiving 0", []]);
  await receiver.close();
});

test("SnapshotReceiver leaves out what is doubled, ahead or of another transfer, and refuses what goes beyond", async () => {
  const bytes = await containerOf();
  const { environment, receiver, answers, chunk } = await setUp();
  receiver.offer("b", offerOf(bytes));
  await environment.advance(10);
  chunk(bytes.subarray(0, 100), 0);
  chunk(bytes.subarray(0, 100), 0);
  chunk(bytes.subarray(200, 300), 200);
  chunk(bytes.subarray(100, 200), 100, 2);
  chunk(bytes.subarray(100, 200), 100, 1, "c");
  await environment.advance(10);
  assertEquals(answers, ["b 1 receiving 0", "b 1 receiving 100"]);
  assertThrows(() => chunk(new Uint8Array(2), bytes.length - 1), ProtocolError, "of a snapshot of");
  await receiver.close();
});

test("BS17: SnapshotReceiver publishes nothing that is not exactly what was offered", async () => {
  const bytes = await containerOf();
  const damaged = bytes.slice();
  damaged[300_000]! ^= 1;
  const cases: [Uint8Array, SnapshotRequest, string][] = [
    [damaged, offerOf(damaged), "checksum is wrong"],
    [bytes, offerOf(bytes, { checksum: 1 }), "instead of"],
    [bytes, offerOf(bytes, { index: 8 }), "not the one that was offered"],
    [bytes, offerOf(bytes, { lastTerm: 1 }), "not the one that was offered"],
    [bytes, offerOf(bytes, { configuration: { servers: [{ ...configuration.servers[0], id: "c" }] } }), "not the one"],
    [bytes.subarray(0, -1), offerOf(bytes.subarray(0, -1)), "cut off"],
    [new Uint8Array(500), offerOf(new Uint8Array(500)), "does not begin like one"],
  ];
  for (const [sent, offer, reason] of cases) {
    const { environment, receiver, snapshots, answers, events, give, failures } = await setUp();
    receiver.offer("b", offer);
    await environment.advance(10);
    await give(sent);
    await environment.advance(10);
    assertEquals([answers.at(-1), events, await snapshots!.list()], ["b 1 refused 0", [], []], reason);
    assertEquals([failures().length, failures()[0]!.includes(reason)], [1, true], failures()[0]);
    // Nor is it stuck.
    receiver.offer("b", offerOf(bytes, { id: 2 }));
    await environment.advance(10);
    assertEquals(answers.at(-1), "b 2 receiving 0");
    await receiver.close();
  }
});

test("SnapshotReceiver without a store, or for a machine that can't be restored, refuses and says why", async () => {
  const bytes = await containerOf();
  for (
    const [given, reason] of [[{ store: null }, "keeps no snapshots"], [{ canRestore: false }, "no restore()"]] as const
  ) {
    const { receiver, answers, failures } = await setUp(given);
    receiver.offer("b", offerOf(bytes));
    assertEquals([answers, failures()[0]!.includes(reason)], [["b 1 refused 0"], true]);
    await receiver.close();
  }
});

test("SnapshotReceiver.close() gives up what is under way and leaves nothing behind", async () => {
  const bytes = await containerOf();
  const { environment, receiver, snapshots, answers, give, events } = await setUp();
  receiver.offer("b", offerOf(bytes));
  await environment.advance(10);
  await give(bytes, 0, 200_000);
  await receiver.close();
  await give(bytes, 200_000);
  assertEquals([await snapshots!.list(), events, answers.at(-1)], [[], [], "b 1 receiving 200000"]);
  assertEquals(environment.timerCount, 0);
});
