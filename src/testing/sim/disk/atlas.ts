/**
 * Which servers' copies of the log may be damaged or lost, so that what is in them can be had elsewhere.
 *
 * A server that finds damage votes for whoever has as much as it had, but does not lead, and whoever leads needs a whole
 * log. Other entries that are damaged elsewhere may leave nobody who has one, though there is a copy of each: the atlas
 * counts servers, not entries. One that has another disk counts for nothing until it is re-admitted (M8).
 *
 * @module
 */
import type { Configuration, Disk, LogIndex, ServerId } from "../../../types.ts";
import { setsOf } from "../check/checker.ts";
import type { Ghost } from "../ghost.ts";
import type { DiskView } from "../view.ts";

/** Damage of a whole cluster. */
export class Atlas {
  /** Sets of servers, by their places, a majority of each of which must be able to go on. */
  readonly #sets: () => readonly (readonly number[])[];
  /** Whether more may be damaged than can be survived. */
  readonly goesBeyond: boolean;
  readonly #damaged = new Set<number>();
  readonly #lost = new Set<number>();
  readonly #ghost: Pick<Ghost, "forgetful" | "disks" | "commits">;
  /** Whether more was damaged than can be survived, where that may be. */
  isExceeded = false;
  /** Whether a disk was replaced where nothing says that this can be survived. */
  isBeyond = false;

  /**
   * Takes how many servers there are, all of them voters, unless it is told who may decide. Unless damage goes beyond what
   * can be survived, of no entry as many copies as a quorum has are damaged (one of every quorum is whole then), and a
   * quorum stays up. Beyond that it is judged at the end whether what is left suffices, see survivors.ts.
   */
  constructor(
    servers: number,
    isBeyond: boolean,
    ghost: Pick<Ghost, "forgetful" | "disks" | "commits">,
    deciding?: () => readonly (readonly ServerId[])[],
  ) {
    this.#ghost = ghost;
    const all = Array.from({ length: servers }, (_, i) => i);
    this.#sets = () => deciding?.().map((voters) => voters.map((id) => this.#places.indexOf(id))) ?? [all];
    this.goesBeyond = isBeyond;
  }

  /** Whether this server's disk may be damaged now. */
  allows(server: number): boolean {
    if (this.#lost.has(server)) return false;
    // Who has forgotten is re-admitted by a quorum of others.
    const goesBeyond = this.goesBeyond && this.#forgetful.length === 0;
    return goesBeyond || this.#canSpare(server);
  }

  /**
   * Whether a server may go on with another disk, which makes itself known by this: when all others that may decide have it
   * in their logs, committed, by which disk it was known, and can tell; and when those that lack a change of the servers
   * with it could not decide without the others.
   */
  allowsReplacement(server: number, now: Disk): boolean {
    // Before there is anybody who may decide, it might be the only one that is to begin, which it then never does.
    if (this.#sets().length === 0 || !this.#isSuccessionKept(server)) return false;
    if (this.#lost.has(server) || this.#damaged.has(server) || !this.#canSpare(server)) return false;
    const id = this.#idOf(server);
    return this.#others(server).every((disk) => {
      const recorded = diskIn(this.#committedIn(disk), id);
      return recorded !== undefined && !isTakenFor(now, recorded);
    });
  }

  /** Whether of every set that this server belongs to a majority is left when its copy is out of reach, too. */
  #canSpare(server: number): boolean {
    const without = new Set([...this.#damaged, ...this.#forgetful]);
    if (without.has(server)) return true;
    without.add(server);
    return this.#sets().every((voters) => !voters.includes(server) || isMajorityLeft(voters, without));
  }

  /** Whether one that has an older copy of its disk would pass for what it was, as it was started often enough since. */
  passes(server: number, now: Disk): boolean {
    const id = this.#idOf(server);
    if (!this.#ghost.forgetful.has(id)) return false;
    return this.#others(server).some((disk) => {
      const recorded = diskIn(this.#committedIn(disk), id);
      return recorded === undefined || isTakenFor(now, recorded);
    });
  }

  get #places(): readonly ServerId[] {
    return [...this.#ghost.disks.keys()];
  }

  #idOf(server: number): ServerId {
    return this.#places[server]!;
  }

  get #forgetful(): number[] {
    return [...this.#ghost.forgetful.keys()].map((id) => this.#places.indexOf(id));
  }

  /** What is on the disks of those that may decide and have not forgotten anything. */
  #others(server: number): DiskView[] {
    const { forgetful } = this.#ghost;
    const deciding = new Set(this.#sets().flat());
    const others = [...this.#ghost.disks].filter(([id], at) => at !== server && deciding.has(at) && !forgetful.has(id));
    return others.map(([, disk]) => disk);
  }

  /** Whether no quorum of an earlier configuration lacks the one with other voters that came next, when this server does. */
  #isSuccessionKept(server: number): boolean {
    const { commits, disks } = this.#ghost;
    const lacks = (id: ServerId, index: LogIndex) =>
      id === this.#idOf(server) || disks.get(id)?.log.hashAt(index) !== commits.at(index)!.hash;
    let before: readonly (readonly ServerId[])[] = [];
    for (const [index, { configuration }] of commits) {
      if (configuration === undefined) continue;
      const sets = setsOf(configuration);
      const isOther = `${before.join(";")}` !== `${sets.join(";")}`;
      const isHeld = (voters: readonly ServerId[]) => {
        return voters.filter((voter) => lacks(voter, index)).length * 2 <= voters.length;
      };
      if (isOther && !before.every(isHeld)) return false;
      before = sets;
    }
    return true;
  }

  /** The last configuration on a disk that is committed. */
  #committedIn({ log }: DiskView): Configuration | undefined {
    const { commits } = this.#ghost;
    return log.configurations.findLast(({ index }) => commits.at(index)?.hash === log.hashAt(index))?.configuration;
  }

  /** A disk is damaged. */
  damage(server: number): void {
    this.isExceeded ||= !this.#canSpare(server);
    this.#damaged.add(server);
  }

  /** Whether a disk was damaged, and nobody knows yet that all is there. */
  isDamaged(server: number): boolean {
    return this.#damaged.has(server);
  }

  /** The server has started: it found all that it had. */
  absolve(server: number): void {
    this.#damaged.delete(server);
  }

  /** The server will never start again. */
  lose(server: number): void {
    this.#lost.add(server);
  }

  /** Whether a server will never start again. */
  isLost(server: number): boolean {
    return this.#lost.has(server);
  }

  /**
   * Whether those that are up and have not forgotten anything are a quorum of everybody who may decide: where servers come
   * and go a change may have been on its way when a disk was lost.
   */
  get isQuorumSound(): boolean {
    const without = new Set([...this.#lost, ...this.#forgetful]);
    return this.#sets().every((voters) => isMajorityLeft(voters, without));
  }

  /** Whether those that are left are a quorum of everybody who may decide. */
  get isQuorumLeft(): boolean {
    return this.#lost.size === 0 || this.#sets().every((voters) => isMajorityLeft(voters, this.#lost));
  }
}

function isMajorityLeft(voters: readonly number[], without: ReadonlySet<number>): boolean {
  return voters.filter((voter) => !without.has(voter)).length * 2 > voters.length;
}

function diskIn(configuration: Configuration | undefined, id: ServerId): Disk | undefined {
  return configuration?.servers.find((server) => server.id === id)?.disk;
}

/** Whether a disk that makes itself known by this is taken for the recorded one. */
function isTakenFor(now: Disk, recorded: Disk): boolean {
  return now.incarnation === recorded.incarnation && now.starts >= recorded.starts;
}
