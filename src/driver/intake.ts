/**
 * How much of what callers have is taken at a time.
 *
 * @module
 */
import { OverloadedError } from "../errors.ts";
import type { Environment } from "./environment.ts";
import type { Proposal } from "./proposal.ts";
import { WaitingRoom } from "./waiting_room.ts";

/** How much may be in flight, and as much again may wait for room; see {@linkcode RaftSettings}. */
export interface IntakeLimits {
  readonly inFlightCountMax: number;
  readonly inFlightBytesMax: number;
}

/** Counts the commands of one server's callers from when they are taken until they have their result. */
export class Intake {
  readonly #environment: Environment;
  readonly #limits: IntakeLimits;
  readonly #onTaken: (proposal: Proposal) => void;
  readonly #waiting: WaitingRoom;
  #count = 0;
  #bytes = 0;

  /** Commands taken since the start. */
  accepted = 0;
  /** Commands refused since the start. */
  refused = 0;

  /** Takes the clock, the limits, which may change, and what to do with what is taken. */
  constructor(environment: Environment, limits: IntakeLimits, onTaken: (proposal: Proposal) => void) {
    this.#environment = environment;
    this.#limits = limits;
    this.#onTaken = onTaken;
    this.#waiting = new WaitingRoom(environment, limits, (proposal) => this.#refuse(proposal));
  }

  /** Commands in flight. */
  get count(): number {
    return this.#count;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Commands that wait for room. */
  get waitingCount(): number {
    return this.#waiting.count;
  }

  /** Takes a command, lets it wait for room for as long as it may, or refuses it at once. */
  add(proposal: Proposal): void {
    if (proposal.isOwed) return this.#take(proposal);
    // Nobody is overtaken by who comes later.
    this.admit();
    if (this.#waiting.count === 0 && this.#fits(proposal)) return this.#take(proposal);
    const { enqueueTimeoutMs } = proposal;
    if (enqueueTimeoutMs <= 0 || !this.#waiting.add(proposal, enqueueTimeoutMs)) this.#refuse(proposal);
  }

  /** Takes those that have waited for the room that there is now. */
  admit(): void {
    while (this.#waiting.count > 0) {
      const proposal = this.#waiting.next((it) => this.#fits(it));
      if (proposal === undefined) return;
      proposal.queuedAt = this.#environment.now();
      this.#take(proposal);
    }
  }

  /** One that was taken is in flight no longer. */
  release({ payload, isOwed }: Proposal): void {
    if (isOwed) return;
    this.#count--;
    this.#bytes -= payload.length;
  }

  /** What to say to who finds no room, here or at the leader. */
  overloaded(): OverloadedError {
    return new OverloadedError(this.#count, this.#bytes);
  }

  /** Nobody waits for room any more; gives those that did. */
  clear(): Proposal[] {
    return this.#waiting.clear();
  }

  #fits({ payload }: Proposal): boolean {
    const { inFlightCountMax, inFlightBytesMax } = this.#limits;
    // One command always fits, however small the limit.
    return this.#count < inFlightCountMax && (this.#count === 0 || this.#bytes + payload.length <= inFlightBytesMax);
  }

  #take(proposal: Proposal): void {
    this.accepted++;
    this.#onTaken(proposal);
    if (proposal.isOwed) return;
    this.#count++;
    this.#bytes += proposal.payload.length;
  }

  #refuse(proposal: Proposal): void {
    this.refused++;
    proposal.reject(this.overloaded());
  }
}
