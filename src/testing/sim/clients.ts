/**
 * What a run asks of those who call its servers, whatever they call for.
 *
 * @module
 */
import type { Codec, StateMachine } from "../../machine.ts";
import type { MachineTap } from "./machine.ts";
import type { MoveInput } from "./moves.ts";
import type { Random } from "./random.ts";
import type { ScriptedCall } from "./script.ts";
import type { Life, SimServer } from "./server.ts";

/** All clients of a run. */
export interface Clients {
  /** Calls without an answer. */
  readonly open: number;
  /** Calls without an answer on these servers. */
  openOn(servers: readonly SimServer[]): number;
  /** Whether a change of the servers has no answer yet. */
  readonly isMoving?: boolean;
  /** Calls with an answer, and those that never get one. */
  readonly ended: number;
  /** Every call that was made, in order; what a script is made of. */
  readonly calls: readonly ScriptedCall[];
  /** Whether servers keep snapshots and their machines take them. */
  readonly takesSnapshots: boolean;
  /** How far the run has come, from 0 to 1. */
  progress: number;
  /** Lets every client call, one call after the other. */
  start(): void;
  /** Makes exactly these calls, in the place of what clients would draw. */
  play(calls: readonly ScriptedCall[]): void;
  /** No new calls; sessions are closed as well, unless they are to be idle for a while. */
  stop(isIdle?: boolean): void;
  /** What waits on a life that is over gets no answer. */
  onOver(life: Life): void;
  /** Calls that a healthy server must answer, made when they are asked for: what they are, and whether they are answered. */
  probes(server: SimServer, random: Random): Iterable<readonly [what: string, answer: Promise<boolean> | undefined]>;
  /** Changes of the servers, by those that are present, that a healthy cluster must make, each drawn when the one before is made. */
  moves?(present: readonly SimServer[], members: readonly SimServer[], random: Random): Iterable<MoveInput>;
  /** One call to a server that is up; undefined when it is not. */
  call?(server: SimServer, input: MoveInput, client: string): Promise<boolean> | undefined;
  /** Writes that all come to one server at once. */
  rush?(server: SimServer, count: number, random: Random): void;
  /** O4: the machine of a life holds what clients have seen. */
  endure(life: Life): void;
  /** R4: all that was answered, at the end of all. */
  checkHistory(): void;
}

/** Clients that bring a machine of their own. */
export interface Host extends Clients {
  /** Turns the machine's commands into bytes. */
  readonly codec: Codec<never>;
  /** Called once, before anything happens. */
  serve(servers: readonly SimServer[]): void;
  /** The machine of a life, which tells of every command that it applies. */
  machine(life: Life, tap: MachineTap): StateMachine<never, unknown>;
  /** The hash of the state that is in the bytes of a machine's snapshot. */
  stateIn(snapshot: ReadableStream<Uint8Array>): Promise<number>;
}
