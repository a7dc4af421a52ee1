/**
 * What a server of a simulation shows to whoever checks it.
 *
 * @module
 */
import type { LogIndex } from "../../types.ts";
import type { FileOperation } from "../memory_file.ts";
import type { ChainLog } from "./chain.ts";
import type { AppliedView, RecoveryView } from "./check/checker.ts";
import type { Replacement } from "./disk/disk_actions.ts";
import type { DurableWrite } from "./disk_view.ts";
import type { SimCommand, SimResult } from "./machine.ts";
import type { Life, SimServer } from "./server.ts";
import type { DiskView, StepView } from "./view.ts";

/** What a server shows to whoever checks it. */
export interface ServerTap {
  /** A life has a core, which has taken no step. */
  onStart(server: SimServer, life: Life): void;
  /** The committed entries up to this one. */
  prefix(index: LogIndex): ChainLog;
  /** A core took a step. */
  onStep(server: SimServer, life: Life, step: StepView): void;
  /** A write is durable. The view has it already. */
  onPersisted(server: SimServer, life: Life, write: DurableWrite): void;
  /** A machine applied a command. */
  onApplied(life: Life, command: SimCommand, applied: AppliedView, result: SimResult): void;
  /** A machine is asked for what it holds, for a snapshot. */
  onCaptured(life: Life): void;
  /** A machine has begun with a snapshot, or with what the log restores. */
  onRestored(server: SimServer, life: Life): void;
  /** A process is about to read entries from its disk. */
  onRead(server: SimServer, life: Life, from: LogIndex, end: LogIndex): void;
  /** A store is open. */
  onOpen(server: SimServer): void;
  /** The disk was recovered after a crash. */
  onRecovered(server: SimServer, recovery: RecoveryView): void;
  /** What is durable was looked up. */
  onExamined(server: SimServer, said: DiskView, found: DiskView | Error): void;
  /** A process was told that an operation of its disk failed. */
  onFailed(life: Life, operation: FileOperation): void;
  /** A process does again what has failed. */
  onRetried(server: SimServer, operation: FileOperation): void;
  /** A disk is another one now. */
  onReplaced(server: SimServer, before: DiskView, by: Replacement): void;
  /** A server has stopped as it should: it was asked to, or was removed. */
  onStopped(server: SimServer, life: Life): void;
  /** A server did not start, or stopped. */
  onDown(server: SimServer, what: "start" | "stop", error: unknown): void;
  /** A server does what it must not, whatever is checked. */
  onTrouble(server: SimServer, what: string, error: unknown): void;
}
