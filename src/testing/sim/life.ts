/**
 * One life of a server in a simulation.
 *
 * @module
 */
import type { RaftSettings } from "../../options.ts";
import type { Raft } from "../../raft.ts";
import type { ReloadableSettings } from "../../reload.ts";
import type { LogCache } from "../../store/log_cache.ts";
import type { LogIndex } from "../../types.ts";
import type { Draining } from "./draining.ts";
import type { SimCommand, SimMachine, SimResult } from "./machine.ts";
import type { Room } from "./room.ts";
import type { NodeView } from "./view.ts";

/** One life of a server, from start to crash. */
export interface Life extends NodeView {
  raft: Raft<SimCommand, SimResult> | undefined;
  readonly machine: SimMachine;
  /** Set when it crashed or has stopped. */
  isOver: boolean;
  /** Set when it was asked to shut down, or does so by itself. */
  isStopping: boolean;
  /** Set when it was shut down, and did. */
  hasStopped: boolean;
  /** Removed from the log since the views were brought up to date. */
  truncatedFrom: LogIndex;
  /** The last entry of a snapshot that has taken the log's place since then; 0 when none has. */
  installed: LogIndex;
  /** How many snapshots have taken the log's place. */
  installs: number;
  /** The settings that it was started with, and those that it was given since. */
  readonly configured: RaftSettings;
  reloaded: Partial<ReloadableSettings>;
  /** Undefined when it was not told to drain, or goes on. */
  draining: Draining | undefined;
  /** The most commands of its own callers that it may have in flight, by the settings in force and by those before them. */
  room: Room | undefined;
  cache: LogCache | undefined;
}
