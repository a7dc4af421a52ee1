/**
 * Settings that change while the server runs.
 *
 * @module
 */
import { doubtLease } from "./lease.ts";
import { randomBetween } from "./random.ts";
import type { CoreSettings, Step } from "./state.ts";

/**
 * Other settings are in force from now on, also for what is being waited for. None of them is one that safety depends on,
 * but for lease reads (docs/leases.md): servers may run by different ones while an operator changes them. What was promised
 * by the earlier ones is kept.
 */
export function onSettingsChanged(step: Step, settings: CoreSettings): void {
  const { state, now } = step;
  const isLonger = settings.leaseMs > state.settings.leaseMs;
  state.settings = settings;
  if (state.leading !== undefined) {
    // What was promised until now was promised for the time that voters waited then, which may be shorter.
    if (isLonger) doubtLease(step);
    state.leading.heartbeatAt = Math.min(state.leading.heartbeatAt, now + settings.heartbeatMs);
    return;
  }
  const waitMs = randomBetween(state.random, settings.electionMinMs, settings.electionMaxMs);
  // Counted from when the leader was heard, or else no later than before: who changes settings all the time must not
  // put off elections for ever.
  const electionAt = state.leader === undefined || state.leaderClosed !== undefined
    ? Math.min(state.electionAt, now + waitMs)
    : state.leaderHeardAt + waitMs;
  state.electionAt = Math.max(electionAt, state.promisedUntil);
  if (state.leaderClosed === undefined) return;
  // When the leader is back this is what it would be without all that.
  const unhurriedAt = Math.max(state.leaderHeardAt + waitMs, state.promisedUntil);
  state.leaderClosed = { ...state.leaderClosed, electionAt: unhurriedAt };
}
