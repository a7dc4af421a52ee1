/**
 * The core: every decision of the protocol, in one synchronous call. It knows no clock, disk, network or payload.
 *
 * @module
 */
import { mark } from "../marks.ts";
import type { Message } from "../message.ts";
import type { IndexedConfiguration, LogIndex, ServerId, TermRun, Vote } from "../types.ts";
import { acknowledgePersisted, onAppendRequest } from "./append.ts";
import { commitByQuorum } from "./commitment.ts";
import type { Effect } from "./effect.ts";
import { onElectionDeadline, onOwnVotePersisted, onTimeoutNow, onVoteRequest, onVoteResponse } from "./election.ts";
import type { Event } from "./event.ts";
import { invariant } from "./invariant.ts";
import { configurationIndex, configurationOf, isPromotable } from "./membership.ts";
import { allVoters } from "./quorum.ts";
import { seedRandom } from "./random.ts";
import { onReadRequested } from "./read.ts";
import { onChangeRequested, onRemoved } from "./reconfiguration.ts";
import {
  onAppendResponse,
  onLeaderClockJump,
  onLeaderDeadline,
  onPeerConnected,
  onPeerDisconnected,
  onProposed,
  onSendFailed,
  onSent,
  replicateAll,
} from "./replication.ts";
import { announceRole, armElection, onVotePersisted } from "./role.ts";
import type { CoreSettings, CoreState, Step } from "./state.ts";
import { openTermIndex } from "./term_index.ts";
import { onTransferRequested } from "./transfer.ts";

/** What a core starts from: what the store found, and how to run. */
export interface CoreStart {
  readonly id: ServerId;
  readonly settings: CoreSettings;
  /** Any integer; give each server another one, or their elections collide (BE27). */
  readonly seed: number;
  /** Milliseconds of the clock that all later calls use. */
  readonly now: number;
  readonly vote: Vote;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly terms: readonly TermRun[];
  readonly configurations: readonly IndexedConfiguration[];
}

/**
 * One server's share of the protocol. Feed it events with {@linkcode Core.step} and perform the effects that come back,
 * in order, before the next one. It must be stepped with `deadline-reached` when {@linkcode Core.deadline} is reached
 * and with `drained` when a turn has no more events.
 */
export class Core {
  /** All that it knows. Only {@linkcode Core.step} changes it; readers must not. */
  readonly state: CoreState;

  private constructor(state: CoreState) {
    this.state = state;
  }

  /** A core from what its disk holds, and its first effects. */
  static start(start: CoreStart): { readonly core: Core; readonly effects: Effect[] } {
    const core = new Core(initialState(start));
    const step: Step = { state: core.state, now: start.now, effects: [] };
    armElection(step);
    const voters = allVoters(configurationOf(core.state));
    // Nobody else could become leader, so there is nobody to wait for.
    if (voters.length === 1 && isPromotable(core.state)) core.state.electionAt = start.now;
    step.effects.push({
      type: "announce-configuration",
      index: configurationIndex(core.state),
      configuration: configurationOf(core.state),
    });
    announceRole(step, "started");
    return { core, effects: step.effects };
  }

  /** A core with exactly this state, which it takes over: for tests and explorers. */
  static load(state: CoreState): Core {
    return new Core(state);
  }

  /** When to step `deadline-reached`, in milliseconds of the driver's clock. */
  get deadline(): number {
    const { leading, electionAt } = this.state;
    if (leading === undefined) return electionAt;
    return Math.min(leading.heartbeatAt, leading.transfer?.deadline ?? Infinity);
  }

  /**
   * Takes one event.
   *
   * @param now Milliseconds of the driver's monotonic clock; never goes backwards.
   * @returns What to do, in this order.
   * @throws {InvariantError} When something is broken beyond repair: the server must stop.
   */
  step(event: Event, now: number): Effect[] {
    const step: Step = { state: this.state, now, effects: [] };
    take(step, event);
    return step.effects;
  }
}

function initialState(start: CoreStart): CoreState {
  const { id, settings, vote } = start;
  const log = openTermIndex(start.firstIndex, start.lastIndex, start.terms);
  const logTerm = log.runs[log.runs.length - 1]?.term ?? 0;
  invariant(logTerm <= vote.term, () => `the log's last term ${logTerm} must not be beyond the vote's ${vote.term}`);
  return {
    id,
    settings,
    random: seedRandom(start.seed),
    term: vote.term,
    votedFor: vote.votedFor,
    log,
    configurations: [...start.configurations],
    voteAsked: 0,
    votePersisted: 0,
    persistedIndex: start.lastIndex,
    epoch: 0,
    withheld: [],
    role: "follower",
    leader: undefined,
    termLeader: undefined,
    commitIndex: start.firstIndex - 1,
    appliedIndex: start.firstIndex - 1,
    verifiedIndex: 0,
    leaderHeardAt: -Infinity,
    electionAt: Infinity,
    roundAnswered: 0,
    removedAt: 0,
    ackOwed: undefined,
    campaign: undefined,
    leading: undefined,
  };
}

/** The only switch over events. */
function take(step: Step, event: Event): void {
  switch (event.type) {
    case "message-received":
      return onMessage(step, event.from, event.message);
    case "drained":
      return step.state.leading === undefined ? undefined : replicateAll(step);
    case "sent":
      return onSent(step, event);
    case "send-failed":
      return onSendFailed(step, event);
    case "entries-persisted":
      return onEntriesPersisted(step, event.end, event.epoch);
    case "proposed":
      return onProposed(step, event.count);
    case "applied":
      return onApplied(step, event.upTo);
    case "deadline-reached":
      return onDeadline(step);
    case "vote-persisted":
      onVotePersisted(step, event.sequence);
      return onOwnVotePersisted(step);
    case "read-requested":
      return onReadRequested(step, event.id);
    case "peer-connected":
      return onPeerConnected(step, event.peer);
    case "peer-disconnected":
      return onPeerDisconnected(step, event.peer);
    case "transfer-requested":
      return onTransferRequested(step, event.to);
    case "change-requested":
      return onChangeRequested(step, event);
    case "clock-jumped":
      return step.state.leading === undefined ? armElection(step) : onLeaderClockJump(step);
  }
}

/** The only switch over messages. Reads and forwards are the driver's business. */
function onMessage(step: Step, from: ServerId, message: Message): void {
  if (from === step.state.id) return; // BT06
  switch (message.type) {
    case "append-request":
      return onAppendRequest(step, from, message);
    case "append-response":
      return onAppendResponse(step, from, message);
    case "vote-request":
      return onVoteRequest(step, from, message);
    case "vote-response":
      return onVoteResponse(step, from, message);
    case "timeout-now":
      return onTimeoutNow(step, from, message.term);
    case "removed":
      return onRemoved(step, from, message.term, message.index);
    case "read-request":
    case "read-response":
    case "forward-request":
    case "forward-response":
    case "change-request":
    case "change-response":
    case "transfer-request":
    case "transfer-response":
      return;
  }
}

function onDeadline(step: Step): void {
  const { state, now } = step;
  if (state.leading !== undefined) onLeaderDeadline(step);
  else if (now >= state.electionAt) onElectionDeadline(step);
}

/** Entries became durable; what was asked before a truncation is not credited (BL05, BL06). */
function onEntriesPersisted(step: Step, end: LogIndex, epoch: number): void {
  const { state } = step;
  if (epoch !== state.epoch) return mark("write-before-truncation-ignored");
  if (end - 1 <= state.persistedIndex) return;
  invariant(end - 1 <= state.log.lastIndex, () => `entries up to ${end - 1} cannot be durable: the log ends before`);
  state.persistedIndex = end - 1;
  if (state.leading === undefined) acknowledgePersisted(step);
  else commitByQuorum(step);
}

function onApplied(step: Step, upTo: LogIndex): void {
  const { state } = step;
  invariant(
    upTo >= state.appliedIndex && upTo <= state.commitIndex,
    () => `applied index ${upTo} must lie in [${state.appliedIndex}, ${state.commitIndex}]`,
  );
  state.appliedIndex = upTo;
}
