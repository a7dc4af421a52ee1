/**
 * Cores with one fault each, of the kind that real ones had: the explorer must find every one.
 *
 * @module
 */
import type { Effect } from "../../src/core/effect.ts";
import type { CoreMessage } from "../../src/message.ts";
import type { Event } from "../../src/core/event.ts";
import { configurationOf } from "../../src/core/membership.ts";
import { quorumValue } from "../../src/core/quorum.ts";
import type { CoreState } from "../../src/core/state.ts";
import { termAt, truncateTerms } from "../../src/core/term_index.ts";
import type { Bounds } from "./bounds.ts";
import { realStep } from "./stepper.ts";
import type { StepCore } from "../core/cluster.ts";

/** A fault. */
export interface Fault {
  /** As in the bug catalogues of the literature. */
  readonly name: string;
  readonly step: StepCore;
  /** Where it shows; the rest is as small as can be. */
  readonly bounds: Partial<Bounds>;
  /** What must be found. */
  readonly invariant: RegExp;
}

/** The core with other events. */
function hearing(change: (state: CoreState, event: Event) => Event): StepCore {
  return (state, event, now) => realStep(state, change(state, event), now);
}

/** The core with messages that are changed before it sees them. */
function receiving(change: (state: CoreState, message: CoreMessage) => CoreMessage): StepCore {
  return hearing((state, event) =>
    event.type === "message-received" ? { ...event, message: change(state, event.message) } : event
  );
}

/** The core with effects that are changed, or others besides. */
function doing(change: (state: CoreState, effects: Effect[], event: Event) => Effect[]): StepCore {
  return (state, event, now) => change(state, realStep(state, event, now), event);
}

function commit(state: CoreState, index: number, effects: Effect[]): Effect[] {
  if (index <= state.commitIndex) return effects;
  state.commitIndex = index;
  return [...effects, { type: "apply", upTo: index }];
}

/** All faults. */
export const faults: readonly Fault[] = [
  {
    name: "entries of earlier terms are committed by counting (BC01)",
    step: doing((state, effects) => {
      if (state.leading === undefined) return effects;
      const { progress } = state.leading;
      const matchOf = (id: string) => id === state.id ? state.persistedIndex : progress.get(id)?.matchIndex ?? 0;
      return commit(state, quorumValue(configurationOf(state), matchOf), effects);
    }),
    bounds: { terms: 2, entriesPerAppend: 1 },
    invariant: /^C2: .* an entry of an earlier term/,
  },
  {
    name: "the leader counts itself before its write has ended (BC07)",
    step: (state, event, now) => {
      const { persistedIndex } = state;
      if (event.type !== "message-received" || state.leading === undefined) return realStep(state, event, now);
      state.persistedIndex = state.log.lastIndex;
      const effects = realStep(state, event, now);
      state.persistedIndex = Math.min(persistedIndex, state.log.lastIndex);
      return effects;
    },
    bounds: {},
    invariant: /^C2: .* which 1 disks hold/,
  },
  {
    name: "a follower commits up to its own last index (BC03)",
    step: doing((state, effects, event) => {
      if (event.type !== "message-received" || event.message.type !== "append-request") return effects;
      if (state.leader !== event.from) return effects;
      return commit(state, Math.min(event.message.commitIndex, state.log.lastIndex), effects);
    }),
    bounds: { terms: 2, heartbeats: 1 },
    invariant: /^C6: /,
  },
  {
    name: "a follower acknowledges all that it holds (BL03)",
    step: doing((state, effects) =>
      effects.map((effect) =>
        effect.type === "send" && effect.message.type === "append-response" && effect.message.rejected === undefined
          ? { ...effect, message: { ...effect.message, matchIndex: state.log.lastIndex } }
          : effect
      )
    ),
    bounds: { heartbeats: 1 },
    invariant: /^L[45]: /,
  },
  {
    name: "a write from before a truncation is credited (BL06)",
    step: hearing((state, event) =>
      event.type === "entries-persisted"
        ? { ...event, epoch: state.epoch, end: Math.min(event.end, state.log.lastIndex + 1) }
        : event
    ),
    bounds: { terms: 2, timeouts: 3 },
    invariant: /^(L4|L6|C2): /,
  },
  {
    name: "a vote leaves before it is durable (BE06)",
    step: doing((state, effects) => [
      ...effects,
      ...state.withheld.splice(0).map(({ to, message }): Effect => ({ type: "send", to, message })),
    ]),
    bounds: {},
    invariant: /^E[34]: /,
  },
  {
    name: "a vote is forgotten when a leader is heard (BE01)",
    step: doing((state, effects, event) => {
      if (event.type === "message-received" && event.message.type === "append-request") state.votedFor = undefined;
      return effects;
    }),
    bounds: {},
    invariant: /^E10: /,
  },
  {
    name: "votes are given without a look at the log (BE09)",
    step: receiving((_, message) => message.type === "vote-request" ? { ...message, lastTerm: 99 } : message),
    bounds: { terms: 2 },
    invariant: /^E7: /,
  },
  {
    name: "votes of earlier campaigns are counted (BE07)",
    step: receiving((state, message) =>
      message.type === "vote-response" && state.campaign !== undefined
        ? { ...message, campaign: state.campaign.term }
        : message
    ),
    // Forgetting messages relies on their being ignored.
    bounds: { terms: 2, prune: false, slowDisks: false },
    invariant: /^E6: /,
  },
  {
    name: "acknowledgements of an earlier term are credited (BL09)",
    step: receiving((state, message) =>
      message.type === "append-response" && message.term < state.term ? { ...message, term: state.term } : message
    ),
    bounds: { terms: 2, prune: false, slowDisks: false, stepDowns: 1 },
    invariant: /^(L7|C2): /,
  },
  {
    name: "what the leader sends is acknowledged before it is durable (BL04)",
    step: (state, event, now) => {
      const { persistedIndex } = state;
      if (event.type !== "message-received" || event.message.type !== "append-request") {
        return realStep(state, event, now);
      }
      // As if the disk had no part in it.
      const effects = realStep(state, event, now);
      state.persistedIndex = Math.max(persistedIndex, state.log.lastIndex);
      const { term, roundAnswered: round, verifiedIndex: matchIndex } = state;
      const sequence = event.message.sequence;
      const message = { type: "append-response" as const, term, sequence, round, matchIndex, rejected: undefined };
      return [...effects, { type: "send", to: event.from, message }];
    },
    bounds: {},
    invariant: /^(L4|E4): /,
  },
  {
    name: "an append removes all that comes after its entries (BL01)",
    step: doing((state, effects, event) => {
      if (event.type !== "message-received" || event.message.type !== "append-request") return effects;
      const { end, term } = event.message;
      if (state.termLeader !== event.from || state.term !== term || state.verifiedIndex < end - 1) return effects;
      if (end > state.log.lastIndex) return effects;
      truncateTerms(state.log, end);
      state.persistedIndex = Math.min(state.persistedIndex, end - 1);
      state.epoch++;
      return [{ type: "truncate", from: end }, ...effects];
    }),
    bounds: { entries: 1, duplicates: 1 },
    invariant: /^(L6|L3): .* removes entry /,
  },
  {
    name: "half of the servers are taken for a majority when an entry is committed (BC05)",
    step: doing((state, effects) => {
      if (state.leading === undefined) return effects;
      const matches = [...state.leading.progress.values()].map(({ matchIndex }) => matchIndex);
      const sorted = [state.persistedIndex, ...matches].sort((a, b) => b - a);
      const index = sorted[Math.floor(sorted.length / 2) - 1]!;
      return termAt(state.log, index) === state.term ? commit(state, index, effects) : effects;
    }),
    bounds: {},
    invariant: /^C2: .* which 1 disks hold/,
  },
  {
    name: "half of the servers are taken for a majority when a leader is elected (BC05)",
    step: (state, event, now) => {
      const effects = realStep(state, event, now);
      const { campaign, id } = state;
      if (state.role !== "candidate" || campaign?.votes.get(id) !== true || campaign.votes.size > 1) return effects;
      const { term } = campaign;
      const message = { type: "vote-response" as const, term, pre: false, campaign: term, granted: true };
      const from = ["a", "b"].find((peer) => peer !== id)!;
      return [...effects, ...realStep(state, { type: "message-received", from, message }, now)];
    },
    bounds: {},
    invariant: /^E6: .* with 1 votes/,
  },
  {
    name: "a second vote is given in the same term (BE02)",
    step: receiving((state, message) => {
      if (message.type === "vote-request" && !message.pre) state.votedFor = undefined;
      return message;
    }),
    bounds: { timeouts: 2 },
    invariant: /^(E2|E10): /,
  },
  {
    name: "a question whether one could win is taken for a campaign (BE18)",
    step: receiving((_, message) => message.type === "vote-request" ? { ...message, pre: false } : message),
    bounds: { preVote: true },
    invariant: /^E8: /,
  },
  {
    name: "what becomes durable last on the leader's own disk commits nothing (BC10)",
    step: (state, event, now) => {
      if (event.type !== "entries-persisted" || state.leading === undefined) return realStep(state, event, now);
      if (event.epoch === state.epoch) state.persistedIndex = Math.max(state.persistedIndex, event.end - 1);
      return [];
    },
    bounds: {},
    invariant: /^C7: /,
  },
  {
    name: "who campaigns as its leader asked needs no log (BE26)",
    step: receiving((_, message) =>
      message.type === "vote-request" && message.transfer ? { ...message, lastTerm: 99 } : message
    ),
    // The order to campaign comes when the leader has given up, and appended more.
    bounds: { entries: 1, transfers: 1, slowDisks: false },
    invariant: /^E7: /,
  },
];

/** The core with the fault of that name; without one as it is. */
export function stepOf(name: string | undefined): StepCore {
  return name === undefined ? realStep : faults.find((fault) => fault.name === name)!.step;
}
