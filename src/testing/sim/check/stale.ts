/**
 * L9: what is not of now changes nothing: answers to earlier questions, completions of what was overwritten.
 *
 * @module
 */
import type { Message } from "../../../message.ts";
import type { Ghost } from "../ghost.ts";
import type { NodeView, StepView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** The rule, for every kind of event that can come late. */
export const stale: Checker = {
  onStep(ghost, node, step) {
    const { event, before } = step;
    switch (event.type) {
      case "message-received":
        return onMessage(ghost, node, step, event.from, event.message);
      case "entries-persisted":
        if (event.epoch !== before.epoch) nothing(ghost, node, step, `a write of epoch ${event.epoch}`);
        return;
      case "vote-persisted":
        if (event.sequence < before.voteAsked) nothing(ghost, node, step, `vote ${event.sequence}`);
        return;
      case "sent":
      case "send-failed":
        if (event.term !== before.term || before.role !== "leader") nothing(ghost, node, step, `a ${event.type}`);
        return;
    }
  },
};

function onMessage(ghost: Ghost, node: NodeView, step: StepView, from: string, message: Message): void {
  const { before } = step;
  const what = () => `a ${message.type} of term ${message.term} from "${from}"`;
  switch (message.type) {
    case "append-response": {
      if (message.term > before.term) return;
      const { peer } = before;
      if (message.term < before.term || peer === undefined || message.sequence >= peer.sequence) {
        nothing(ghost, node, step, what());
        return sameProgress(ghost, node, step, from, true);
      }
      if (message.rejected !== undefined && message.sequence < peer.stateSequence) {
        sameProgress(ghost, node, step, from, false);
      }
      return;
    }
    case "vote-response": {
      const isNews = message.term > before.term && !(message.pre && message.granted);
      const { campaign } = before;
      const isMine = campaign !== undefined && campaign.pre === message.pre && campaign.term === message.campaign;
      if (!isNews && !isMine) nothing(ghost, node, step, what());
      return;
    }
    case "append-request":
      if (message.term < before.term) onlyAnswers(ghost, node, step, what());
      return;
    case "vote-request":
      if (message.term < before.term) onlyAnswers(ghost, node, step, what());
      return;
    case "timeout-now":
      if (message.term !== before.term || from !== before.leader) nothing(ghost, node, step, what());
      return;
  }
}

/** Nothing changes and nothing is done. */
function nothing(ghost: Ghost, node: NodeView, step: StepView, what: string): void {
  if (step.effects.length > 0) {
    return ghost.must(false, "L9", () => `"${node.id}" does ${step.effects[0]!.type} upon ${what}, which is stale`);
  }
  same(ghost, node, step, what);
}

/** Nothing changes, and the sender may be told so. */
function onlyAnswers(ghost: Ghost, node: NodeView, step: StepView, what: string): void {
  const other = step.effects.find(({ type }) => type !== "send");
  if (other !== undefined) {
    return ghost.must(false, "L9", () => `"${node.id}" does ${other.type} upon ${what}, which is stale`);
  }
  same(ghost, node, step, what);
}

function same(ghost: Ghost, { id, core }: NodeView, { before }: StepView, what: string): void {
  const isSame = core.term === before.term && core.votedFor === before.votedFor && core.role === before.role &&
    core.leader === before.leader && core.electionAt === before.electionAt &&
    core.commitIndex === before.commitIndex && core.log.lastIndex === before.lastIndex &&
    core.persistedIndex === before.persistedIndex && (core.campaign?.votes.size ?? 0) === before.votes;
  if (!isSame) ghost.must(false, "L9", () => `"${id}" changes upon ${what}, which is stale`);
}

/** @param isSilent Whether it does not even show that the peer is there. */
function sameProgress(
  ghost: Ghost,
  { id, core }: NodeView,
  { before }: StepView,
  peer: string,
  isSilent: boolean,
): void {
  const now = core.leading?.progress.get(peer);
  if (before.peer === undefined) return;
  const { matchIndex, nextIndex, heardAt, ackedRound } = before.peer;
  const isUnheard = now?.heardAt === heardAt && now.ackedRound === ackedRound;
  if (now?.matchIndex === matchIndex && now.nextIndex === nextIndex && (isUnheard || !isSilent)) return;
  ghost.must(false, "L9", () => {
    return `leader "${id}" takes "${peer}" from ${nextIndex} to ${now?.nextIndex} upon a stale answer, ` +
      `last heard at ${heardAt} and now at ${now?.heardAt}`;
  });
}
