/**
 * Time and chance, abstracted away: an election timeout, a heartbeat or a silent leader is an event that may come at any
 * moment, so that a state need not say when.
 *
 * @module
 */
import type { CoreState } from "../../src/core/state.ts";
import { now, type Write } from "./model.ts";

/** All election timeouts are equal. */
export const electionMs = 1000;

/** Between heartbeats. */
export const heartbeatMs = 50;

/** How long a leader goes on without a majority. */
export const leaseMs = 500;

const random: CoreState["random"] = [1, 2, 3, 4];

/** Time stands still, chance is gone, and counters start where nothing that waits can tell the difference. */
export function normalise(core: CoreState, writes: Write[]): void {
  core.random = random;
  core.electionAt = now + electionMs;
  const heard = core.leader !== undefined && core.leader !== core.id && core.leaderHeardAt >= now;
  core.leaderHeardAt = heard ? now : -Infinity;
  core.voteAsked -= core.votePersisted;
  let epoch = core.epoch;
  for (const write of writes) if (write.type === "entries") epoch = Math.min(epoch, write.epoch);
  for (const [i, write] of writes.entries()) {
    if (write.type === "vote") writes[i] = { ...write, sequence: write.sequence - core.votePersisted };
    else if (write.type === "entries") writes[i] = { ...write, epoch: write.epoch - epoch };
  }
  core.epoch -= epoch;
  core.votePersisted = 0;
  const { leading } = core;
  if (leading === undefined) return;
  leading.heartbeatAt = now + heartbeatMs;
  leading.leaseFrom = -Infinity;
  for (const progress of leading.progress.values()) {
    progress.heardAt = now;
    progress.askedRound = undefined;
    progress.promisedAt = -Infinity;
  }
}
