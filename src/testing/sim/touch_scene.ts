/**
 * What touches are done with, and how those end that are given up.
 *
 * @module
 */
import { RaftError } from "../../errors.ts";
import type { Raft } from "../../raft.ts";
import { concatenate } from "../../wire/bytes.ts";
import type { Ghost } from "./ghost.ts";
import { Refusal, type SimCommand, type SimResult } from "./machine.ts";
import { Port } from "./queue.ts";
import type { Life } from "./server.ts";
import type { TouchInput } from "./touches.ts";
import type { World } from "./world.ts";

/** What a touch is done with. */
export interface Scene {
  readonly world: World;
  readonly ghost: Ghost;
  readonly life: Life;
  readonly raft: Raft<SimCommand, SimResult>;
  readonly input: TouchInput;
}

/** Makes calls and judges their answers; true when there was one. */
export type Touching<Name extends string> = Readonly<Record<Name, (scene: Scene) => Promise<boolean>>>;

/** Somebody who gives up gets their own reason, unless the answer was there first. */
export function expect({ ghost, life, input }: Scene, signal: AbortSignal, error: unknown): void {
  const isKnown = error === undefined || error instanceof RaftError || (signal.aborted && error === signal.reason);
  ghost.must(isKnown, "K4", () => `${input.type} on "${life.id}" is answered with ${error}`);
}

/**
 * K6: nobody gives up waiting for what is so. A server looks at the end of each turn, and its core changes in turns alone:
 * what the core knows between two events was looked at. The machine may be ahead of that.
 */
export function missesNothing({ ghost, life, input }: Scene, signal: AbortSignal, error: unknown, isSo: boolean): void {
  ghost.must(!isSo || !signal.aborted || error !== signal.reason, "K6", () => {
    const { appliedIndex, commitIndex, leader, role } = life.core;
    return `a ${input.type} on "${life.id}" is in vain: it has applied ${appliedIndex}, committed ${commitIndex}, ` +
      `follows "${leader}" and is ${role}`;
  });
}

/** Aborts after so many microseconds. */
export function abortAfter(world: World, delay: number): AbortSignal {
  const controller = new AbortController();
  world.schedule(-1, Port.client, delay, "gives up", () => controller.abort(new Refusal("gave up")));
  return controller.signal;
}

/** K5: a command of which its caller is told that it was not applied must never be. */
export function noteOutcome({ ghost }: Pick<Scene, "ghost">, value: string, error: unknown): void {
  if (error instanceof RaftError && error.outcome === "not-applied") ghost.noteNotApplied(value);
}

/** A call whose caller gives up, unless the answer is there first. */
export async function givenUp(
  scene: Scene,
  ask: (options: { readonly signal: AbortSignal }) => Promise<unknown>,
): Promise<boolean> {
  const signal = abortAfter(scene.world, scene.input.after);
  const error = await reason(ask({ signal }));
  if (!scene.life.isOver) expect(scene, signal, error);
  return true;
}

/** An event of its own, after so many microseconds. */
export function anEvent(world: World, what: string, delay = 0): Promise<void> {
  return new Promise((resolve) => void world.schedule(-1, Port.client, delay, what, resolve));
}

/** All of a snapshot, each piece in an event of its own: how many microtasks a stream takes is another number on each runtime. */
export async function readInEvents(world: World, stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const reader = stream.getReader();
  const pieces: Uint8Array[] = [];
  for (;;) {
    await anEvent(world, "reads a snapshot");
    const { done, value } = await reader.read();
    if (done) return concatenate(pieces);
    pieces.push(value);
  }
}

/** Why it rejects; undefined when it does not. */
export async function reason(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return error;
  }
}
