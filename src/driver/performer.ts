/**
 * Performs what the core asks for: hands each effect to whom it is for.
 *
 * @module
 */
import type { Effect } from "../core/effect.ts";
import { configurationOf } from "../core/membership.ts";
import type { CoreState } from "../core/state.ts";
import type { EventHub } from "../events.ts";
import type { SnapshotMeta } from "../store/snapshot_store.ts";
import type { Announcer } from "./announcer.ts";
import type { Applier } from "./applier.ts";
import type { Calls } from "./calls.ts";
import type { Item } from "./item.ts";
import type { Log } from "./log.ts";
import type { DriverHandler } from "./parts.ts";
import type { Peers } from "./peers.ts";
import type { Sender } from "./sender.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Watcher } from "./watcher.ts";
import type { Writer } from "./writer.ts";

/** Who does what is asked for. */
export interface PerformerParts {
  /** What the core knows now. */
  readonly state: Readonly<CoreState>;
  readonly log: Log;
  readonly writer: Writer;
  readonly sender: Sender;
  readonly peers: Peers;
  readonly applier: Pick<Applier<never, never>, "advance" | "install">;
  readonly calls: Calls;
  readonly snapshots: Pick<Snapshots<never, never>, "send" | "receive" | "installation">;
  readonly announcer: Announcer;
  readonly watcher: Watcher;
  readonly events: EventHub;
  readonly handler: DriverHandler;
}

/** One driver's. */
export class Performer {
  readonly #parts: PerformerParts;

  /** Takes who does what. */
  constructor(parts: PerformerParts) {
    this.#parts = parts;
  }

  /** The only switch over effects. The item is what the core was stepped with: what travels beside events is in it. */
  perform(effect: Effect, item: Item): void {
    const { calls, snapshots, announcer, handler } = this.#parts;
    switch (effect.type) {
      case "append":
        return this.#append(effect, item);
      case "replicate":
        return this.#parts.sender.replicate(effect);
      case "send":
        if (!this.#parts.peers.send(effect.to, effect.message)) announcer.counters.sendsDropped++;
        return;
      case "apply":
        return this.#parts.applier.advance(effect.upTo);
      case "persist-vote":
        return this.#parts.writer.vote({ term: effect.term, votedFor: effect.votedFor }, effect.sequence);
      case "truncate":
        return this.#parts.log.truncate(effect.from);
      case "repair":
        return this.#parts.log.repair(effect, item);
      case "compact":
        this.#parts.log.compact(effect);
        return announcer.announce(effect);
      case "send-snapshot":
        return snapshots.send(effect.to, effect.term, effect.beyond);
      case "receive-snapshot":
        return snapshots.receive(effect.from, effect.request);
      case "install-snapshot":
        this.#parts.log.install(effect, item.snapshot!.timeMs);
        return this.#restore(item.snapshot!);
      case "restore-snapshot":
        return this.#restore(item.snapshot!);
      case "refuse-proposals":
        return calls.onProposalsRefused(item.origin!, effect);
      case "answer-read":
        return calls.onReadIndex(effect.id, effect.index);
      case "refuse-read":
        return calls.onReadIndex(effect.id, undefined);
      case "announce-role":
        this.#configurePeers();
        announcer.onRole(effect);
        return handler.onRole();
      case "announce-configuration":
        this.#configurePeers();
        return this.#parts.watcher.onConfiguration(effect);
      case "announce-transfer-failed":
        announcer.warn(
          `leadership transfer${effect.to === undefined ? "" : ` to "${effect.to}"`} failed: ${effect.reason}`,
        );
        calls.administration.onTransferFailed(effect.reason, effect.to, item.asker);
        // A caller's that is refused is not the one under way.
        return effect.reason === "timeout" || item.asker === undefined ? handler.onTransferFailed() : undefined;
      case "settle-change":
        return calls.administration.onSettled(effect.id, effect.index, effect.refusal);
      case "announce-damage":
      case "announce-catch-up":
      case "announce-distrust":
      case "announce-readmission":
        return announcer.announce(effect);
      case "announce-removed":
        this.#parts.events.emit({ type: "removed", index: effect.index });
        return handler.onRemoved();
      case "forget-peer":
        return this.#configurePeers();
    }
  }

  #append(effect: Extract<Effect, { type: "append" }>, item: Item): void {
    const { log, calls } = this.#parts;
    log.append(effect, item);
    if (effect.source === "proposals") calls.onAppended(item.origin!, effect.from, effect.term);
  }

  #restore(snapshot: SnapshotMeta): void {
    const { calls, applier, snapshots } = this.#parts;
    calls.pending.onInstalled(snapshot.index);
    applier.install(snapshots.installation(snapshot));
  }

  /** Also those that are leaving are talked to, until the leader parts with them. */
  #configurePeers(): void {
    const { state, peers } = this.#parts;
    peers.configure(configurationOf(state), [...state.leading?.progress.keys() ?? []]);
  }
}
