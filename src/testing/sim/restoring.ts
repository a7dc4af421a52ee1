/**
 * Restores of snapshots that users kept or made: how they are drawn, given to a server, and judged.
 *
 * @module
 */
import { NotLeaderError, RaftError, ShutdownError } from "../../errors.ts";
import type { SnapshotIdentity } from "../../restorer.ts";
import { concatenate } from "../../wire/bytes.ts";
import { crc32c } from "../../wire/crc32c.ts";
import { encodeSnapshot, type SnapshotOrigin } from "../../wire/snapshot.ts";
import { openSnapshot, type SnapshotRead } from "../../wire/snapshot_reader.ts";
import type { Ghost } from "./ghost.ts";
import { allOf, bytesOfContent, contentOf, Refusal, type SimContent } from "./machine.ts";
import type { Oracle } from "./oracle.ts";
import { Random } from "./random.ts";
import type { Life } from "./server.ts";
import { abortAfter, anEvent, readInEvents } from "./touch_scene.ts";
import type { World } from "./world.ts";

/** What is wrong with the bytes or with who gives them: nothing may come of it. */
const SPOILS = [
  /** A byte is another one. */
  "flip",
  /** They end too early. */
  "cut",
  /** They are said to be others. */
  "meta",
  /** Their stream fails. */
  "break",
] as const;

/** Which restore; `value` is one of its own. */
export interface RestoreInput {
  readonly type: "restore";
  readonly value: string;
  /** What a state is made from, and which snapshot is taken. */
  readonly from: number;
  /** Whether it is one that was taken earlier, where there is any; else one is made. */
  readonly isOlder: boolean;
  /** By how many bytes a made one is longer, so that it takes more than one entry. */
  readonly padding: number;
  /** In so many pieces, with so many microseconds before each. */
  readonly pieces: number;
  readonly gap: number;
  readonly spoil?: (typeof SPOILS)[number];
  /** Who asks gives up after so many microseconds, if ever. */
  readonly after?: number;
}

/** How it ended, as its caller knows. */
export type RestoreOutcome = "ok" | "failed" | "unknown";

/** Draws one, of which nobody gives up before `patience`. */
export function drawRestore(random: Random, value: string, patience: number): RestoreInput {
  return {
    type: "restore",
    value,
    from: random.below(2 ** 31),
    isOlder: random.chance(0.5),
    padding: random.pick([0, 0, 0, 5_000, 40_000]),
    pieces: random.pick([1, 4, 16]),
    gap: random.chance(0.5) ? 0 : random.spread(1, Math.max(1, patience / 16)),
    ...random.chance(0.2) ? { spoil: random.pick(SPOILS) } : {},
    ...random.chance(0.5) ? { after: random.spread(Math.max(1, patience / 8), patience * 8) } : {},
  };
}

/** A snapshot as somebody keeps it. */
export interface Kept {
  readonly meta: SnapshotIdentity;
  readonly bytes: Uint8Array;
  /** Hash of the state in it. */
  readonly state: number;
}

/** A snapshot of a cluster that there never was. */
export async function snapshotOf(content: SimContent, padding = 0): Promise<Kept> {
  const servers = [{ id: "x", address: "x:1", suffrage: "voter" }] as const;
  const origin: SnapshotOrigin = { index: 7, term: 3, configuration: { servers }, configurationIndex: 1, timeMs: 0 };
  // Not two are alike, nor are their parts.
  const user = bytesOfContent(content, padding > 0 ? `${content.hash} `.repeat(padding).slice(0, padding) : undefined);
  const pieces: Uint8Array[] = [];
  for await (const piece of encodeSnapshot({ origin, user: new Delivery([user]).stream })) pieces.push(piece);
  const bytes = concatenate(pieces);
  const { index, term } = origin;
  return { meta: { index, term, bytes: bytes.length, checksum: crc32c(bytes) }, bytes, state: contentOf(user).hash };
}

/** All restores of a run. */
export class Restoring {
  readonly #world: World;
  readonly #ghost: Ghost;
  readonly #oracle: Oracle;
  /** Snapshots that were taken earlier. */
  readonly #kept: Kept[] = [];

  /** Nobody keeps a snapshot yet. */
  constructor(world: World, ghost: Ghost, oracle: Oracle) {
    this.#world = world;
    this.#ghost = ghost;
    this.#oracle = oracle;
  }

  /** Makes the call and judges its answer while somebody waits for it. Never rejects. */
  async restore(life: Life, input: RestoreInput, isAwaited: () => boolean): Promise<RestoreOutcome> {
    const { meta, bytes, state } = await this.#snapshot(life, input);
    await anEvent(this.#world, "restores");
    if (!isAwaited()) return "unknown";
    const ghost = this.#ghost;
    ghost.eras.give(state, this.#world.events);
    const signal = input.after === undefined ? undefined : abortAfter(this.#world, input.after);
    const delivery = this.#deliver(bytes, input);
    const isLed = life.core.role === "leader";
    const given = input.spoil === "meta" ? { ...meta, checksum: meta.checksum ^ 1 } : meta;
    try {
      const { index } = await life.raft!.restore(given, delivery.stream, signal === undefined ? {} : { signal });
      if (!isAwaited()) return "unknown";
      ghost.must(isLed && input.spoil === undefined && life.raft!.appliedIndex >= index, "K3", () => {
        return `a restore (${input.spoil ?? "whole"}) on "${life.id}" (${
          isLed ? "leads" : "follows"
        }) is acknowledged ` +
          `at ${index}, applied is ${life.raft!.appliedIndex}`;
      });
      ghost.readFloor = Math.max(ghost.readFloor, index);
      ghost.later.push(() => ghost.eras.acknowledge(index, state));
      return "ok";
    } catch (error) {
      if (!isAwaited()) return "unknown";
      if (!isLed) this.#refused(life, error, delivery);
      return this.#failed(life, input, state, error, signal);
    }
  }

  /** K4: who does not lead says so, and leaves the bytes to whoever is asked next. */
  #refused({ id }: Life, error: unknown, { isTouched }: Delivery): void {
    const isRight = error instanceof NotLeaderError || error instanceof ShutdownError;
    this.#ghost.must(isRight && !isTouched, "K4", () => {
      return `"${id}" does not lead, answers a restore with ${error} and has ${
        isTouched ? "" : "not "
      }read of its bytes`;
    });
  }

  #failed(
    { id }: Life,
    { spoil }: RestoreInput,
    state: number,
    error: unknown,
    signal: AbortSignal | undefined,
  ): RestoreOutcome {
    const isGivenUp = signal?.aborted === true && error === signal.reason;
    const isBroken = spoil === "break" && error instanceof Refusal;
    this.#ghost.must(error instanceof RaftError || isGivenUp || isBroken, "K4", () => {
      return `a restore on "${id}" is answered with ${error}`;
    });
    const isDefinite = isBroken || spoil !== undefined ||
      (error instanceof RaftError && error.outcome === "not-applied");
    if (!isDefinite) return "unknown";
    this.#ghost.eras.refuse(state);
    return "failed";
  }

  async #snapshot(life: Life, { isOlder, from, padding }: RestoreInput): Promise<Kept> {
    // For later: who reads its bytes has been answered, and an end of the server need not wait for that.
    if (isOlder) void this.#copy(life);
    const kept = this.#kept[from % Math.max(1, this.#kept.length)];
    if (isOlder && kept !== undefined) return kept;
    return await snapshotOf(this.#made(Random.seeded(from)), padding);
  }

  /** K4, S1: copies the newest snapshot of the server that is asked, where it has one and can read it. */
  async #copy(life: Life): Promise<void> {
    try {
      const [newest] = await life.raft!.snapshots();
      if (newest === undefined || this.#kept.some(({ meta }) => meta.index === newest.meta.index)) return;
      const bytes = await readInEvents(this.#world, newest.open());
      const { hash: state } = contentOf(await allOf((await openSnapshot(readerOf(bytes))).user));
      const { index } = newest.meta;
      const expected = this.#ghost.stateAt(index);
      this.#ghost.must(life.isOver || state === expected, "S1", () => {
        return `"${life.id}" gives a snapshot up to ${index} with the state ${state}, after that entry it was ${expected}`;
      });
      this.#kept.push({ meta: newest.meta, bytes, state });
    } catch (error) {
      this.#ghost.must(life.isOver || error instanceof RaftError, "K4", () => {
        return `who copies a snapshot of "${life.id}" is answered with ${error}`;
      });
    }
  }

  /** A state of the keys that somebody has asked for: not all of them, and with fewer or more writes than there were. */
  #made(random: Random): SimContent {
    const states = new Map<string, string>();
    const hash = random.u32() | 0;
    for (const key of this.#oracle.keys) {
      if (random.chance(0.6)) states.set(key, `${random.between(1, 50)}:made${hash}`);
    }
    return { hash, states };
  }

  #deliver(bytes: Uint8Array, { spoil, from, pieces, gap }: RestoreInput): Delivery {
    const given = bytes.slice(0, spoil === "cut" ? from % bytes.length : bytes.length);
    if (spoil === "flip") given[from % given.length]! ^= 1 << from % 8;
    const length = Math.max(1, Math.ceil(given.length / pieces));
    const cut = Array.from({ length: Math.ceil(given.length / length) }, (_, i) => {
      return given.slice(i * length, (i + 1) * length);
    });
    if (spoil === "break") cut.length = from % cut.length;
    const wait = () => anEvent(this.#world, "gives a piece", gap);
    return new Delivery(cut, wait, spoil === "break" ? new Refusal("broken") : undefined);
  }
}

/** Bytes that are given piece by piece, as they are asked for. */
class Delivery {
  readonly stream: ReadableStream<Uint8Array>;
  /** Whether somebody asked for the first one. */
  isTouched = false;

  constructor(pieces: readonly Uint8Array[], wait?: () => Promise<void>, end?: Error) {
    let at = 0;
    this.stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        this.isTouched = true;
        if (wait !== undefined) await wait();
        if (at < pieces.length) controller.enqueue(pieces[at++]!);
        else if (end === undefined) controller.close();
        else controller.error(end);
      },
    }, { highWaterMark: 0 });
  }
}

function readerOf(bytes: Uint8Array): SnapshotRead {
  return (offset) => Promise.resolve(bytes.subarray(offset));
}
