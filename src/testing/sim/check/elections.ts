/**
 * Elections: E1 to E11, and that nobody deposes a leader who is heard (V4).
 *
 * @module
 */
import type { Message, VoteRequest, VoteResponse } from "../../../message.ts";
import type { ServerId } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { DiskView, NodeView, StepView } from "../view.ts";
import { type Checker, configurationIn, isQuorum, mayCampaign, setsOf } from "./checker.ts";
import { isSound, mayCountVote } from "./identity.ts";

/** Raft §5.2 and §5.4.1, thesis §9.6. */
export const elections: Checker = {
  /** E5: a life begins in the term, and with the vote, that its disk holds. */
  onStart(ghost, { id, core, disk }) {
    ghost.must(core.term === disk.term && core.votedFor === disk.votedFor, "E5", () => {
      return `"${id}" starts in term ${core.term} with a vote for "${core.votedFor}", its disk holds term ${disk.term} ` +
        `and a vote for "${disk.votedFor}"`;
    });
  },

  onStep(ghost, node, step) {
    monotoneTerm(ghost, node, step);
    latches(ghost, node, step);
    const { event } = step;
    if (event.type === "message-received") adopts(ghost, node, step, event.from, event.message);
    if (event.type === "message-received" && event.message.type === "vote-request") {
      sticks(ghost, node, step, event.message);
      if (event.message.pre) prePurity(ghost, node, step);
      upToDate(ghost, node, step);
    }
    doubts(ghost, node, step);
    asksFirst(ghost, node, step);
    waits(ghost, node, step);
    campaigns(ghost, node, step);
    const { role, term } = node.core;
    if (role === "leader" && (step.before.role !== "leader" || step.before.term !== term)) onElected(ghost, node);
  },

  onSend(ghost, node, to, { message }) {
    const { id, disk } = node;
    if (message.type === "vote-request" && message.pre) return promotable(ghost, node);
    ghost.must(disk.term >= message.term, "E4", () => {
      return `"${id}" sends a ${message.type} of term ${message.term} while its disk holds term ${disk.term}`;
    });
    ofNow(ghost, node, message);
    if (message.type === "vote-request") {
      promotable(ghost, node);
      ghost.must(disk.term === message.term && disk.votedFor === id, "E4", () => {
        return `"${id}" asks for votes in term ${message.term} while its disk holds a vote for ` +
          `"${disk.votedFor}" in term ${disk.term}`;
      });
      vote(ghost, node, message.term, id);
    } else if (message.type === "vote-response") {
      if (message.granted && !message.pre) voteDurable(ghost, node, to, message);
    } else if (message.type === "append-request") {
      const leader = ghost.leaders.get(message.term)?.leader;
      ghost.must(leader === id, "E1", () => `"${id}" sends entries in term ${message.term}, led by "${leader}"`);
    }
  },

  onPersisted(ghost, { id, disk }) {
    const before = ghost.diskTerms.get(id) ?? 0;
    ghost.must(disk.term >= before, "E5", () => `the disk of "${id}" goes from term ${before} to ${disk.term}`);
    ghost.diskTerms.set(id, disk.term);
    keepsVote(ghost, id, disk);
  },

  onReplaced(ghost, id, _before, now) {
    ghost.diskTerms.set(id, now.term);
    for (const [key, candidate] of ghost.votes) {
      if (!key.endsWith(` ${id}`)) continue;
      ghost.lostVotes.set(key, candidate);
      ghost.votes.delete(key);
    }
  },

  onRecovered(ghost, id, { found, isDurable }) {
    const before = ghost.diskTerms.get(id) ?? 0;
    ghost.must(found.term >= before, "E5", () => `"${id}" had term ${before} on disk and restarts in ${found.term}`);
    // Nobody was promised what is in a cache only: it may be gone at the next start.
    if (isDurable) ghost.diskTerms.set(id, found.term);
  },
};

/** E1, E5: nobody speaks for a term that it has left, or leads no more, whatever it began in it. */
function ofNow(ghost: Ghost, { id, core }: NodeView, { type, term }: Message): void {
  if (type === "append-request") {
    ghost.must(core.role === "leader" && core.term === term, "E1", () => {
      return `"${id}" sends entries in term ${term} as a ${core.role} of term ${core.term}`;
    });
  }
  const isOfTerm = type === "append-response" || type === "vote-request" || type === "vote-response";
  ghost.must(!isOfTerm || core.term === term, "E5", () => {
    return `"${id}" sends a ${type} of term ${term}, which is over for it: it is in term ${core.term}`;
  });
}

/** E2: a vote that somebody has heard of stays on its disk while the term lasts, whatever a start writes. */
function keepsVote(ghost: Ghost, id: ServerId, { term, votedFor }: DiskView): void {
  const given = ghost.replaced.has(id) ? undefined : ghost.voteOf(term, id);
  ghost.must(given === undefined || votedFor === given, "E2", () => {
    return `"${id}" has voted for "${given}" in term ${term} and writes a vote for "${votedFor}" to its disk`;
  });
}

/** E5: terms only grow. */
function monotoneTerm(ghost: Ghost, { id, core }: NodeView, { before }: StepView): void {
  ghost.must(core.term >= before.term, "E5", () => `"${id}" goes from term ${before.term} to ${core.term}`);
}

/** Messages whose term, when it is later, is entered whatever else they say (Raft §5.1); of requests for votes see V4. */
const binding: ReadonlySet<Message["type"]> = new Set([
  "append-request",
  "append-response",
  "snapshot-request",
  "snapshot-response",
  "vote-response",
]);

/** Terms that a message may be ahead and be believed. */
const aheadMax = 2 ** 40;

/** E5: whoever hears of a later term enters it: from an answer it hears of it perhaps nowhere else. */
function adopts(ghost: Ghost, { id, core }: NodeView, { before }: StepView, from: ServerId, message: Message): void {
  // A promise is of the term that was asked for.
  const isPromise = message.type === "vote-response" && message.pre && message.granted;
  const { type, term } = message;
  if (term <= core.term || from === id || !binding.has(type) || isPromise) return;
  ghost.must(term > before.term + aheadMax, "E5", () => {
    return `"${id}" hears of term ${term} in a ${type} of "${from}" and stays in term ${core.term}`;
  });
}

/** E10: within a term a vote is given once, and one leader is followed (LogCabin). */
function latches(ghost: Ghost, { id, core }: NodeView, { before }: StepView): void {
  if (before.term !== core.term) return;
  const { votedFor, leader, term } = core;
  ghost.must(before.votedFor === undefined || before.votedFor === votedFor, "E10", () => {
    return `"${id}" changes its vote in term ${term} from "${before.votedFor}" to "${votedFor}"`;
  });
  ghost.must(before.leader === undefined || leader === undefined || before.leader === leader, "E10", () => {
    return `"${id}" follows "${before.leader}" and then "${leader}" in term ${term}`;
  });
}

/** E8: whoever asks changes nothing. */
function prePurity(ghost: Ghost, { id, core }: NodeView, { before, effects }: StepView): void {
  const isPure = core.term === before.term && core.votedFor === before.votedFor && core.role === before.role &&
    core.leader === before.leader && core.electionAt === before.electionAt &&
    effects.every(({ type }) => type === "send");
  ghost.must(isPure, "E8", () => `a pre-vote request changes "${id}"`);
}

/** V4: whoever hears a leader, or leads, helps nobody to depose it unless that was its own wish (thesis §4.2.3). */
function sticks(ghost: Ghost, { id, core }: NodeView, { before, effects, now }: StepView, request: VoteRequest): void {
  const { leader, isLeaderClosed } = before;
  const isHeard = leader !== undefined && now < core.leaderHeardAt + core.settings.electionMinMs;
  const hears = isHeard && !isLeaderClosed;
  if (request.transfer || !(hears || before.role === "leader")) return;
  const grants = effects.some((effect) =>
    effect.type === "send" && effect.message.type === "vote-response" && effect.message.granted
  );
  ghost.must(!grants && core.term === before.term, "V4", () => {
    return `"${id}" helps to depose "${before.leader}", which it has just heard, in term ${request.term}`;
  });
}

/** V4: a leader that is heard is given up for one thing only, that its end has closed the connection, and not for good. */
function doubts(ghost: Ghost, { id, core }: NodeView, { before, event }: StepView): void {
  if (core.leaderClosed === undefined) return;
  const isClosed = event.type === "peer-disconnected" && event.isClosedByPeer === true &&
    event.peer === before.leader &&
    core.settings.preVote && before.role === "follower";
  ghost.must(before.isLeaderClosed || isClosed, "V4", () => `"${id}" doubts "${before.leader}" for a ${event.type}`);
  const isHeard = event.type === "message-received" && event.message.type === "append-request" &&
    event.message.term === core.term && event.from === core.leader;
  ghost.must(!isHeard, "V4", () => `"${id}" hears "${core.leader}" and goes on doubting it`);
}

/** V4: where servers ask before they campaign, whoever has no promises does not, alone or told by its leader aside. */
function asksFirst(ghost: Ghost, node: NodeView, { before, event }: StepView): void {
  const { id, core } = node;
  if (core.role !== "candidate" || core.term === before.term || !core.settings.preVote) return;
  if (event.type === "message-received" && event.message.type === "timeout-now") return;
  const configuration = configurationIn(node);
  const isAlone = configuration !== undefined && isQuorum(setsOf(configuration), (voter) => voter === id);
  ghost.must(isAlone || before.campaign?.pre === true, "V4", () => {
    return `"${id}" campaigns in term ${core.term} and has not asked whether there is any use in it`;
  });
}

/** V4: whoever has heard a leader waits for it for as long as the settings say that are in force now. */
function waits(ghost: Ghost, { id, core }: NodeView, { before, event, now }: StepView): void {
  if (event.type !== "deadline-reached" || before.role !== "follower" || core.campaign === undefined) return;
  if (before.leader === undefined || before.isLeaderClosed) return;
  // The sum is rounded as the deadline was; the difference may be a little less.
  ghost.must(now >= core.leaderHeardAt + core.settings.electionMinMs, "V4", () => {
    return `"${id}" campaigns ${now - core.leaderHeardAt} ms after it heard "${before.leader}", ` +
      `and is to wait for ${core.settings.electionMinMs}`;
  });
}

/** V1: whoever may campaign does when its time has come: it may be the only one that can be elected. */
function campaigns(ghost: Ghost, node: NodeView, { before, event, now }: StepView): void {
  const { id, core } = node;
  if (event.type !== "deadline-reached" || before.role === "leader" || now < before.electionAt) return;
  const isAble = !core.isFull && core.damaged.length === 0 && core.repairing.length === 0 &&
    core.installing === undefined && !isOtherDisk(node);
  ghost.must(core.campaign !== undefined || core.role === "leader" || !isAble || !isNeeded(node), "V1", () => {
    return `"${id}" hears nobody and does not campaign, though nobody has told it that it has no vote any more`;
  });
}

/** Whether a node votes and may lead, or did before the last change, of which it does not know that it is committed. */
function isNeeded({ id, core }: NodeView): boolean {
  const { configurations, commitIndex, removedAt } = core;
  const last = configurations.findLastIndex(({ configuration }) =>
    setsOf(configuration).some((set) => set.includes(id)) &&
    configuration.servers.find((server) => server.id === id)?.priority !== 0
  );
  const taking = configurations[last + 1];
  if (last < 0 || taking === undefined) return last >= 0 && removedAt <= configurations[last]!.index;
  return last + 2 === configurations.length && taking.index > Math.max(commitIndex, removedAt);
}

/** Whether its own log knows a node by another disk than the one that it has. */
function isOtherDisk(node: NodeView): boolean {
  const recorded = configurationIn(node)?.servers.find(({ id }) => id === node.id)?.disk;
  const { disk } = node.core;
  return recorded !== undefined &&
    (recorded.incarnation !== disk?.incarnation || recorded.starts > (disk?.starts ?? 0));
}

/** E7: a vote goes only to a log that is at least as up to date (Raft §5.4.1), and so is one promised. */
function upToDate(ghost: Ghost, { id, core }: NodeView, { before, event, effects }: StepView): void {
  if (event.type !== "message-received" || event.message.type !== "vote-request") return;
  const { lastTerm, lastIndex, pre } = event.message;
  const isPromised = pre &&
    effects.some((effect) =>
      effect.type === "send" && effect.message.type === "vote-response" && effect.message.granted
    );
  const isGiven = core.votedFor === event.from && !(before.votedFor === event.from && before.term === core.term);
  const isFit = lastTerm > before.lastTerm || (lastTerm === before.lastTerm && lastIndex >= before.lastIndex);
  ghost.must(isFit || !(isPromised || isGiven), "E7", () => {
    return `"${id}" with entry ${before.lastIndex} of term ${before.lastTerm} ${pre ? "would vote" : "votes"} for ` +
      `"${event.from}" with entry ${lastIndex} of term ${lastTerm}`;
  });
}

/** E1, E6 (and C4, which `commits` checks). */
function onElected(ghost: Ghost, node: NodeView): void {
  const { id, core, disk } = node;
  const { term } = core;
  const before = ghost.leaders.get(term);
  ghost.must(before === undefined, "E1", () => `"${id}" becomes leader of term ${term}, as "${before!.leader}" did`);
  // A reference: while it leads, its log only grows. The log checker takes a copy when that ends.
  if (before === undefined) ghost.leaders.set(term, { leader: id, log: node.log });
  const configuration = configurationIn(node);
  const sets = configuration === undefined ? [] : setsOf(configuration);
  const voted = (voter: ServerId) =>
    voter === id
      ? disk.term === term && disk.votedFor === id
      : ghost.voteOf(term, voter) === id || ghost.lostVotes.get(`${term} ${voter}`) === id;
  ghost.must(sets.length > 0 && isQuorum(sets, voted), "E6", () => {
    return `"${id}" becomes leader of term ${term} with the votes of ${sets.flat().filter(voted)} among ` +
      sets.map((set) => `{${set}}`).join(" and ");
  });
  ghost.must(mayCampaign(node), "E6", () => `"${id}" becomes leader and is no voter`);
  ghost.must(isQuorum(sets, (voter) => voted(voter) && mayCountVote(ghost, node, voter)), "M8", () => {
    return `"${id}" becomes leader of term ${term} with the votes of {${[
      ...ghost.forgetful.keys(),
    ]}}, which have forgotten`;
  });
}

/** E11: only voters campaign, and none of priority 0. */
function promotable(ghost: Ghost, node: NodeView): void {
  ghost.must(mayCampaign(node), "E11", () => `"${node.id}" campaigns and is no voter that may lead`);
  ghost.must(!isOtherDisk(node) || isSound(ghost, node, node.id), "M8", () => {
    return `"${node.id}" campaigns, which its own log knows by another disk`;
  });
}

/** E3: a vote is on disk before anybody hears of it. */
function voteDurable(ghost: Ghost, node: NodeView, candidate: ServerId, { campaign }: VoteResponse): void {
  const { id, disk } = node;
  const isDurable = disk.term > campaign || (disk.term === campaign && disk.votedFor === candidate);
  ghost.must(isDurable, "E3", () => {
    return `"${id}" tells "${candidate}" of its vote in term ${campaign} while its disk holds one for ` +
      `"${disk.votedFor}" in term ${disk.term}`;
  });
  vote(ghost, node, campaign, candidate);
}

/** E2: one vote per term, over all lives with one disk. */
function vote(ghost: Ghost, { id }: NodeView, term: number, candidate: ServerId): void {
  const before = ghost.voteOf(term, id);
  ghost.must(before === undefined || before === candidate, "E2", () => {
    return `"${id}" votes for "${candidate}" in term ${term} after it voted for "${before}"`;
  });
  ghost.votes.set(`${term} ${id}`, candidate);
  if (ghost.forgetful.has(id)) ghost.forgetfulVotes.add(`${term} ${id}`);
}
