/**
 * Membership: M1, M4.
 *
 * @module
 */
import type { CoreState } from "../../../core/state.ts";
import type { Configuration, IndexedConfiguration, LogIndex } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { NodeView } from "../view.ts";
import { type Checker, configurationIn, mayCampaign, setsOf } from "./checker.ts";

/** Raft §6. */
export const membership: Checker = {
  onStart: fromLog,
  onEvent: fromLog,

  /** M4: who has no vote is asked for none and does not campaign. */
  onStep(ghost, node, { before }) {
    const { id, core } = node;
    if (core.role === before.role || core.role === "follower") return;
    ghost.must(mayCampaign(node), "M4", () => `"${id}" becomes ${core.role} and is no voter`);
  },

  onSend(ghost, node, to, { message }) {
    if (message.type !== "vote-request") return;
    ghost.must(
      isVoterIn(configurationIn(node), to),
      "M4",
      () => `"${node.id}" asks "${to}" for a vote, which has none`,
    );
  },
};

function isVoterIn(configuration: Configuration | undefined, id: string): boolean {
  return configuration !== undefined && setsOf(configuration).some((set) => set.includes(id));
}

/** M1: the configuration in force is the last one in the log, committed or not. */
function fromLog(ghost: Ghost, node: NodeView): void {
  const { id, core, log } = node;
  const all = log.configurations;
  // What a snapshot holds may be forgotten, but for the one that was in force at its end: no truncation goes back further.
  const base = all.findLast(({ index }) => index <= core.snapshot.index)?.index ?? 0;
  const first = core.configurations[0]?.index ?? 0;
  const known = first <= base ? all.filter(({ index }) => index >= first) : all;
  const inLog = core.damaged.length === 0 ? known : readable(core, known);
  const last = inLog[inLog.length - 1];
  const inForce = core.configurations[core.configurations.length - 1];
  const isSameIndex = last?.index === inForce?.index && inLog.length === core.configurations.length;
  if (!isSameIndex) {
    return ghost.must(false, "M1", () => `"${id}" goes by configuration ${inForce?.index}, its log has ${last?.index}`);
  }
  if (last === undefined) return;
  const hash = log.hashAt(last.index);
  if (ghost.configured.get(node) === hash) return;
  ghost.configured.set(node, hash);
  ghost.must(text(last.configuration) === text(inForce!.configuration), "M1", () => {
    return `"${id}" goes by ${text(inForce!.configuration)}, entry ${last.index} of its log says ${
      text(last.configuration)
    }`;
  });
}

/** Without those that can't be read from disk, and were not known before that. */
function readable({ damaged, configurations }: CoreState, known: readonly IndexedConfiguration[]) {
  const isLost = (index: LogIndex) =>
    damaged.some(({ from, end }) => from <= index && index < end) && configurations.every((it) => it.index !== index);
  return known.filter(({ index }) => !isLost(index));
}

function text({ servers, outgoing }: Configuration): string {
  const words = servers.map(({ id, address, suffrage, priority }) => `${id}@${address}/${suffrage}/${priority ?? ""}`);
  return [...words.sort(), outgoing === undefined ? "" : `from ${[...outgoing].sort()}`].join(" ");
}
