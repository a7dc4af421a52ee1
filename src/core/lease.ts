/**
 * Leases: until when nobody else can lead, by the promises of voters and this leader's own clock. docs/leases.md says why.
 *
 * @module
 */
import { mark } from "../marks.ts";
import { isCounted } from "./identity.ts";
import { configurationIndex, configurationOf } from "./membership.ts";
import type { Progress } from "./progress.ts";
import { isVoter, quorumValue } from "./quorum.ts";
import type { CoreState, Leading, Step } from "./state.ts";

/** A machine may sleep for so long between two looks at its clocks and not be found out, milliseconds. */
export const CLOCK_TOLERANCE_MS = 5;

/** Followers are bound for so many of the longest election timeouts after the last read by lease. */
const WANTED_TIMEOUTS = 10;

/** Somebody reads by lease: followers are told that their promise is counted on, from the next request on. */
export function wantLease({ now }: Step, leading: Leading): void {
  leading.leaseWantedAt = now;
}

/** Whether followers are told so. */
export function isLeased(leading: Leading): boolean {
  return leading.leaseWantedAt !== -Infinity;
}

/**
 * Lets followers go when nobody has read by lease for long, so that they need not wait when this leader dies. Rounds that
 * are still asked for no longer count: later requests carry them too, and bind nobody.
 */
export function freeFollowers({ state, now }: Step, leading: Leading): void {
  if (!isLeased(leading) || now - leading.leaseWantedAt <= WANTED_TIMEOUTS * state.settings.electionMaxMs) return;
  mark("lease-unused");
  leading.leaseWantedAt = -Infinity;
  for (const progress of leading.progress.values()) progress.askedRound = undefined;
}

/** A round of requests begins: what answers it was heard after now (BR05). */
export function beginRound({ state, now }: Step, leading: Leading): void {
  leading.round++;
  for (const progress of leading.progress.values()) {
    progress.heartbeatDue = true;
    if (!isLeased(leading)) continue;
    // One round at a time is looked for; one that got lost must not keep the later ones from counting.
    const { askedRound } = progress;
    if (askedRound !== undefined && now - askedRound.at <= state.settings.leaseMs) continue;
    progress.askedRound = { round: leading.round, at: now };
  }
}

/** A peer answered a round: when that began it had not promised anything to anybody else. */
export function onRoundAnswered(progress: Progress): void {
  const { askedRound, ackedRound } = progress;
  if (askedRound === undefined || ackedRound < askedRound.round) return;
  progress.promisedAt = askedRound.at;
  progress.askedRound = undefined;
}

/** Rounds that began before now say nothing: this server's clock may have stood still since. */
export function doubtLease({ state, now }: Step): void {
  if (state.leading !== undefined) state.leading.leaseFrom = Math.max(state.leading.leaseFrom, now);
}

/** Somebody is told to campaign, which no promise keeps it from, however late it hears of it: the term has no lease any more. */
export function endLease(leading: Leading): void {
  leading.leaseFrom = Infinity;
}

/** Whether nobody else can lead at this moment, and this leader knows all that is committed. */
export function holdsLease(state: CoreState, now: number): boolean {
  const { leading, id, commitIndex } = state;
  if (leading === undefined) return false;
  // Nothing is known of earlier terms before one of this term is committed (BR02), nor who might elect another leader
  // while the servers change.
  if (commitIndex < leading.firstIndex || commitIndex < configurationIndex(state)) return false;
  const configuration = configurationOf(state);
  if (!isVoter(configuration, id)) return false;
  const promisedAt = quorumValue(configuration, (voter) => {
    if (voter === id) return now;
    const progress = leading.progress.get(voter);
    return isCounted(state, voter, progress) ? progress.promisedAt : -Infinity;
  });
  return promisedAt >= leading.leaseFrom && now < promisedAt + leaseLengthMs(state);
}

/** A promise by the fastest clock that is allowed for, on the slowest. */
function leaseLengthMs({ settings }: CoreState): number {
  const { leaseMs, clockDriftMax = 0 } = settings;
  return leaseMs * (1 - clockDriftMax) / (1 + clockDriftMax) - CLOCK_TOLERANCE_MS;
}
