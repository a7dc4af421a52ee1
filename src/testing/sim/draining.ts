/**
 * Drains, with which an operator begins a rolling restart: what must come of one.
 *
 * @module
 */
import { RaftError, ShutdownError } from "../../errors.ts";
import type { Ghost } from "./ghost.ts";
import type { Life } from "./life.ts";
import { reason } from "./touch_scene.ts";

/** Lets a server drain and judges how that ends; true when it has stopped, false when it goes on or is dead. */
export async function drain(ghost: Ghost, life: Life): Promise<boolean> {
  const { id, clock, core } = life;
  const raft = life.raft!;
  const { role, term, configurations } = core;
  const servers = configurations.at(-1)?.configuration.servers ?? [];
  const isMissed = role === "leader" && servers.some((other) => other.id !== id && other.suffrage === "voter");
  life.drainingSince = clock.now();
  const error = await reason(raft.drain());
  if (life.isOver) return false;
  if (error !== undefined) {
    life.drainingSince = undefined;
    await goesOn(ghost, life, error);
    return false;
  }
  ghost.must(raft.state === "shutdown", "V8", () => `"${id}" is said to be drained and is ${raft.state}`);
  const isReplaced = [...ghost.leaders].some(([later, { leader }]) => later > term && leader !== id);
  ghost.must(!isMissed || isReplaced, "K3", () => {
    return `"${id}" led term ${term} and is said to be drained, and nobody leads a later term`;
  });
  return true;
}

/** V8: who could not be drained says why (K4) and answers as before. */
async function goesOn(ghost: Ghost, life: Life, error: unknown): Promise<void> {
  const { id } = life;
  const raft = life.raft!;
  ghost.must(error instanceof RaftError, "K4", () => `a drain on "${id}" is answered with ${error}`);
  const after = await reason(raft.read(() => 0, { consistency: "stale" }));
  const isEnding = life.isOver || life.isStopping || life.drainingSince !== undefined || raft.state === "shutdown";
  ghost.must(isEnding || !(after instanceof ShutdownError), "V8", () => {
    return `"${id}" was not drained, as ${error}, and answers a read with ${after}`;
  });
}

/** V8: a command under way when a server is drained has its result, unless that takes longer than a leader is waited for. */
export function isWaitedFor(
  ghost: Ghost,
  { id, clock, configured, drainingSince, isStopping }: Life,
  error: unknown,
): void {
  const isCut = error instanceof ShutdownError && error.outcome === "unknown" && error.cause === undefined;
  if (!isCut || drainingSince === undefined || isStopping) return;
  const waitedMs = clock.now() - drainingSince;
  ghost.must(waitedMs >= configured.leaderWaitMs - 1, "V8", () => {
    return `"${id}" is drained for ${waitedMs} ms and does not wait for a command under way`;
  });
}
