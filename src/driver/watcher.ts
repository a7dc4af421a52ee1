/**
 * Tells what a turn has changed and no effect says: who came and went, what is committed, who is not heard any more.
 *
 * @module
 */
import type { Effect } from "../core/effect.ts";
import { configurationIndex } from "../core/membership.ts";
import type { Progress } from "../core/progress.ts";
import type { CoreState } from "../core/state.ts";
import type { EventHub } from "../events.ts";
import type { LogIndex, Server, ServerId } from "../types.ts";

/** What it looks at in a core's state. */
export type Watched = Pick<CoreState, "id" | "commitIndex" | "configurations" | "leading" | "settings">;

/** One server's. */
export class Watcher {
  readonly #events: Pick<EventHub, "emit">;
  #servers: ReadonlyMap<ServerId, Server> | undefined;
  #committedIndex: LogIndex;
  /** Peers that this leader does not hear. */
  readonly #silent = new Set<ServerId>();
  #nextAt = -Infinity;

  /** Takes whom to tell. What was committed before is no news. */
  constructor(events: Pick<EventHub, "emit">, { configurations, commitIndex }: Watched) {
    this.#events = events;
    this.#committedIndex = configurations.findLast(({ index }) => index <= commitIndex)?.index ?? 0;
  }

  /** Another configuration is in force. The first one that is known makes nobody new. */
  onConfiguration({ index, configuration }: Extract<Effect, { type: "announce-configuration" }>): void {
    this.#events.emit({ type: "configuration", index, configuration });
    const before = this.#servers;
    const now = new Map(configuration.servers.map((server) => [server.id, server]));
    this.#servers = now;
    if (before === undefined || before.size === 0) return;
    for (const server of now.values()) {
      const old = before.get(server.id);
      if (old === undefined) this.#events.emit({ type: "server-added", server, index });
      else if (!isSame(old, server)) this.#events.emit({ type: "server-updated", server, before: old, index });
    }
    for (const server of before.values()) {
      if (!now.has(server.id)) this.#events.emit({ type: "server-removed", server, index });
    }
  }

  /** A turn is over. */
  look(state: Watched, now: number): void {
    if (configurationIndex(state) > this.#committedIndex) this.#tellCommitted(state);
    if (state.leading === undefined) return this.#silent.clear();
    if (now < this.#nextAt) return;
    // Heartbeats are what is heard, so there is no use in looking more often.
    this.#nextAt = now + state.settings.heartbeatMs / 2;
    this.#listen(state.leading.progress, now, state.settings.leaseMs);
  }

  #tellCommitted({ configurations, commitIndex }: Watched): void {
    for (const { index, configuration } of configurations) {
      if (index <= this.#committedIndex || index > commitIndex) continue;
      this.#committedIndex = index;
      this.#events.emit({ type: "configuration-committed", index, configuration });
    }
  }

  #listen(progress: ReadonlyMap<ServerId, Pick<Progress, "heardAt" | "leaving">>, now: number, leaseMs: number): void {
    for (const peer of this.#silent) if (!progress.has(peer)) this.#silent.delete(peer);
    for (const [peer, { heardAt, leaving }] of progress) {
      if (leaving !== undefined) continue; // It was removed: that it goes is no news.
      const lastContactMs = now - heardAt;
      const isSilent = lastContactMs > leaseMs;
      if (isSilent === this.#silent.has(peer)) continue;
      if (isSilent) this.#silent.add(peer);
      else this.#silent.delete(peer);
      this.#events.emit({ type: isSilent ? "heartbeat-failed" : "heartbeat-resumed", peer, lastContactMs });
    }
  }
}

/** Whether nothing has changed that an operator would call a change: disks are noted by the servers themselves. */
function isSame(a: Server, b: Server): boolean {
  return a.address === b.address && a.suffrage === b.suffrage && a.priority === b.priority && a.leaving === b.leaving;
}
