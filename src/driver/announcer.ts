/**
 * Tells whoever watches, reads the log or counts.
 *
 * @module
 */
import type { Effect } from "../core/effect.ts";
import { type DamagedRange, removeDamage } from "../damage.ts";
import type { LeaderHint } from "../errors.ts";
import type { Damage } from "../store/store.ts";
import type { TransportTrouble } from "../transport/transport.ts";
import type { ServerId, Term } from "../types.ts";
import type { DriverParts } from "./parts.ts";

/** What is counted since the start, see {@linkcode RaftMetrics}. */
export interface Counters {
  elections: number;
  leaderChanges: number;
  protocolErrors: number;
  sendsDropped: number;
}

/** Effects that nobody but those who watch has to know of. */
export type Announcement = Extract<
  Effect,
  { type: "compact" | "announce-damage" | "announce-catch-up" | "announce-distrust" | "announce-readmission" }
>;

/** What it needs of its driver. */
export interface AnnouncerHost {
  /** The leader that is followed now, with its address. */
  leader(): LeaderHint | undefined;
  /** Another leader is followed, or none, or the same in another term; `isLost`: there was one before. */
  onLeaderChanged(isLost: boolean): void;
}

/** One server's. */
export class Announcer {
  readonly #parts: Pick<DriverParts<never, never>, "id" | "events" | "logger">;
  readonly #host: AnnouncerHost;
  /** Entries that can't be read from disk. */
  damaged: readonly DamagedRange[] = [];
  #leader: { readonly id: ServerId | undefined; readonly term: Term } = { id: undefined, term: 0 };

  /** What was counted. */
  readonly counters: Counters = { elections: 0, leaderChanges: 0, protocolErrors: 0, sendsDropped: 0 };

  /** Takes whom to tell. */
  constructor(parts: Pick<DriverParts<never, never>, "id" | "events" | "logger">, host: AnnouncerHost) {
    this.#parts = parts;
    this.#host = host;
  }

  /** Something that somebody should look at. */
  warn(message: string): void {
    this.#parts.logger.warn(`${this.#parts.id}: ${message}`);
  }

  /** Something that nobody but those who watch has to know. */
  announce(effect: Announcement): void {
    const { events } = this.#parts;
    switch (effect.type) {
      case "compact":
        events.emit({ type: "log-compacted", firstIndex: effect.firstIndex });
        return this.onDamage(removeDamage(this.damaged, 0, effect.firstIndex));
      case "announce-damage":
        return this.onDamage(effect.damaged);
      case "announce-catch-up":
        return events.emit({ ...effect, type: "catch-up" });
      case "announce-distrust":
        return this.#onDistrust(effect);
      case "announce-readmission":
        return events.emit({ type: "server-readmitted", server: effect.peer });
    }
  }

  #onDistrust({ peer, reason }: Extract<Effect, { type: "announce-distrust" }>): void {
    const disk = reason === "replaced" ? "an empty disk" : "an older copy of its disk";
    this.warn(`${peer} came back with ${disk}: it counts for nothing until it has caught up and is re-admitted`);
    this.#parts.events.emit({ type: "server-distrusted", server: peer, reason });
  }

  /** Role, term or leader changed. */
  onRole({ role, term, leader, reason }: Extract<Effect, { type: "announce-role" }>): void {
    const { id, events, logger } = this.#parts;
    logger.info(`${id}: ${role} in term ${term}, leader ${leader ?? "unknown"} (${reason})`);
    if (role === "candidate") this.counters.elections++;
    events.emit({ type: "role", role, term, reason });
    const before = this.#leader;
    if (before.id === leader && (before.term === term || leader === undefined)) return;
    this.#leader = { id: leader, term };
    this.#host.onLeaderChanged(before.id !== undefined);
    if (leader !== undefined) this.counters.leaderChanges++;
    events.emit({ type: "leader", leader: this.#host.leader(), term });
  }

  /** Entries can't be read from disk any more. */
  onDamageFound({ from, end, file, offset, detail }: Omit<Damage, "isTermKnown">): void {
    this.#parts.events.emit({ type: "disk-damaged", from, end, file, offset, detail });
    this.#parts.logger.error(
      `${this.#parts.id}: entries ${from} to ${end - 1} are damaged: ${file} at ${offset}: ${detail}`,
    );
  }

  /** The disk has no room, or some again. */
  onFull(isFull: boolean): void {
    this.#parts.events.emit({ type: "disk-full", isFull });
    this.warn(isFull ? "the disk is full: make room" : "the disk has room again");
  }

  /** This is damaged now; what was before, and is not among it, was repaired, or is in the log no more. */
  onDamage(damaged: readonly DamagedRange[]): void {
    const before = this.damaged;
    if (before.length === 0 && damaged.length === 0) return;
    this.damaged = damaged;
    let repaired = before;
    for (const { from, end } of damaged) repaired = removeDamage(repaired, from, end);
    for (const { from, end } of repaired) this.#parts.events.emit({ type: "disk-repaired", from, end });
  }

  /** See {@linkcode TransportHandler}. */
  onTrouble({ kind, peer, address, reason }: TransportTrouble): void {
    if (kind === "protocol-error" || kind === "handshake-refused") this.counters.protocolErrors++;
    this.#parts.events.emit({ type: "peer-trouble", peer, kind, reason });
    const where = peer === undefined || address === undefined ? peer ?? address : `${peer} at ${address}`;
    this.warn(`${kind} (${where ?? "unknown peer"}): ${reason}`);
  }
}
