/**
 * Calls of everything else that a server offers, in any role and at any moment.
 *
 * @module
 */
import { RaftError, ShutdownError } from "../../errors.ts";
import { type Ask, asks } from "./asks.ts";
import type { Ghost } from "./ghost.ts";
import { inspect } from "./inspect.ts";
import { Refusal } from "./machine.ts";
import { type RareAsk, rareAsks } from "./rare_asks.ts";
import type { Life } from "./server.ts";
import { abortAfter, expect, givenUp, noteOutcome, reason, type Touching } from "./touch_scene.ts";
import type { World } from "./world.ts";

/** Which call; `value` is one of its own, `after` a time in microseconds. */
export interface TouchInput {
  readonly type: Touch;
  readonly value: string;
  readonly after: number;
}

/** A machine that is to begin anew; drawn apart from all others. */
const INSTALL = "install-snapshot";

/** All other touches. */
export const TOUCHES = [
  /** A barrier. */
  "barrier",
  /** Status, metrics and everything that can be asked at once. */
  "inspect",
  /** Events for a while, with a queue that is too short. */
  "watch",
  /** A command whose caller had given up before. */
  "apply-aborted",
  /** A command whose caller gives up later. */
  "apply-aborting",
  /** A read whose caller gives up later. */
  "read-aborting",
  /** A query that throws. */
  "read-throwing",
  /** A command that is too large. */
  "apply-oversized",
  /** Settings that are what they were. */
  "reload",
  /** A beginning of what has begun. */
  "bootstrap-again",
  /** More changes of the servers at once than may wait, none of which changes anything. */
  "crowd",
] as const;

/** Any touch. */
export type Touch = (typeof TOUCHES)[number] | Ask | RareAsk | typeof INSTALL;

/** The largest command of a simulation, bytes. */
export const commandBytesMax = 4096;

/** Makes the call and judges its answer; true when there was one. */
export async function touch(world: World, ghost: Ghost, life: Life, input: TouchInput): Promise<boolean> {
  try {
    return await touches[input.type]({ world, ghost, life, raft: life.raft!, input });
  } catch (error) {
    if (life.isOver) return false;
    ghost.must(error instanceof RaftError, "K4", () => `a ${input.type} on "${life.id}" is answered with ${error}`);
    return false;
  }
}

const touches: Touching<Touch> = {
  ...asks,
  ...rareAsks,

  async barrier({ ghost, life, raft }) {
    const floor = ghost.readFloor;
    const index = await raft.barrier();
    if (life.isOver) return false;
    ghost.must(index > floor && raft.appliedIndex >= index, "R1", () => {
      return `a barrier on "${life.id}" is at ${index}, applied is ${raft.appliedIndex}; others had seen ${floor}`;
    });
    ghost.readFloor = Math.max(ghost.readFloor, index);
    return true;
  },

  inspect({ ghost, life }) {
    inspect(ghost, life);
    return Promise.resolve(true);
  },

  async watch({ world, ghost, life, raft, input }) {
    const leaving = abortAfter(world, input.after);
    let term = 0;
    for await (const event of raft.events({ bufferMax: 2, signal: leaving })) {
      if (life.isOver) return false;
      if (event.type !== "role") continue;
      const { term: now } = event;
      ghost.must(now >= term, "K6", () => `"${life.id}" tells of term ${now} after term ${term}`);
      term = now;
    }
    return true;
  },

  async "apply-aborted"({ ghost, life, raft, input: { value } }) {
    const signal = AbortSignal.abort(new Refusal("aborted"));
    const error = await reason(raft.apply({ type: "put", key: "aborted", value }, { signal }));
    ghost.must(error === signal.reason, "K4", () => `an aborted apply on "${life.id}" is answered with ${error}`);
    ghost.noteNotApplied(value);
    return true;
  },

  async "apply-aborting"(scene) {
    const { world, life, raft, input } = scene;
    const signal = abortAfter(world, input.after);
    const error = await reason(raft.apply({ type: "put", key: "aborted", value: input.value }, { signal }));
    if (life.isOver) return false;
    noteOutcome(scene, input.value, error);
    expect(scene, signal, error);
    return true;
  },

  "read-aborting": (scene) => {
    const { life, raft } = scene;
    return givenUp(scene, (options) => raft.read(() => life.machine.get("aborted"), options));
  },

  async "read-throwing"({ ghost, life, raft, input }) {
    const refusal = new Refusal(input.value);
    const error = await reason(raft.read(() => {
      throw refusal;
    }));
    ghost.must(error === refusal || error instanceof RaftError, "K4", () => {
      return `a query that throws on "${life.id}" is answered with ${error}`;
    });
    return true;
  },

  async "apply-oversized"({ ghost, life, raft, input: { value } }) {
    const large = value.padEnd(commandBytesMax + 1, ".");
    const error = await reason(raft.apply({ type: "put", key: "oversized", value: large }));
    ghost.must(error instanceof RangeError || error instanceof ShutdownError, "K4", () => {
      return `a command that is too large for "${life.id}" is answered with ${error}`;
    });
    ghost.noteNotApplied(large);
    return true;
  },

  reload({ life, raft }) {
    // What it was given in this very turn the core does not know yet.
    const { heartbeatMs } = { ...life.configured, ...life.reloaded };
    raft.reloadConfig({ heartbeatMs });
    return Promise.resolve(true);
  },

  async "bootstrap-again"({ ghost, life, raft }) {
    const known = life.core.configurations.at(-1);
    // One that has nothing would begin a cluster of its own.
    if (known === undefined) return true;
    const error = await reason(raft.bootstrap(known.configuration));
    // Not every server that belongs to the cluster has a vote in it.
    ghost.must(error instanceof RaftError || error instanceof TypeError, "K4", () => {
      return `a second beginning on "${life.id}" is answered with ${error}`;
    });
    return true;
  },

  async [INSTALL]({ ghost, life, raft }) {
    const before = raft.appliedIndex;
    const { index } = await raft.installSnapshot();
    if (life.isOver) return false;
    ghost.must(index > before && raft.appliedIndex >= index, "S2", () => {
      return `the machine of "${life.id}" had ${before}, began anew at ${index} and has ${raft.appliedIndex}`;
    });
    return true;
  },

  async crowd({ ghost, life, raft }) {
    const { configurations, role } = life.core;
    const known = configurations.at(-1);
    const voter = known?.configuration.servers.find(({ suffrage }) => suffrage === "voter");
    if (known === undefined || voter === undefined) return true;
    const { id, address, priority } = voter;
    const change = { type: "add-voter", id, address, priority } as const;
    // Elsewhere each would be a message.
    const count = role === "leader" ? crowd : 1;
    // Of any other configuration it might be a change.
    const asked = { prevIndex: known.index };
    const errors = await Promise.all(
      Array.from({ length: count }, () => reason(raft.changeMembership([change], asked))),
    );
    for (const error of errors) {
      ghost.must(error === undefined || error instanceof RaftError, "K4", () => {
        return `a change that changes nothing on "${life.id}" is answered with ${error}`;
      });
    }
    return true;
  },
};

/** More than a leader lets wait. */
const crowd = 70;

/** V8: a server that has stopped takes nothing more, says so, and stops once only. */
export async function touchStopped(ghost: Ghost, life: Life): Promise<void> {
  const raft = life.raft!;
  const value = `after the end of ${life.id} ${life.life}`;
  const errors = [
    await reason(raft.apply({ type: "put", key: "aborted", value })),
    await reason(raft.barrier()),
    await reason(raft.read(() => 0)),
    await reason(raft.read(() => 0, { consistency: "stale" })),
    await reason(raft.readIndex()),
    await reason(raft.verifyLeader()),
    await reason(raft.wait({ term: 0 })),
    await reason(raft.snapshot()),
    await reason(raft.snapshots()),
    await reason(raft.restore({ index: 1, term: 1, bytes: 0, checksum: 0 }, new ReadableStream())),
  ];
  await Promise.all([raft.shutdown(), raft.drain(), raft[Symbol.asyncDispose]()]);
  const cause = await raft.closed;
  const refuses = errors.every((error) => error instanceof ShutdownError && error.outcome === "not-applied");
  ghost.must(refuses && cause === undefined && raft.state === "shutdown", "V8", () => {
    return `"${life.id}" has stopped as ${cause}, is ${raft.state} and answers ${errors.join(" and ")}`;
  });
  ghost.noteNotApplied(value);
}
