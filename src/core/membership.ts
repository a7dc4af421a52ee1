/**
 * Which configuration is in force: always the last one in the log, committed or not (Raft §6).
 *
 * @module
 */
import type { Configuration, IndexedConfiguration, LogIndex, ServerId } from "../types.ts";
import { isVoter } from "./quorum.ts";
import type { CoreState, Step } from "./state.ts";

const nobody: Configuration = { servers: [] };

/** The configuration in force; without servers before the first one is known. */
export function configurationOf(state: CoreState): Configuration {
  return state.configurations.length === 0
    ? nobody
    : state.configurations[state.configurations.length - 1]!.configuration;
}

/** Index of the configuration in force, 0 when there is none. */
export function configurationIndex(state: CoreState): LogIndex {
  return state.configurations.length === 0 ? 0 : state.configurations[state.configurations.length - 1]!.index;
}

/** Every server but this one. */
export function peersOf(state: CoreState): ServerId[] {
  return configurationOf(state).servers.map((server) => server.id).filter((id) => id !== state.id);
}

/** Whether this server may campaign. */
export function isPromotable(state: CoreState): boolean {
  return state.removedAt <= configurationIndex(state) && mayLead(configurationOf(state), state.id);
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

/** Goes back to the configuration before a truncation. */
export function truncateConfigurations(step: Step, from: LogIndex): void {
  const kept = step.state.configurations.filter(({ index }) => index < from);
  if (kept.length === step.state.configurations.length) return;
  step.state.configurations = kept;
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
