/**
 * States as short rows of small numbers, the same for states that can't be told apart: times are left out (an election
 * timeout may come at any moment), and so is the generator; sequence numbers of writes start at the last one that ended.
 *
 * A row can be made as if the servers had other names. The core never compares names, so states that differ in names
 * alone have the same future, and the explorer looks at one of them.
 *
 * @module
 */
import type { Progress } from "../../src/core/progress.ts";
import type { CoreState } from "../../src/core/state.ts";
import type { Message } from "../../src/message.ts";
import type { ServerId } from "../../src/types.ts";
import { type Disk, type Entry, type Ghost, type Local, names, type Packet, type Write } from "./model.ts";

/** New names: server `i` is called `to[i]`, and `from` is the way back. */
export interface Renaming {
  readonly to: readonly number[];
  readonly from: readonly number[];
}

/** All renamings of so many servers; the first changes nothing. */
export function renamings(count: number): Renaming[] {
  const all: Renaming[] = [];
  const visit = (to: number[]) => {
    if (to.length === count) all.push({ to, from: to.map((_, i) => to.indexOf(i)) });
    for (let i = 0; i < count; i++) if (!to.includes(i)) visit([...to, i]);
  };
  visit([]);
  return all;
}

const roles = ["follower", "pre-candidate", "candidate", "leader"];
const nobody = 15;

/** Writes rows. */
export class Encoder {
  readonly row: number[] = [];
  #names: Renaming;

  constructor(names: Renaming) {
    this.#names = names;
  }

  /** Starts anew under these names. */
  begin(names: Renaming): void {
    this.row.length = 0;
    this.#names = names;
  }

  #id(id: ServerId | undefined): void {
    this.row.push(id === undefined ? nobody : this.#names.to[id.charCodeAt(0) - 97]!);
  }

  #entries(entries: readonly Entry[]): void {
    this.row.push(entries.length);
    for (const entry of entries) {
      const who = entry & 63;
      this.row.push(who < 16 ? entry - who + this.#names.to[who]! : entry);
    }
  }

  /** A server. */
  local({ core, log, disk, writes, verified, acknowledged }: Local): void {
    const { row } = this;
    this.#id(core.id);
    row.push(core.term, roles.indexOf(core.role), verified, acknowledged.term, acknowledged.index);
    this.#id(core.votedFor);
    this.#id(core.leader);
    this.#id(core.termLeader);
    row.push(core.log.lastIndex, core.configurations.length, core.voteAsked - core.votePersisted);
    row.push(core.persistedIndex, core.epoch, core.commitIndex, core.appliedIndex, core.verifiedIndex);
    row.push(core.leaderHeardAt === -Infinity ? 0 : 1, core.roundAnswered, core.removedAt);
    row.push(core.ackOwed?.sequence ?? 0, core.ackOwed?.round ?? 0);
    this.#entries(log);
    this.#disk(disk);
    row.push(writes.length);
    for (const write of writes) this.#write(write, core);
    row.push(core.withheld.length);
    for (const { to, message } of core.withheld) {
      this.#id(to);
      this.message(message);
    }
    this.#campaign(core);
    this.#leading(core);
  }

  #disk({ term, votedFor, log }: Disk): void {
    this.row.push(term);
    this.#id(votedFor);
    this.#entries(log);
  }

  #write(write: Write, core: CoreState): void {
    const { row } = this;
    if (write.type === "vote") {
      row.push(1, write.sequence - core.votePersisted, write.term);
      this.#id(write.votedFor);
    } else if (write.type === "truncate") {
      row.push(2, write.from);
    } else {
      row.push(3, write.from, write.end, write.epoch);
      this.#entries(write.entries);
    }
  }

  #campaign({ campaign }: CoreState): void {
    const { row } = this;
    if (campaign === undefined) {
      row.push(0);
      return;
    }
    row.push(1 + Number(campaign.pre) + 2 * Number(campaign.transfer), campaign.term);
    for (const server of this.#names.from) {
      const vote = campaign.votes.get(names[server]!);
      row.push(vote === undefined ? 2 : Number(vote));
    }
  }

  #leading({ leading }: CoreState): void {
    const { row } = this;
    if (leading === undefined) {
      row.push(0);
      return;
    }
    // Nobody asks for other servers here, so what belongs to that is always empty.
    row.push(1, leading.firstIndex, leading.round, Number(leading.reconfigures));
    for (const server of this.#names.from) {
      const progress = leading.progress.get(names[server]!);
      if (progress !== undefined) this.#progress(progress);
    }
  }

  #progress(progress: Progress): void {
    const { row } = this;
    const { matchIndex, nextIndex, sequence, stateSequence, probe, inFlight, commitSent, ackedRound } = progress;
    const flags = Number(progress.state === "replicate") + 2 * Number(progress.blocked) +
      4 * Number(progress.heartbeatDue) + 8 * Number(progress.sending !== undefined);
    row.push(flags, matchIndex, nextIndex, sequence, stateSequence, commitSent, ackedRound);
    row.push(probe?.sequence ?? 0, probe?.end ?? 0, inFlight.length);
    for (const it of inFlight) row.push(it.sequence, it.end, it.bytes);
  }

  /** A message under way. */
  packet({ from, to, message, entries }: Packet): void {
    this.#id(from);
    this.#id(to);
    this.message(message);
    this.#entries(entries);
  }

  /** A message. */
  message(message: Message): void {
    const { row } = this;
    switch (message.type) {
      case "vote-request":
        row.push(1, message.term, Number(message.pre), message.lastIndex, message.lastTerm, Number(message.transfer));
        return;
      case "vote-response":
        row.push(2, message.term, Number(message.pre), message.campaign, Number(message.granted));
        return;
      case "append-request": {
        const { term, sequence, prevIndex, prevTerm, end, commitIndex, round } = message;
        row.push(3, term, sequence, prevIndex, prevTerm, end, commitIndex, round);
        return;
      }
      case "append-response": {
        const { term, sequence, round, matchIndex, rejected } = message;
        row.push(4, term, sequence, round, matchIndex, rejected === undefined ? 0 : 1);
        if (rejected !== undefined) row.push(rejected.prevIndex, rejected.hintIndex, rejected.hintTerm);
        return;
      }
      default:
        row.push(5, message.term);
    }
  }

  /** What the world remembers. */
  ghost({ leaders, commits }: Ghost): void {
    this.row.push(leaders.length);
    for (const leader of leaders) this.#id(leader);
    this.#entries(commits.map(({ entry }) => entry));
    for (const { term } of commits) this.row.push(term);
  }

  /** The row as a key. */
  key(): string {
    return String.fromCharCode.apply(null, this.row);
  }

  /** Two independent hashes of the row, 32 bits each. */
  hash(into: Int32Array, at: number, kind: number): void {
    let low = 0x243f6a88 ^ kind;
    let high = 0x13198a2e ^ Math.imul(kind, 0x9e3779b1);
    for (const item of this.row) {
      low = Math.imul(low ^ item, 0x5bd1e995);
      low ^= low >>> 13;
      high = Math.imul(high ^ (item + 0x7feb352d), 0x1b873593);
      high ^= high >>> 15;
    }
    into[at] = finish(low);
    into[at + 1] = finish(high ^ this.row.length);
  }
}

function finish(hash: number): number {
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
