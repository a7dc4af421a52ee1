/**
 * What it costs that a command is applied exactly once: time per command, and memory per client.
 *
 * @module
 */
import process from "node:process";
import v8 from "node:v8";
import vm from "node:vm";
import { createRaft, memoryNetwork, memoryStore, type Raft } from "@securecollc/raft";
import { type LoadShape, runLoad } from "./load.ts";
import { Counter } from "./machine.ts";
import { startMemory } from "./memory.ts";
import { ratiosOf, runPairs, type Spread, spreadOf } from "./pairs.ts";

/** Commands per second with and without, taking turns. */
export interface SessionCost {
  readonly inFlight: number;
  readonly perSecond: Readonly<Record<Way, Spread>>;
  /** Of each pair, without a session divided by the other way: how many times the time of a plain command. */
  readonly times: Readonly<Record<Exclude<Way, "plain">, Spread>>;
}

/** How a command is given. */
export type Way = "plain" | "session" | "key";

/** What each of so many clients takes, bytes. */
export interface SessionMemory {
  readonly count: number;
  /** On the server that holds the session, its client's end included; the others take less. */
  readonly session: number;
  /** On each server, for a command that is known by a key. */
  readonly key: number;
  /** The same in a snapshot. */
  readonly keyInSnapshot: number;
}

/** Loads the leader of three servers on memory parts with plain commands, those of sessions and those with keys, in turns. */
export async function measureSessionCost(
  shapes: readonly LoadShape[],
  bytes: number,
  pairs: number,
  say: (line: string) => void,
): Promise<SessionCost[]> {
  const costs: SessionCost[] = [];
  for (const shape of shapes) {
    const measure = (way: Way) => measureOnce(shape, bytes, way);
    const sides = { plain: () => measure("plain"), session: () => measure("session"), key: () => measure("key") };
    const { plain = [], session = [], key = [] } = await runPairs(sides, pairs, say);
    const times = (other: readonly number[]) => spreadOf(ratiosOf(plain, { other }, "more"));
    costs.push({
      inFlight: shape.inFlight,
      perSecond: { plain: spreadOf(plain), session: spreadOf(session), key: spreadOf(key) },
      times: { session: times(session), key: times(key) },
    });
  }
  return costs;
}

/** On a cluster of its own each time: a table of sessions that an earlier load has filled would cost the next one. */
async function measureOnce(shape: LoadShape, bytes: number, way: Way): Promise<number> {
  const servers = await startMemory(["a", "b", "c"]);
  try {
    const leader = servers.find(({ state }) => state === "leader")!;
    const command = new Uint8Array(bytes);
    const session = await leader.session();
    let serial = 0;
    const calls = {
      plain: () => leader.apply(command),
      session: () => session.apply(command),
      key: () => leader.apply(command, { key: `command ${serial++}` }),
    };
    return (await runLoad(calls[way], shape)).perSecond;
  } finally {
    await Promise.all(servers.map((server) => server.shutdown()));
  }
}

/** Memory with so many sessions of one command each, and with so many keys, on a server of its own, whose log is let go. */
export async function measureSessionMemory(count: number): Promise<SessionMemory> {
  const command = new Uint8Array(16);
  const session = await grown(count, async (raft) => await (await raft.session()).apply(command));
  const key = await grown(count, (raft, i) => raft.apply(command, { key: `command ${i}` }));
  return { count, session: session.heap, key: key.heap, keyInSnapshot: key.snapshot };
}

/** By how much a server grows with each of so many calls. */
async function grown(
  count: number,
  call: (raft: Raft<Uint8Array, number>, i: number) => Promise<unknown>,
): Promise<{ readonly heap: number; readonly snapshot: number }> {
  const machine = Object.assign(new Counter(), {
    snapshot: () => new Blob([]).stream(),
    restore: () => Promise.resolve(),
  });
  await using raft = await createRaft<Uint8Array, number>({
    id: "a",
    machine,
    store: memoryStore(),
    transport: memoryNetwork().transport("a"),
    bootstrap: { a: "a" },
    trailingLogs: 0,
    sessionsMax: 2 * count,
    sessionsBytesMax: 2 ** 40,
    snapshotThreshold: 2 ** 40,
    snapshotThresholdBytes: 2 ** 40,
  });
  // What the first calls need once is counted for none.
  for (let i = -100; i < 0; i++) await call(raft, i);
  const empty = (await raft.snapshot()).meta.bytes;
  const before = await settledHeap();
  const together = 64;
  for (let from = 0; from < count; from += together) {
    await Promise.all(Array.from({ length: Math.min(together, count - from) }, (_, i) => call(raft, from + i)));
  }
  const full = (await raft.snapshot()).meta.bytes;
  return { heap: (await settledHeap() - before) / count, snapshot: (full - empty) / count };
}

/** Memory in use once what nobody holds is gone, bytes. */
async function settledHeap(): Promise<number> {
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc") as () => void;
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
