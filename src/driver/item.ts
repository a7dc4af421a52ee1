/**
 * What waits in a driver's inbox.
 *
 * @module
 */
import type { Event } from "../core/event.ts";
import type { SnapshotMeta } from "../store/snapshot_store.ts";
import type { ServerId } from "../types.ts";
import type { ForwardedCommand } from "../wire/command_codec.ts";
import type { Records } from "../wire/record.ts";
import type { Proposal } from "./proposal.ts";

/** Where the commands of a `proposed` event come from: callers of this server, or a peer that forwards its callers'. */
export type Origin =
  | { readonly type: "own"; readonly proposals: readonly Proposal[] }
  | {
    readonly type: "peer";
    readonly peer: ServerId;
    readonly id: number;
    readonly entries: readonly ForwardedCommand[];
  };

/** An event with what travels beside it. */
export interface Item {
  readonly event: Event;
  /** Of an append that came in, or entry 1 of a new cluster. */
  readonly records?: Records | undefined;
  /** That was received. */
  readonly snapshot?: SnapshotMeta | undefined;
  /** Of commands. */
  readonly origin?: Origin | undefined;
  /** Of a wish for another leader: who is told when it is refused. */
  readonly asker?: object | undefined;
}
