/**
 * Drains, with which an operator begins a rolling restart: what must come of one.
 *
 * @module
 */
import { RaftError, ShutdownError } from "../../errors.ts";
import type { Ghost } from "./ghost.ts";
import type { Life } from "./life.ts";
import { reason } from "./touch_scene.ts";

/** That a server drains. */
export interface Draining {
  /** What its clock showed when it was told to; or when it led no more, where others are to lead first. */
  since: number;
  /** Whether others are to lead before it refuses anything, and whether it leads no more. */
  handOver: "none" | "begun" | "over";
}

/** Lets a server drain and judges how that ends; true when it has stopped, false when it goes on or is dead. */
export async function drain(ghost: Ghost, life: Life): Promise<boolean> {
  const { id, clock, core } = life;
  const raft = life.raft!;
  const { role, term, configurations } = core;
  const servers = configurations.at(-1)?.configuration.servers ?? [];
  const isMissed = role === "leader" && servers.some((other) => other.id !== id && other.suffrage === "voter");
  life.draining = { since: clock.now(), handOver: isMissed ? "begun" : "none" };
  const error = await reason(raft.drain());
  if (life.isOver) return false;
  if (error !== undefined) {
    life.draining = undefined;
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
  const isEnding = life.isOver || life.isStopping || life.draining !== undefined || raft.state === "shutdown";
  ghost.must(isEnding || !(after instanceof ShutdownError), "V8", () => {
    return `"${id}" was not drained, as ${error}, and answers a read with ${after}`;
  });
}

/** A server has taken a step: one that was to hand over, and leads no more, waits for its commands from now on at the earliest. */
export function noteHandOver({ clock, core, draining }: Life): void {
  if (draining?.handOver !== "begun" || core.role === "leader") return;
  draining.handOver = "over";
  draining.since = clock.now();
}

/** Whether a server takes no more commands: one that is to hand over first takes them until others lead, whenever it hears of that. */
export function isClosing({ draining }: Life): boolean {
  return draining?.handOver === "none";
}

/** V8: what a server is asked while it drains it refuses. */
export function refuses(ghost: Ghost, { id }: Life, wasClosing: boolean, error: unknown): void {
  ghost.must(!wasClosing || error instanceof ShutdownError, "V8", () => {
    return `"${id}" drains and answers a command that comes then with ${error ?? "a result"}`;
  });
}

/** V8: a command under way when a server is drained has its result, unless that takes longer than a leader is waited for. */
export function isWaitedFor(
  ghost: Ghost,
  { id, clock, configured, draining, isStopping }: Life,
  error: unknown,
): void {
  const isCut = error instanceof ShutdownError && error.outcome === "unknown" && error.cause === undefined;
  if (!isCut || draining === undefined || isStopping) return;
  const waitedMs = clock.now() - draining.since;
  ghost.must(waitedMs >= configured.leaderWaitMs - 1, "V8", () => {
    return `"${id}" is drained for ${waitedMs} ms and does not wait for a command under way`;
  });
}
