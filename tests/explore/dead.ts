/**
 * Messages that nothing can come of any more: states that differ in them alone are one. Each rule says what the core
 * does with such a message, now and after any restart; a test explores with and without the rules and finds the same
 * servers.
 *
 * @module
 */
import type { AppendResponse, VoteResponse } from "../../src/message.ts";
import type { Local, Packet } from "./model.ts";

/** Whether delivering the message is without any effect from now on; `senderIsLast`: no later term can be told its sender. */
export function isDead({ from, message }: Packet, senderIsLast: boolean, receiver: Local): boolean {
  const { disk } = receiver;
  switch (message.type) {
    case "append-response":
      return message.term <= disk.term && isDeadAcknowledgement(message, from, receiver);
    case "vote-response":
      return message.term <= disk.term && isDeadVote(message, from, receiver);
    case "append-request":
      // It would be answered with a later term, which the sender can't be told any more.
      return message.term < disk.term && senderIsLast;
    case "vote-request":
      return !message.pre && message.term < disk.term && senderIsLast;
    case "timeout-now":
      // Obeyed by followers of this very term alone.
      return message.term < disk.term;
    default:
      return false;
  }
}

/** A leader that leads no more never does again in that term; one that does takes only news. */
function isDeadAcknowledgement(response: AppendResponse, from: string, { core }: Local): boolean {
  if (core.role !== "leader" || core.term !== response.term) return true;
  const progress = core.leading?.progress.get(from);
  if (progress === undefined || response.round > progress.ackedRound) return false;
  // Neither the match index nor the sequence at which the state began ever goes back in a leadership.
  if (response.rejected !== undefined) {
    return response.sequence < progress.stateSequence || response.rejected.prevIndex <= progress.matchIndex;
  }
  if (response.matchIndex > progress.matchIndex) return false;
  return progress.state === "replicate" || response.sequence < progress.stateSequence;
}

/** A campaign that is over comes back only if its term was not durably entered. */
function isDeadVote(response: VoteResponse, from: string, { core, disk }: Local): boolean {
  const { campaign } = core;
  const isCurrent = campaign !== undefined && campaign.pre === response.pre && campaign.term === response.campaign;
  if (isCurrent) return campaign.votes.has(from);
  return response.campaign <= disk.term;
}
