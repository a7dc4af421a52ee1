/**
 * Which servers' copies of the log may be damaged, so that what is damaged can be had elsewhere.
 *
 * A server that finds damage refuses to start, and all its copies are out of reach with the damaged one: the atlas counts
 * servers, not entries.
 *
 * @module
 */

/** Damage of a whole cluster. */
export class Atlas {
  readonly #servers: number;
  readonly #most: number;
  readonly #damaged = new Set<number>();
  readonly #lost = new Set<number>();

  /**
   * Takes how many servers there are, all of them voters. Unless damage goes beyond what can be survived, of no entry as
   * many copies as a quorum has are damaged (one of every quorum is whole then), and a quorum stays up.
   */
  constructor(servers: number, isBeyond: boolean) {
    const quorum = Math.floor(servers / 2) + 1;
    this.#servers = servers;
    this.#most = isBeyond ? servers : Math.min(quorum - 1, servers - quorum);
  }

  /** Whether this server's disk may be damaged now. */
  allows(server: number): boolean {
    return !this.#lost.has(server) && (this.#damaged.has(server) || this.#damaged.size < this.#most);
  }

  /** A disk is damaged. */
  damage(server: number): void {
    this.#damaged.add(server);
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

  /** Whether those that are left are a quorum. */
  get isQuorumLeft(): boolean {
    return (this.#servers - this.#lost.size) * 2 > this.#servers;
  }
}
