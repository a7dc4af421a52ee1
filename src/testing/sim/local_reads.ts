/**
 * Reads of what a server holds by itself, for which it asks nobody: how old what they see may be.
 *
 * @module
 */
import { CLOCK_TOLERANCE_MS } from "../../core/lease.ts";
import { EntryAwaitedError, StaleReadError } from "../../errors.ts";
import type { ReadOptions } from "../../raft.ts";
import type { LogIndex } from "../../types.ts";
import type { Heard } from "./check/heard.ts";
import type { Ghost } from "./ghost.ts";
import type { SimState } from "./machine.ts";
import type { Oracle } from "./oracle.ts";
import type { Random } from "./random.ts";
import type { Life } from "./server.ts";
import type { ClientSessions } from "./sessions.ts";
import type { World } from "./world.ts";

/** A read that is to see an entry, or nothing too old. */
export type BoundedInput =
  /** The entry is so many beyond the last that any client has seen; a session may have seen more. */
  | { readonly type: "read-from"; readonly key: string; readonly ahead: number; readonly inSession?: boolean }
  /** Milliseconds. */
  | { readonly type: "read-within"; readonly key: string; readonly ms: number };

/** Draws one, by how often leaders are to be heard and how long they may be silent. */
export function drawBounded(random: Random, key: string, heartbeatMs: number, electionMs: number): BoundedInput {
  if (random.chance(0.5)) {
    const ms = random.pick([0, heartbeatMs / 4, heartbeatMs, electionMs, electionMs * 4]);
    return { type: "read-within", key, ms };
  }
  const ahead = random.pick([-3, 0, 0, 0, 1, 5, 1_000_000]);
  return { type: "read-from", key, ahead, ...random.chance(0.3) ? { inSession: true } : {} };
}

/** Who waits for answers. */
export interface Readers<C> {
  /** Whether somebody still waits for this one. */
  isOpen(call: C): boolean;
  end(call: C, outcome: "ok" | "failed"): void;
  failed(call: C, error: unknown): void;
}

/** All such reads of a run. */
export class LocalReads<C extends { readonly life: Life }> {
  readonly #world: World;
  readonly #ghost: Ghost;
  readonly #oracle: Oracle;
  readonly #readers: Readers<C>;
  /** What was last seen on each life without asking anybody. */
  readonly #stale = new WeakMap<Life, Map<string, number>>();

  /** Nothing was read yet. */
  constructor(world: World, ghost: Ghost, oracle: Oracle, readers: Readers<C>) {
    this.#world = world;
    this.#ghost = ghost;
    this.#oracle = oracle;
    this.#readers = readers;
  }

  /** R5: who reads in a session sees all that it was shown before. */
  async own(call: C, key: string, sessions: ClientSessions): Promise<void> {
    const { life } = call;
    const session = sessions.known(life);
    if (session === undefined) return this.#readers.end(call, "failed");
    const { seenIndex } = session;
    await this.#read(call, key, { consistency: "session", session }, (at) => {
      this.#ghost.must(at >= seenIndex, "R5", () => {
        return `a read of a session on "${life.id}" saw ${at}, and ${seenIndex} before`;
      });
    });
  }

  /** What is read without asking anybody may be old. */
  stale(call: C, key: string): Promise<void> {
    return this.#read(call, key, { consistency: "stale" });
  }

  /** R5: an entry that must be seen is seen. Else the read ends when it was waited for as long as that takes, and no sooner (K4). */
  from(call: C, { key, ahead, inSession }: Extract<BoundedInput, { type: "read-from" }>): Promise<void> {
    const { life } = call;
    const minIndex = Math.max(0, this.#ghost.readFloor + ahead);
    const asked: ReadOptions = { consistency: inSession === true ? "session" : "stale", minIndex };
    return this.#read(call, key, asked, (at) => {
      this.#ghost.must(at >= minIndex, "R5", () => `a read on "${life.id}" saw ${at}, it was to see ${minIndex}`);
    }, this.#patience(life, minIndex));
  }

  /** R6: what is seen is no older than asked for when it is seen, and has all that the leader spoke of before it was asked for. */
  within(call: C, { key, ms }: Extract<BoundedInput, { type: "read-within" }>): Promise<void> {
    const { life } = call;
    const ghost = this.#ghost;
    const first = this.#heard(life);
    const { told } = first;
    const awaited = this.#patience(life, told);
    return this.#read(call, key, { consistency: "stale", maxStalenessMs: ms }, (at) => {
      const latest = this.#heard(life);
      const time = at >= latest.told ? Math.max(first.time, latest.time) : first.time;
      // By its own clock at least, which may be slow, and by its wall clock when the machine has slept.
      const age = (this.#world.time - time) / 1000 * (1 - life.configured.clockDriftMax);
      ghost.must(!ghost.keepsTime || age <= ms + 2 * CLOCK_TOLERANCE_MS, "R6", () => {
        return `a read on "${life.id}" sees what it was told ${age} ms ago, it was to be no older than ${ms}`;
      });
      ghost.must(at >= told, "R6", () => `a read on "${life.id}" saw ${at}, and its leader had spoken of ${told}`);
    }, (error) => {
      awaited(error);
      if (!(error instanceof StaleReadError)) return;
      const { lastContactMs = Infinity } = error;
      ghost.must(lastContactMs > ms && oldest(life, first) > ms, "K4", () => {
        return `"${life.id}" was told something lately and says: ${error.message}`;
      });
    });
  }

  /** What a server goes by at this moment: its leader's word, or, leading, what it knew when it last looked at its clocks. */
  #heard(life: Life): Heard {
    const { core, clock } = life;
    const heard = this.#ghost.heard.get(life);
    const told = Math.max(core.commitIndex, heard?.told ?? 0);
    if (core.role !== "leader") return { ...heard ?? never, told };
    return { time: this.#world.time, at: clock.now(), gainedMs: this.#ghost.gainedMs.get(life) ?? 0, told };
  }

  /** K4: who is told that an entry has not come in time has waited for it, and it is not there. */
  #patience({ id, raft, machine, clock, configured }: Life, minIndex: LogIndex): (error: unknown) => void {
    const since = clock.now();
    return (error) => {
      if (!(error instanceof EntryAwaitedError)) return;
      const waitedMs = clock.now() - since;
      // Counted in fractions, by clocks that change their rate.
      const hasWaited = waitedMs >= configured.leaderWaitMs - 1;
      const isMissing = raft!.appliedIndex < error.index || machine.isBusy;
      this.#ghost.must(hasWaited && isMissing && error.index >= minIndex, "K4", () => {
        return `"${id}" has applied ${
          raft!.appliedIndex
        }, and gives up a read from ${minIndex} on after ${waitedMs} ms: ${error}`;
      });
    };
  }

  /** A read, judged by what it saw or why it saw nothing. */
  async #read(
    call: C,
    key: string,
    options: ReadOptions,
    onSeen: (at: LogIndex) => void = () => {},
    onFailed: (error: unknown) => void = () => {},
  ): Promise<void> {
    const { life } = call;
    try {
      let at = 0;
      const state = await life.raft!.read(() => {
        at = life.raft!.appliedIndex;
        if (this.#readers.isOpen(call)) onSeen(at);
        return this.look(life, key);
      }, options);
      if (!this.#readers.isOpen(call)) return;
      this.seen(call, key, state, at);
    } catch (error) {
      if (this.#readers.isOpen(call)) onFailed(error);
      this.#readers.failed(call, error);
    }
  }

  /** R5: what one server shows never goes back. */
  seen(call: C, key: string, state: SimState, at: LogIndex): void {
    const { life } = call;
    const place = this.#oracle.see(key, state, at);
    const places = this.#stale.get(life) ?? new Map<string, number>();
    this.#stale.set(life, places);
    const before = places.get(key) ?? 0;
    this.#ghost.must(place >= before, "R5", () => {
      return `"${life.id}" shows ${state} under "${key}", write ${place}, after it showed write ${before}`;
    });
    places.set(key, place);
    this.#readers.end(call, "ok");
  }

  /** A6: nobody looks at a machine that is at work. */
  look({ id, machine }: Life, key: string): SimState {
    this.#ghost.must(!machine.isBusy, "A6", () => `a read on "${id}" looks at a machine that is at work`);
    return machine.get(key);
  }
}

/** Of who never heard a leader. */
const never: Omit<Heard, "told"> = { time: -Infinity, at: -Infinity, gainedMs: 0 };

/** For how long nobody was heard, at most, as the server itself may take it: its wall clock may have been set meanwhile. */
function oldest({ clock }: Life, { at, gainedMs }: Heard): number {
  return clock.now() - at + clock.gainedMs - gainedMs + 2 * CLOCK_TOLERANCE_MS;
}
