/**
 * What went wrong lately and is not over, from the events: what a status does not tell.
 *
 * @module
 */
import type { RaftEvent } from "./events.ts";
import type { LogIndex, ServerId } from "./types.ts";

/** What is known of one peer's trouble. Times in milliseconds. */
export interface PeerTrouble {
  /** For how long it can't be talked to. */
  readonly unreachableMs?: number;
  /** Why, as the transport said last. */
  readonly reason?: string;
  /** On the leader: for how long it has not answered. */
  readonly silentMs?: number;
  /** On the leader: it came back without what it had. */
  readonly distrusted?: "replaced" | "older";
  /** Its machine differs from ours, as of that entry. */
  readonly diverged?: { readonly index: LogIndex; readonly agreedIndex: LogIndex };
  /** A snapshot on its way to or from it. */
  readonly snapshot?: { readonly direction: "sending" | "receiving"; readonly bytes: number; readonly total: number };
}

/** What is wrong at one moment. */
export interface Troubles {
  /** For how long no leader is known; undefined while one is. */
  readonly leaderlessMs: number | undefined;
  /** The last snapshot that could not be done, unless one could since. */
  readonly snapshotFailure: { readonly operation: string; readonly reason: string; readonly ageMs: number } | undefined;
  /** What is known of this peer. */
  of(peer: ServerId): PeerTrouble;
}

interface Noted {
  disconnectedAt?: number | undefined;
  reason?: string | undefined;
  heardAt?: number | undefined;
  distrusted?: PeerTrouble["distrusted"];
  diverged?: PeerTrouble["diverged"];
  snapshot?: PeerTrouble["snapshot"];
}

/** Who is not of the cluster may give itself any name. */
const peersMax = 64;

/** One server's, for as long as it runs. */
export class TroubleLog {
  readonly #startedAt: number;
  readonly #peers = new Map<ServerId, Noted>();
  #leaderlessAt: number | undefined;
  #snapshotFailure: { readonly operation: string; readonly reason: string; readonly at: number } | undefined;

  /** Nobody is connected when a server starts, and no leader is known. */
  constructor(now: number) {
    this.#startedAt = now;
    this.#leaderlessAt = now;
  }

  /** Something happened. */
  note(event: RaftEvent, now: number): void {
    switch (event.type) {
      case "leader":
        this.#leaderlessAt = event.leader === undefined ? this.#leaderlessAt ?? now : undefined;
        return;
      case "role":
        // What only a leader knows is not known any more.
        if (event.role !== "leader") { for (const of of this.#peers.values()) of.heardAt = of.distrusted = undefined; }
        return;
      case "peer-connected":
        return this.#set(event.peer, { disconnectedAt: undefined, reason: undefined, snapshot: undefined });
      case "peer-disconnected":
        return this.#set(event.peer, { disconnectedAt: now, reason: event.reason, snapshot: undefined });
      case "peer-trouble":
        if (event.peer !== undefined) this.#set(event.peer, { reason: event.reason });
        return;
      case "heartbeat-failed":
        return this.#set(event.peer, { heardAt: now - event.lastContactMs });
      case "heartbeat-resumed":
        return this.#set(event.peer, { heardAt: undefined });
      case "server-distrusted":
        return this.#set(event.server, { distrusted: event.reason });
      case "server-readmitted":
        return this.#set(event.server, { distrusted: undefined });
      case "server-removed":
        this.#peers.delete(event.server.id);
        return;
      case "state-diverged":
        return this.#set(event.peer, { diverged: event });
      case "state-agrees":
        return this.#set(event.peer, { diverged: undefined });
      case "snapshot-progress":
        return this.#set(event.peer, { snapshot: event.bytes < event.total ? event : undefined });
      case "snapshot-taken":
      case "snapshot-installed":
        this.#snapshotFailure = undefined;
        return;
      case "snapshot-failed":
        this.#snapshotFailure = { operation: event.operation, reason: event.reason, at: now };
        if (event.peer !== undefined) this.#set(event.peer, { snapshot: undefined });
    }
  }

  #set(peer: ServerId, news: Noted): void {
    const noted = { ...this.#peers.get(peer), ...news };
    this.#peers.delete(peer);
    this.#peers.set(peer, noted);
    if (this.#peers.size > peersMax) this.#peers.delete(this.#peers.keys().next().value!);
  }

  /** What is wrong now. */
  at(now: number): Troubles {
    const failure = this.#snapshotFailure;
    return {
      leaderlessMs: this.#leaderlessAt === undefined ? undefined : now - this.#leaderlessAt,
      snapshotFailure: failure && { operation: failure.operation, reason: failure.reason, ageMs: now - failure.at },
      of: (peer) => {
        const noted: Noted = this.#peers.get(peer) ?? {};
        const { disconnectedAt = this.#startedAt, reason, heardAt, distrusted, diverged, snapshot } = noted;
        return {
          unreachableMs: now - disconnectedAt,
          ...(reason === undefined ? {} : { reason }),
          ...(heardAt === undefined ? {} : { silentMs: now - heardAt }),
          ...(distrusted === undefined ? {} : { distrusted }),
          ...(diverged === undefined ? {} : { diverged }),
          ...(snapshot === undefined ? {} : { snapshot }),
        };
      },
    };
  }
}
