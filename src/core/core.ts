/**
 * The core: every decision of the protocol, in one synchronous call. It knows no clock, disk, network or payload.
 *
 * @module
 */
import { onBootstrapRequested } from "./bootstrap.ts";
import { mark } from "../marks.ts";
import type { CoreMessage } from "../message.ts";
import type { Buggify } from "../points.ts";
import type { Configuration, Disk, IndexedConfiguration, LogIndex, ServerId, Term, TermRun, Vote } from "../types.ts";
import { acknowledgePersisted, onAppendRequest } from "./append.ts";
import { commitByQuorum } from "./commitment.ts";
import { announceDamage, isSound, onDamageFound, onEntriesRepaired, onStorageFilled } from "./damage.ts";
import type { DamagedRange } from "../damage.ts";
import type { Effect } from "./effect.ts";
import {
  onElectionDeadline,
  onLeaderBack,
  onLeaderClosed,
  onOwnVotePersisted,
  onTimeoutNow,
  onVoteRequest,
  onVoteResponse,
} from "./election.ts";
import type { Event } from "./event.ts";
import { invariant } from "./invariant.ts";
import { doubtLease } from "./lease.ts";
import { configurationIndex, configurationOf, isPromotable } from "./membership.ts";
import { allVoters } from "./quorum.ts";
import { seedRandom } from "./random.ts";
import { onReadRequested } from "./read.ts";
import { onChangeRequested, onRemoved } from "./reconfiguration.ts";
import {
  onAppendResponse,
  onLeaderClockJump,
  onLeaderDeadline,
  onOwnEntriesPersisted,
  onPeerConnected,
  onPeerDisconnected,
  onProposed,
  onSendFailed,
  onSent,
  replicateAll,
} from "./replication.ts";
import { announceRole, armElection, onVotePersisted } from "./role.ts";
import { onSettingsChanged } from "./settings.ts";
import type { CoreSettings, CoreState, Step } from "./state.ts";
import { onDisk } from "./identity.ts";
import { onSnapshotReceived, onSnapshotRequest, onSnapshotWanted } from "./install.ts";
import { compact, onSnapshotPersisted } from "./compaction.ts";
import {
  onSnapshotAsked,
  onSnapshotFailed,
  onSnapshotResponse,
  onSnapshotSending,
  onSnapshotSent,
} from "./snapshot_transfer.ts";
import { lastTerm, openTermIndex, termAt } from "./term_index.ts";
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
  /** Entries that can't be read. */
  readonly damaged: readonly DamagedRange[];
  /** Term of the entry `firstIndex - 1`; by default 0, which is right for a log that begins at 1. */
  readonly prevTerm?: Term;
  /** This server's own disk. */
  readonly disk?: Disk | undefined;
  /** The newest snapshot, which the machine was restored from; it ends within the log or right before it. */
  readonly snapshot?: SnapshotStart | undefined;
  /** Undefined but in simulations. */
  readonly buggify?: Buggify | undefined;
}

/** What a core knows of a snapshot that it starts from. */
export interface SnapshotStart {
  /** The last entry that it includes, and its term. */
  readonly index: LogIndex;
  readonly term: Term;
  /** The configuration in force there, and the entry that holds it. */
  readonly configuration: Configuration;
  readonly configurationIndex: LogIndex;
}

/**
 * One server's share of the protocol. Feed it events with {@linkcode Core.step} and perform the effects that come back,
 * in order, before the next one. It must be stepped with `deadline-reached` when {@linkcode Core.deadline} is reached
 * and with `drained` when a turn has no more events.
 */
export class Core {
  /** All that it knows. Only {@linkcode Core.step} changes it; readers must not. */
  readonly state: CoreState;
  readonly #buggify: Buggify | undefined;

  private constructor(state: CoreState, buggify: Buggify | undefined) {
    this.state = state;
    this.#buggify = buggify;
  }

  /** A core from what its disk holds, and its first effects. */
  static start(start: CoreStart): { readonly core: Core; readonly effects: Effect[] } {
    const core = new Core(initialState(start), start.buggify);
    const step: Step = { state: core.state, now: start.now, effects: [] };
    armElection(step);
    const voters = allVoters(configurationOf(core.state));
    // Nobody else could become leader, so there is nobody to wait for.
    if (voters.length === 1 && voters[0] === core.state.id && isPromotable(core.state)) {
      core.state.electionAt = start.now;
    }
    step.effects.push({
      type: "announce-configuration",
      index: configurationIndex(core.state),
      configuration: configurationOf(core.state),
    });
    announceRole(step, "started");
    if (!isSound(core.state)) {
      mark("started-with-damage");
      announceDamage(step);
    }
    return { core, effects: step.effects };
  }

  /** A core with exactly this state, which it takes over: for tests and explorers. */
  static load(state: CoreState, buggify?: Buggify): Core {
    return new Core(state, buggify);
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
    const step: Step = { state: this.state, now, effects: [], buggify: this.#buggify };
    take(step, event);
    return step.effects;
  }
}

function initialState(start: CoreStart): CoreState {
  const { id, settings, vote, snapshot } = start;
  const log = openTermIndex(start.firstIndex, start.lastIndex, start.terms, start.prevTerm);
  const logTerm = lastTerm(log);
  invariant(logTerm <= vote.term, () => `the log's last term ${logTerm} must not be beyond the vote's ${vote.term}`);
  invariant(
    snapshot === undefined || termAt(log, snapshot.index) === snapshot.term,
    () => `the snapshot must end in the log: it ends at ${snapshot?.index} of term ${snapshot?.term}`,
  );
  const commitIndex = snapshot?.index ?? start.firstIndex - 1;
  return {
    id,
    settings,
    random: seedRandom(start.seed),
    term: vote.term,
    votedFor: vote.votedFor,
    log,
    configurations: configurationsFrom(start),
    voteAsked: 0,
    votePersisted: 0,
    persistedIndex: start.lastIndex,
    epoch: 0,
    isFull: false,
    damaged: start.damaged.map(({ from, end, isTermKnown }) => ({ from, end, isTermKnown })),
    repairing: [],
    repairsAsked: 0,
    withheld: [],
    snapshot: { index: snapshot?.index ?? 0, term: snapshot?.term ?? 0 },
    compactionTarget: 0,
    wantedBeyond: undefined,
    installing: undefined,
    role: "follower",
    leader: undefined,
    termLeader: undefined,
    commitIndex,
    appliedIndex: commitIndex,
    verifiedIndex: 0,
    leaderHeardAt: -Infinity,
    // Before it was started anew it may have promised not to vote for others; a disk's first start has no before.
    promisedUntil: (start.disk?.starts ?? 1) > 1 ? start.now + settings.electionMinMs : -Infinity,
    leaderClosed: undefined,
    electionAt: Infinity,
    roundAnswered: 0,
    disk: start.disk,
    peerDisks: new Map(),
    removedAt: 0,
    ackOwed: undefined,
    campaign: undefined,
    leading: undefined,
  };
}

/** The snapshot's configuration, then those of the entries after it. */
function configurationsFrom({ configurations, snapshot }: CoreStart): IndexedConfiguration[] {
  if (snapshot === undefined) return [...configurations];
  const { configurationIndex: index, configuration } = snapshot;
  return [{ index, configuration }, ...configurations.filter((it) => it.index > snapshot.index)];
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
    case "storage-filled":
      return onStorageFilled(step, event.isFull);
    case "damage-found":
      return onDamageFound(step, event);
    case "entries-repaired":
      return onEntriesRepaired(step, event);
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
      return onReadRequested(step, event.id, event.isLease === true);
    case "peer-connected":
      onLeaderBack(step, event.peer, event.disk);
      onDisk(step, event.peer, event.disk);
      return onPeerConnected(step, event.peer);
    case "peer-disconnected":
      if (event.isClosedByPeer) onLeaderClosed(step, event.peer);
      return onPeerDisconnected(step, event.peer);
    case "snapshot-persisted":
      return onSnapshotPersisted(step, event);
    case "snapshot-received":
      return onSnapshotReceived(step, event);
    case "snapshot-wanted":
      return onSnapshotWanted(step, event.beyond);
    case "snapshot-asked":
      return onSnapshotAsked(step, event);
    case "snapshot-sending":
      return onSnapshotSending(step, event);
    case "snapshot-sent":
      return onSnapshotSent(step, event);
    case "snapshot-failed":
      return onSnapshotFailed(step, event);
    case "transfer-requested":
      return onTransferRequested(step, event.to);
    case "change-requested":
      return onChangeRequested(step, event);
    case "bootstrap-requested":
      return onBootstrapRequested(step, event.configuration);
    case "settings-changed":
      return onSettingsChanged(step, event.settings);
    case "clock-jumped":
      return step.state.leading === undefined ? armElection(step) : onLeaderClockJump(step);
    case "clock-doubted":
      return doubtLease(step);
  }
}

/** The only switch over messages. */
function onMessage(step: Step, from: ServerId, message: CoreMessage): void {
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
    case "snapshot-request":
      return onSnapshotRequest(step, from, message);
    case "snapshot-response":
      return onSnapshotResponse(step, message);
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
  if (end - 1 <= state.persistedIndex) return; // BL07
  invariant(end - 1 <= state.log.lastIndex, () => `entries up to ${end - 1} cannot be durable: the log ends before`);
  state.persistedIndex = end - 1;
  if (state.installing !== undefined && state.persistedIndex >= state.installing) state.installing = undefined;
  onOwnEntriesPersisted(step);
  if (state.leading === undefined) acknowledgePersisted(step);
  else commitByQuorum(step);
  compact(step);
}

function onApplied(step: Step, upTo: LogIndex): void {
  const { state } = step;
  invariant(
    upTo >= state.appliedIndex && upTo <= state.commitIndex,
    () => `applied index ${upTo} must lie in [${state.appliedIndex}, ${state.commitIndex}]`,
  );
  state.appliedIndex = upTo;
  compact(step);
}
