/**
 * M8: a server that has lost its disk, or has an older copy of it, counts for nothing until the log knows it by the one it has.
 *
 * @module
 */
import type { Disk, LogIndex, ServerId } from "../../../types.ts";
import type { Forgetful, Ghost } from "../ghost.ts";
import type { NodeView, StepView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** Who has forgotten, who knows it, and when that is over. Whose votes and entries counted is looked at where they do. */
export const identity: Checker = {
  onReplaced(ghost, id, _before, _now, by) {
    if (by !== "wipe" && by !== "old-copy") return;
    const { disks = new Set<string>(), doubled = new Set<string>(), since = ghost.commits.last, isOut = false } =
      ghost.forgetful.get(id) ?? {};
    ghost.forgetful.set(id, { disks, current: new Set(), doubled, since, looked: since, isOut });
  },

  onStart(ghost, { id, core }) {
    const forgetful = ghost.forgetful.get(id);
    if (forgetful === undefined || core.disk === undefined) return;
    const { disks, current, doubled } = forgetful;
    const name = nameOf(core.disk);
    if (disks.has(name) && !current.has(name)) doubled.add(name);
    disks.add(name);
    current.add(name);
  },

  onStep(ghost, node, step) {
    noteSeen(ghost, node, step);
    if (ghost.forgetful.size > 0) mayRecord(ghost, node, step);
  },

  onEvent(ghost) {
    for (const [id, forgetful] of ghost.forgetful) {
      while (forgetful.looked < ghost.commits.last) {
        const { configuration } = ghost.commits.at(++forgetful.looked)!;
        if (configuration === undefined) continue;
        const server = configuration.servers.find((server) => server.id === id);
        forgetful.isOut ||= server === undefined;
        const isKnown = server?.disk !== undefined && forgetful.current.has(nameOf(server.disk));
        if (!isKnown && (!forgetful.isOut || server === undefined)) continue;
        ghost.forgetful.delete(id);
        ghost.replaced.delete(id);
        break;
      }
    }
  },
};

function nameOf({ incarnation, starts }: Disk): string {
  return `${incarnation} ${starts}`;
}

/** Which disks this server has seen, and how long its log was: whatever comes after that came after the old one was lost. */
function noteSeen(ghost: Ghost, node: NodeView, { event, before }: StepView): void {
  const { core } = node;
  const seen = ghost.seen.get(node) ?? new Map();
  ghost.seen.set(node, seen);
  if (core.role === "leader" && (before.role !== "leader" || before.term !== core.term)) {
    for (const [id, { disk }] of seen) seen.set(id, { disk, at: before.lastIndex });
  }
  if (event.type !== "peer-connected" || event.disk === undefined) return;
  const earlier = seen.get(event.peer);
  const isSameLoss = earlier !== undefined && ghost.forgetful.get(event.peer)?.disks.has(earlier.disk) === true;
  seen.set(event.peer, { disk: nameOf(event.disk), at: isSameLoss ? earlier.at : before.lastIndex });
}

/** The leader that records another disk has seen it, and has committed something that is younger than that. */
function mayRecord(ghost: Ghost, node: NodeView, { effects }: StepView): void {
  const { core, id } = node;
  for (const effect of effects) {
    if (effect.type !== "append" || effect.configuration === undefined) continue;
    const before = core.configurations.at(-2)?.configuration.servers;
    for (const server of effect.configuration.servers) {
      const forgetful = ghost.forgetful.get(server.id);
      if (forgetful === undefined || forgetful.isOut || server.disk === undefined) continue;
      if (!forgetful.current.has(nameOf(server.disk))) continue;
      const earlier = before?.find((other) => other.id === server.id)?.disk;
      if (earlier !== undefined && forgetful.disks.has(nameOf(earlier))) continue;
      const at = ghost.seen.get(node)?.get(server.id)?.at;
      ghost.must(at !== undefined && core.commitIndex > at, "M8", () => {
        return `leader "${id}" re-admits "${server.id}" with ${core.commitIndex} committed; it saw its new disk at ${at}`;
      });
    }
  }
}

/** Whether the log of this node knows the server by a disk that it has had since it forgot. */
function knows({ core }: NodeView, id: ServerId, { disks }: Forgetful): boolean {
  const disk = core.configurations.at(-1)?.configuration.servers.find((server) => server.id === id)?.disk;
  return disk !== undefined && disks.has(nameOf(disk));
}

/** Where the disk that a server has was recorded, as far back as this node's log tells. */
function recordedAt({ core }: NodeView, id: ServerId, { disks }: Forgetful): LogIndex {
  let index = 0;
  for (const it of core.configurations) {
    const disk = it.configuration.servers.find((server) => server.id === id)?.disk;
    if (disk === undefined || !disks.has(nameOf(disk))) index = 0;
    else if (index === 0) index = it.index;
  }
  return index;
}

/** Whether a server has seen that this one has another disk. */
export function hasSeenLoss(ghost: Ghost, node: NodeView, id: ServerId): boolean {
  const disk = ghost.seen.get(node)?.get(id)?.disk;
  return disk !== undefined && ghost.forgetful.get(id)?.disks.has(disk) === true;
}

/**
 * Whether a server has seen that the last disk that this one has lost is gone: of one lost before it may still hear. Where
 * the same old copy has come back twice nothing tells, until it denies what it has lost.
 */
export function hasSeenLastLoss(ghost: Ghost, node: NodeView, id: ServerId): boolean {
  const disk = ghost.seen.get(node)?.get(id)?.disk;
  const forgetful = ghost.forgetful.get(id);
  return disk !== undefined && forgetful?.current.has(disk) === true && !forgetful.doubled.has(disk);
}

/** Whether what a server says with the disk that it has now counts for this node. */
export function isSound(ghost: Ghost, node: NodeView, id: ServerId): boolean {
  const forgetful = ghost.forgetful.get(id);
  return forgetful === undefined || knows(node, id, forgetful);
}

/** Whether a leader may count this server for an entry: by what it held before, while nobody has seen that it is lost. */
export function mayCount(ghost: Ghost, node: NodeView, id: ServerId, index: LogIndex): boolean {
  const forgetful = ghost.forgetful.get(id);
  if (forgetful === undefined) return true;
  if (knows(node, id, forgetful)) {
    // Whoever has the entry that says so has all before it.
    const at = recordedAt(node, id, forgetful);
    return ghost.holds(id, at, node.log.hashAt(at));
  }
  return !hasSeenLoss(ghost, node, id) && ghost.held(id, index, node.log.hashAt(index));
}

/** Whether a vote that was given in this term may count for this candidate. */
export function mayCountVote(ghost: Ghost, node: NodeView, voter: ServerId): boolean {
  const key = `${node.core.term} ${voter}`;
  return ghost.lostVotes.get(key) === node.id || !ghost.forgetfulVotes.has(key) || isSound(ghost, node, voter);
}
