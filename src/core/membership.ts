/**
 * Which configuration is in force: always the last one in the log, committed or not (Raft §6).
 *
 * @module
 */
import type { Configuration, IndexedConfiguration, LogIndex, ServerId } from "../types.ts";
import { isTrusted } from "./identity.ts";
import { isVoter, voterSets } from "./quorum.ts";
import type { CoreState, Step } from "./state.ts";

const nobody: Configuration = { servers: [] };

/** The configuration in force; without servers before the first one is known. */
export function configurationOf(state: CoreState): Configuration {
  return state.configurations.length === 0
    ? nobody
    : state.configurations[state.configurations.length - 1]!.configuration;
}

/** Index of the configuration in force, 0 when there is none. */
export function configurationIndex(state: Pick<CoreState, "configurations">): LogIndex {
  return state.configurations.length === 0 ? 0 : state.configurations[state.configurations.length - 1]!.index;
}

/** Every server but this one. */
export function peersOf(state: CoreState): ServerId[] {
  return configurationOf(state).servers.map((server) => server.id).filter((id) => id !== state.id);
}

/** Whether this server may campaign: not while a snapshot's place in its log is not durable (E11), or entries are damaged. */
export function isPromotable(state: CoreState): boolean {
  if (state.isFull || state.damaged.length > 0 || state.repairing.length > 0) return false;
  if (state.installing !== undefined || state.removedAt > configurationIndex(state)) return false;
  return isTrusted(state, state.id) && (mayLead(configurationOf(state), state.id) || isStillNeeded(state));
}

/**
 * Whether what took the right to lead from this server may not be committed: then this may be the only one that has
 * the entry, and nobody with a vote in it could be elected against a longer log (thesis §4.2.2).
 */
function isStillNeeded(state: CoreState): boolean {
  const { configurations, commitIndex, id, removedAt } = state;
  const at = configurations.findLastIndex(({ configuration }) => mayLead(configuration, id));
  if (at < 0) return false;
  const taking = configurations[at + 1]!;
  if (commitIndex >= taking.index || removedAt >= taking.index) return false;
  // A change of the voters after it was begun when it was committed; a mere record of disks may not have been.
  const voters = textOf(taking.configuration);
  return configurations.slice(at + 2).every(({ configuration }) => textOf(configuration) === voters);
}

function textOf(configuration: Configuration): string {
  return JSON.stringify(voterSets(configuration));
}

/** Whether the server may lead: it votes, and its priority is not 0. */
export function mayLead(configuration: Configuration, id: ServerId): boolean {
  const server = configuration.servers.find((server) => server.id === id);
  return isVoter(configuration, id) && server?.priority !== 0;
}

/** Takes the configurations among newly appended entries `[from, end)` into force. */
export function appendConfigurations(
  step: Step,
  configurations: readonly IndexedConfiguration[],
  from: LogIndex,
  end: LogIndex,
): void {
  const added = configurations.filter(({ index }) => index >= from && index < end);
  if (added.length === 0) return;
  step.state.configurations.push(...added);
  announceConfiguration(step);
}

/** Takes the configurations among repaired entries `[from, end)`, which may be older than the one in force. */
export function insertConfigurations(
  step: Step,
  configurations: readonly IndexedConfiguration[],
  from: LogIndex,
  end: LogIndex,
): void {
  const { state } = step;
  const added = configurations.filter(({ index }) => index >= from && index < end);
  if (added.length === 0) return;
  const others = state.configurations.filter(({ index }) => index < from || index >= end);
  const before = configurationIndex(state);
  state.configurations = [...others, ...added].sort((a, b) => a.index - b.index);
  // A log goes back beyond its snapshot, and not all that is there is known any more.
  forgetConfigurations(step, state.snapshot.index);
  if (configurationIndex(state) !== before) announceConfiguration(step);
}

/** Goes back to the configuration before a truncation. */
export function truncateConfigurations(step: Step, from: LogIndex): void {
  const kept = step.state.configurations.filter(({ index }) => index < from);
  if (kept.length === step.state.configurations.length) return;
  step.state.configurations = kept;
  announceConfiguration(step);
}

/** The configuration in force at this entry, which is none before the snapshot's. */
export function configurationAt(state: CoreState, index: LogIndex): IndexedConfiguration | undefined {
  return state.configurations.findLast((it) => it.index <= index);
}

/** Forgets the configurations before the one in force at this entry: no truncation goes back that far. */
export function forgetConfigurations(step: Step, index: LogIndex): void {
  const { state } = step;
  const base = configurationAt(state, index)?.index ?? 0;
  if (state.configurations[0]?.index !== base) {
    state.configurations = state.configurations.filter((it) => it.index >= base);
  }
}

/** A snapshot has taken the place of the log, or of its beginning: its configuration is the first one. */
export function replaceConfigurations(step: Step, configurations: readonly IndexedConfiguration[]): void {
  step.state.configurations = [...configurations];
  announceConfiguration(step);
}

/** Tells the driver which configuration is in force. */
export function announceConfiguration(step: Step): void {
  step.effects.push({
    type: "announce-configuration",
    index: configurationIndex(step.state),
    configuration: configurationOf(step.state),
  });
}
