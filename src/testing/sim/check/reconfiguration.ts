/**
 * Changes of the servers: M2, M3, M5, M6, M7, and V4 of those that were removed.
 *
 * @module
 */
import type { Configuration, IndexedConfiguration, LogIndex, ServerId } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { NodeView, StepView } from "../view.ts";
import { type Checker, configurationIn, isQuorum, setsOf } from "./checker.ts";

/** Steps of a leader without a vote beyond its time: after a pause one may be late, but not many. */
const lateSteps = 20;

/** Raft §6, thesis §4. */
export const reconfiguration: Checker = {
  onStart: succession,
  onEvent: succession,

  onStep(ghost, node, step) {
    const { core } = node;
    for (const effect of step.effects) {
      if (effect.type === "append" && effect.source === "configuration") appended(ghost, node, effect.from);
      if (effect.type === "announce-removed") removed(ghost, node, effect.index);
    }
    if (core.role === "leader") voteless(ghost, node, step.now);
    else ghost.voteless.delete(node);
    quiet(ghost, node, step);
  },
};

/** A leader changes the servers. */
function appended(ghost: Ghost, { id, core, log }: NodeView, index: number): void {
  const at = core.configurations.findIndex((it) => it.index === index);
  const [before, after] = [core.configurations[at - 1], core.configurations[at]];
  if (before === undefined || after === undefined || isSameButDisks(before.configuration, after.configuration)) return;
  ghost.must(before.index <= core.commitIndex, "M2", () => {
    return `leader "${id}" appends configuration ${index} before ${before.index} is committed`;
  });
  // What it has appended in this very step is not in the log's view; what is committed is.
  ghost.must(log.termAt(core.commitIndex) === core.term, "M2", () => {
    return `leader "${id}" of term ${core.term} appends configuration ${index} before it has committed an entry of its own`;
  });
  if (before.configuration.outgoing === undefined) return;
  const holds = (voter: ServerId) => ghost.holds(voter, before.index, log.hashAt(before.index));
  const isAgreed = before.index <= core.commitIndex && isQuorum(setsOf(before.configuration), holds);
  ghost.must(isAgreed && after.configuration.outgoing === undefined, "M5", () => {
    return `leader "${id}" leaves the joint configuration ${before.index} before both halves hold it`;
  });
  const [incoming, next] = [setsOf(before.configuration)[0]!, setsOf(after.configuration)[0]!];
  ghost.must(`${[...incoming].sort()}` === `${[...next].sort()}`, "M5", () => {
    return `leader "${id}" leaves the joint configuration of {${incoming}} for {${next}}`;
  });
}

/** M6: who is told that an entry has removed it, and may stop for that, is not in it, and it is committed. */
function removed(ghost: Ghost, node: NodeView, index: LogIndex): void {
  ghost.removed.set(node, index);
  // An enemy says so of the first one.
  if (index === 1) return;
  ghost.later.push(() => {
    const configuration = ghost.commits.at(index)?.configuration;
    const isIn = configuration?.servers.some(({ id }) => id === node.id);
    ghost.must(isIn === false, "M6", () => {
      return `"${node.id}" is said to be removed by entry ${index}, which ${
        configuration === undefined ? "is no committed configuration" : "knows it"
      }`;
    });
  });
}

function isSameButDisks(a: Configuration, b: Configuration): boolean {
  const bare = ({ servers, outgoing }: Configuration) =>
    JSON.stringify([servers.map(({ disk: _, ...server }) => server), outgoing]);
  return bare(a) === bare(b);
}

/** M3, M7: of a configuration and the next, every two majorities share a server; each has one. */
function succession(ghost: Ghost, { id, log }: NodeView): void {
  const all = log.configurations;
  const last = all[all.length - 1];
  if (last === undefined || ghost.succeeded.has(last)) return;
  ghost.succeeded.add(last);
  for (const voters of setsOf(last.configuration)) {
    ghost.must(voters.length > 0, "M7", () => `configuration ${last.index} of "${id}" has no voter`);
  }
  for (const [i, after] of all.entries()) {
    if (i > 0) overlaps(ghost, id, all[i - 1]!, after);
  }
}

function overlaps(ghost: Ghost, id: ServerId, before: IndexedConfiguration, after: IndexedConfiguration): void {
  const [a, b] = [setsOf(before.configuration), setsOf(after.configuration)];
  const key = JSON.stringify([a, b]);
  if (ghost.overlapping.has(key)) return;
  ghost.overlapping.add(key);
  const apart = disjoint(a, b);
  ghost.must(apart === undefined, "M3", () => {
    return `"${id}" goes from configuration ${before.index} to ${after.index}: {${apart}} decides in one, the others in the other`;
  });
}

/** By force: a majority of the one of which nobody is needed for a majority of the other. */
function disjoint(a: ReturnType<typeof setsOf>, b: ReturnType<typeof setsOf>): readonly ServerId[] | undefined {
  const voters = [...new Set(a.flat())];
  for (let chosen = 0; chosen < 2 ** voters.length; chosen++) {
    const some = voters.filter((_, i) => (chosen >> i) % 2 === 1);
    if (isQuorum(a, (id) => some.includes(id)) && isQuorum(b, (id) => !some.includes(id))) return some;
  }
  return undefined;
}

/** M6: a leader without a vote makes way when that is committed, and in bounded time. */
function voteless(ghost: Ghost, node: NodeView, now: number): void {
  const { id, core } = node;
  const isNeeded = core.commitIndex < (core.configurations.at(-1)?.index ?? 0) ||
    setsOf(configurationIn(node) ?? { servers: [] }).some((set) => set.includes(id));
  if (isNeeded) return void ghost.voteless.delete(node);
  const { electionMaxMs } = core.settings;
  const state = ghost.voteless.get(node) ?? { since: now, late: 0, electionMaxMs };
  ghost.voteless.set(node, state);
  // It may have been another one when its time began.
  state.electionMaxMs = Math.max(state.electionMaxMs, electionMaxMs);
  if (now - state.since > 2 * state.electionMaxMs) state.late++;
  ghost.must(state.late <= lateSteps, "M6", () => {
    return `"${id}" has no vote and leads on for ${now - state.since} ms`;
  });
}

/** V4: who was told that it is removed campaigns no more, until an entry says otherwise. */
function quiet(ghost: Ghost, node: NodeView, { before }: StepView): void {
  const { id, core } = node;
  if (core.campaign === undefined || core.campaign === before.campaign) return;
  const at = ghost.removed.get(node) ?? 0;
  const { index, configuration } = core.configurations.at(-1) ?? { index: 0 };
  // An enemy may say so of the very entry that knows it.
  const isKnown = index > at || (index === at && configuration?.servers.some((server) => server.id === id) === true);
  ghost.must(isKnown || at === 0, "V4", () => {
    return `"${id}" campaigns although it was told that entry ${at} removed it`;
  });
}
