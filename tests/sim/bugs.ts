/**
 * Bugs that real cores had, to be put into ours: what the simulator must find, and what the shrinker is tried on.
 *
 * @module
 */
import type { Effect } from "../../src/core/effect.ts";
import { configurationOf } from "../../src/core/membership.ts";
import { quorumValue } from "../../src/core/quorum.ts";
import type { CoreState } from "../../src/core/state.ts";
import type { Distortion } from "../../src/testing/sim/script.ts";

/** A bug, by its place in the catalogue. */
export interface Bug {
  readonly id: string;
  readonly what: string;
  readonly distort: Distortion;
}

function commit(state: CoreState, index: number, effects: Effect[]): Effect[] {
  if (index <= state.commitIndex) return effects;
  state.commitIndex = index;
  return [...effects, { type: "apply", upTo: index }];
}

/** All of them. */
export const BUGS: readonly Bug[] = [
  {
    id: "BC01",
    what: "entries of earlier terms are committed by counting",
    distort: (state, event, now, step) => {
      const effects = step(event, now);
      if (state.leading === undefined) return effects;
      if (event.type !== "message-received" && event.type !== "entries-persisted") return effects;
      const { progress } = state.leading;
      const matchOf = (id: string) => id === state.id ? state.persistedIndex : progress.get(id)?.matchIndex ?? 0;
      return commit(state, quorumValue(configurationOf(state), matchOf), effects);
    },
  },
  {
    id: "BC03",
    what: "a follower commits all that it holds",
    distort: (state, event, now, step) => {
      const effects = step(event, now);
      if (event.type !== "message-received" || event.message.type !== "append-request") return effects;
      if (state.leader !== event.from) return effects;
      return commit(state, Math.min(event.message.commitIndex, state.log.lastIndex), effects);
    },
  },
  {
    id: "BE06",
    what: "what a server says of a term leaves before the term is on its disk",
    distort: (state, event, now, step) => [
      ...step(event, now),
      ...state.withheld.splice(0).map(({ to, message }): Effect => ({ type: "send", to, message })),
    ],
  },
  {
    id: "BE09",
    what: "votes are given without a look at the log",
    distort: (_state, event, now, step) => {
      if (event.type !== "message-received" || event.message.type !== "vote-request") return step(event, now);
      return step({ ...event, message: { ...event.message, lastTerm: Number.MAX_SAFE_INTEGER } }, now);
    },
  },
  {
    id: "BL03",
    what: "a follower acknowledges all that it holds",
    distort: (state, event, now, step) =>
      step(event, now).map((effect) =>
        effect.type === "send" && effect.message.type === "append-response" && effect.message.rejected === undefined
          ? { ...effect, message: { ...effect.message, matchIndex: state.log.lastIndex } }
          : effect
      ),
  },
  {
    id: "BL06",
    what: "a write from before a truncation is credited",
    distort: (state, event, now, step) => {
      if (event.type !== "entries-persisted") return step(event, now);
      return step({ ...event, epoch: state.epoch, end: Math.min(event.end, state.log.lastIndex + 1) }, now);
    },
  },
];

/** The distortion of a bug, undefined for none. */
export function distortionOf(id: string | undefined): Distortion | undefined {
  return BUGS.find((bug) => bug.id === id)?.distort;
}
