import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Event } from "../../src/core/event.ts";
import { type Replicate, Sender } from "../../src/driver/sender.ts";
import { EntryNotFoundError, ProtocolError } from "../../src/errors.ts";
import { LogCache } from "../../src/store/log_cache.ts";
import { encodeFrameHeader, FrameDecoder, FrameKind } from "../../src/wire/frame.ts";
import { decodeMessage } from "../../src/wire/message_codec.ts";
import { test } from "../harness.ts";
import { drain } from "../virtual_environment.ts";
import { entries, ManualStore } from "./stores.ts";

type Report = Extract<Event, { type: "sent" | "send-failed" }>;

/** A log of five entries of which the cache holds those from `cachedFrom` on. */
async function setUp(cachedFrom = 1) {
  const store = new ManualStore();
  await store.open("a");
  const all = entries(1, 3, 1, 2, 3, 4, 5);
  store.inner.write({ records: [all] });
  const cache = new LogCache(1e6, cachedFrom);
  if (cachedFrom <= 5) cache.append(all.slice(cachedFrom, 6));
  const host = { firstIndex: 1, leadingTerm: 3, taken: true, protocol: 2, connected: true };
  const sent: { to: string; frame: Uint8Array; checkedBytes: number }[] = [];
  const reports: Report[] = [];
  const failures: unknown[] = [];
  const sender = new Sender(cache, store, {
    holds: (index) => index >= host.firstIndex,
    isLeading: (term) => term === host.leadingTerm,
    isConnected: () => host.connected,
    knowsLeases: () => host.protocol >= 2,
    transmit: (to, parts, checkedBytes) => {
      if (host.taken) sent.push({ to, frame: new Uint8Array(parts.flatMap((part) => [...part])), checkedBytes });
      return host.taken;
    },
    report: (event) => reports.push(event),
    onDamage: () => {},
    onFailure: (error) => failures.push(error),
  });
  return { store, sender, sent, reports, failures, host, all };
}

const ask: Replicate = {
  type: "replicate",
  to: "b",
  term: 3,
  sequence: 9,
  prevTerm: 0,
  from: 1,
  end: 6,
  entriesMax: 100,
  bytesMax: 1e6,
  commitIndex: 2,
  round: 4,
  isLeased: false,
};

test("Sender.replicate() sends entries from memory at once, as the leader encoded them", async () => {
  const { sender, sent, reports, all, store } = await setUp();
  sender.replicate(ask);
  const { message, records } = decodeMessage(sent[0]!.frame);
  assertEquals(message, {
    type: "append-request",
    term: 3,
    sequence: 9,
    prevIndex: 0,
    prevTerm: 0,
    end: 6,
    runs: [{ term: 3, from: 1 }],
    configurations: [],
    commitIndex: 2,
    round: 4,
    isLeased: false,
  });
  assertEquals(records!.bytes, all.bytes);
  assertEquals(reports, [{ type: "sent", to: "b", term: 3, sequence: 9, end: 6, bytes: all.byteLength }]);
  assertEquals(store.reads.length, 0);
});

test("Sender.replicate() says that no promise is counted on to those alone that understand it, and that one is to all", async () => {
  const { sender, sent, host } = await setUp();
  for (const protocol of [1, 2]) {
    host.protocol = protocol;
    for (const isLeased of [true, false]) sender.replicate({ ...ask, isLeased });
  }
  const said = sent.map(({ frame }) => {
    const { message } = decodeMessage(frame);
    return message.type === "append-request" && message.isLeased;
  });
  assertEquals(said, [true, true, true, false]);
});

test("Sender.replicate() without entries sends a heartbeat and reads nothing, wherever the peer is", async () => {
  const { sender, sent, reports, store } = await setUp(6);
  sender.replicate({ ...ask, from: 2, end: 2, prevTerm: 3 });
  assertEquals(decodeMessage(sent[0]!.frame).records!.count, 0);
  assertEquals(reports, [{ type: "sent", to: "b", term: 3, sequence: 9, end: 2, bytes: 0 }]);
  assertEquals(store.reads.length, 0);
});

test("Sender.replicate() leaves to the frame's checksum what the records' own don't cover, and nothing uncovered", async () => {
  const { sender, sent, all } = await setUp();
  sender.replicate(ask);
  sender.replicate({ ...ask, end: 1 });
  const [append, heartbeat] = sent;
  assertEquals(append!.checkedBytes, append!.frame.length - all.byteLength);
  assertEquals(heartbeat!.checkedBytes, heartbeat!.frame.length);
  for (const { frame, checkedBytes } of sent) {
    const header = encodeFrameHeader(FrameKind.data, 0, 0, [frame], checkedBytes);
    for (let at = -1; at < header.length + frame.length; at++) {
      const bytes = new Uint8Array([...header, ...frame]);
      if (at >= 0) bytes[at]! ^= 0x10;
      let taken = 0;
      const onFrame = ({ body }: { body: Uint8Array }) => void (decodeMessage(body), taken++);
      const receive = () => new FrameDecoder({ frameBytesMax: 1e6, onFrame }).push(bytes);
      if (at >= 0) assertThrows(receive, ProtocolError);
      else receive();
      assertEquals(taken, at < 0 ? 1 : 0, `byte ${at}`);
    }
  }
});

test("Sender.replicate() keeps to the limits of entries and bytes, one entry at least", async () => {
  const { sender, reports, all } = await setUp();
  const one = all.slice(1, 2).byteLength;
  const limits = [[2, 1e6, 3], [100, 3 * one, 4], [100, 3 * one - 1, 3], [1, 1, 2]] as const;
  for (const [entriesMax, bytesMax, end] of limits) {
    sender.replicate({ ...ask, entriesMax, bytesMax });
    assertEquals(reports.pop(), { type: "sent", to: "b", term: 3, sequence: 9, end, bytes: (end - 1) * one });
  }
});

test("Sender.replicate() reads from disk what memory does not hold any more", async () => {
  const { sender, sent, reports, store } = await setUp(4);
  sender.replicate({ ...ask, entriesMax: 2 });
  assertEquals(sent.length, 0);
  await drain();
  assertEquals(store.reads, [[1, 3, 1e6]]);
  assertEquals(decodeMessage(sent[0]!.frame).records!.end, 3);
  assertEquals(reports.map(({ type }) => type), ["sent"]);
});

test("Sender.replicate() sends nothing when leadership was lost while the disk was read (BA01, L8)", async () => {
  const { sender, sent, reports, store, host } = await setUp(6);
  store.slowReads = true;
  sender.replicate(ask);
  host.leadingTerm = 4;
  store.reading[0]!.resolve();
  await drain();
  assertEquals(sent, []);
  assertEquals(reports, []);
});

test("Sender.replicate() tells of a frame that was not taken", async () => {
  const { sender, reports, host } = await setUp();
  host.taken = false;
  sender.replicate(ask);
  assertEquals(reports, [{ type: "send-failed", to: "b", term: 3, sequence: 9 }]);
});

test("Sender.replicate() tells of a frame that was not taken after the disk was read", async () => {
  const { sender, reports, host } = await setUp(6);
  host.taken = false;
  sender.replicate(ask);
  await drain();
  assertEquals(reports, [{ type: "send-failed", to: "b", term: 3, sequence: 9 }]);
});

test("Sender.replicate() reads nothing from disk for a peer that is not there, and goes on when it is", async () => {
  const { sender, sent, reports, host, store } = await setUp(6);
  host.connected = false;
  sender.replicate(ask);
  assertEquals([reports, store.reads.length], [[{ type: "send-failed", to: "b", term: 3, sequence: 9 }], 0]);
  host.connected = true;
  sender.replicate(ask);
  await drain();
  assertEquals([sent.length, store.reads.length], [1, 1]);
});

test("Sender.replicate() reports a disk that can't be read, and sends nothing that looks like a success (BL12)", async () => {
  const { sender, sent, failures, store } = await setUp(6);
  store.readError = new Error("EIO");
  sender.replicate(ask);
  await drain();
  assertEquals(failures, [store.readError]);
  assertEquals(sent, []);
});

test("Sender.replicate() sends nothing when the store gives nothing, or other entries than asked for (BL12)", async () => {
  for (const given of [[], [entries(2, 3, 7)]]) {
    const { sender, sent, reports, failures, store } = await setUp(6);
    store.read = () => given;
    sender.replicate(ask);
    await drain();
    assertEquals([sent.length, reports.length, failures.length], [0, 0, 1]);
    assertStringIncludes((failures[0] as Error).message, "the store must give entry 1");
  }
});

test("Sender.replicate() sends heartbeats while a slow disk is read", async () => {
  const { sender, sent, store } = await setUp(6);
  store.slowReads = true;
  sender.replicate(ask);
  sender.replicate({ ...ask, sequence: 10, from: 1, end: 1 });
  assertEquals(sent.length, 1);
  store.reading[0]!.resolve();
  await drain();
  assertEquals(sent.length, 2);
});

test("Sender.replicate() of entries that are compacted while they are read is a failure of this peer's, not the server's (BL20)", async () => {
  const { store, sender, host, reports, failures } = await setUp(6);
  store.slowReads = true;
  sender.replicate(ask);
  host.firstIndex = 2;
  store.reading[0]!.reject(new Error("gone"));
  await drain();
  assertEquals([reports, failures], [[{ type: "send-failed", to: "b", term: 3, sequence: 9 }], []]);
  // What the log still has must be readable.
  const error = new Error("EIO");
  sender.replicate({ ...ask, from: 2, prevTerm: 3 });
  store.reading[1]!.reject(error);
  await drain();
  assertEquals(failures, [error]);
});

test("Sender.replicate() of entries that the next leader removes while they are read stops nothing (BA01)", async () => {
  const { store, sender, host, sent, failures } = await setUp(6);
  store.slowReads = true;
  for (const leadingTerm of [4, 3]) {
    sender.replicate(ask);
    host.leadingTerm = leadingTerm;
    store.reading.pop()!.reject(new EntryNotFoundError(1, 1, 0));
    await drain();
    // Of a leader's own log nothing goes but into a snapshot.
    assertEquals([sent.length, failures.length], [0, leadingTerm === 3 ? 1 : 0]);
    host.leadingTerm = 3;
  }
});
