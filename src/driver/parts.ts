/**
 * What a driver is made of, and whom it tells.
 *
 * @module
 */
import type { RaftError } from "../errors.ts";
import type { EventHub } from "../events.ts";
import type { Codec, StateMachine } from "../machine.ts";
import type { Logger, RaftSettings } from "../options.ts";
import type { SnapshotMeta, SnapshotStore } from "../store/snapshot_store.ts";
import type { Store, StoreState } from "../store/store.ts";
import type { ServerId } from "../types.ts";
import type { Beginning } from "./beginning.ts";
import type { Environment } from "./environment.ts";
import type { SessionTable } from "./session_table.ts";

/** What a driver is made of. */
export interface DriverParts<Command, Result> {
  readonly id: ServerId;
  /** Changed in place, see {@linkcode Driver.reconfigure}. */
  readonly settings: RaftSettings;
  readonly machine: StateMachine<Command, Result>;
  readonly codec: Codec<Command>;
  readonly store: Store;
  readonly found: StoreState;
  /** Where snapshots are kept; undefined when this server keeps none. */
  readonly snapshots: SnapshotStore | undefined;
  /** The snapshot that the machine was restored from. */
  readonly snapshot: SnapshotMeta | undefined;
  /** The sessions that came with it. */
  readonly sessions: SessionTable;
  /** How the cluster began, as the snapshot says. */
  readonly beginning: Beginning;
  readonly environment: Environment;
  readonly events: EventHub;
  readonly logger: Logger;
}

/** What a driver tells the server that it drives. */
export interface DriverHandler {
  /** The server can't go on. Called once at most. */
  onFatal(error: RaftError): void;
  /** Role, term or leader changed. */
  onRole(): void;
  /** A leadership transfer ended without a new leader. */
  onTransferFailed(): void;
  /** All that has come is taken, and what it led to is asked for. */
  onTurn(): void;
  /** This server is no longer part of the cluster. */
  onRemoved(): void;
}
