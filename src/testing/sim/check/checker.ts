/**
 * What a checker can look at. Each family of invariants is a checker of its own; all it remembers is in the ghost.
 *
 * @module
 */
import type { Configuration, IndexedConfiguration, LogIndex, ServerId, Term } from "../../../types.ts";
import type { DecodedMessage } from "../../../wire/message_codec.ts";
import type { FileOperation } from "../../memory_file.ts";
import type { Replacement } from "../disk/disk_actions.ts";
import type { DurableWrite } from "../disk_view.ts";
import type { Ghost } from "../ghost.ts";
import type { DiskView, NodeView, StepView } from "../view.ts";

/** Called when something happened. Reports by {@linkcode Ghost.must}. */
export interface Checker {
  /** A life begins: its core is what it found on its disk, and has taken no step. */
  onStart?(ghost: Ghost, node: NodeView): void;
  /** A core took a step. The effects are not performed yet: what it appends is not in `node.log`. */
  onStep?(ghost: Ghost, node: NodeView, step: StepView): void;
  /** A frame leaves a server. */
  onSend?(ghost: Ghost, node: NodeView, to: ServerId, decoded: DecodedMessage): void;
  /** An event is over in which this node took a step. */
  onEvent?(ghost: Ghost, node: NodeView): void;
  /** A write is durable, and in `node.disk`. */
  onPersisted?(ghost: Ghost, node: NodeView, write: DurableWrite): void;
  /** A machine applied a command. */
  onApplied?(ghost: Ghost, node: NodeView, applied: AppliedView): void;
  /** A process is about to read the entries `[from, end)` of its log from its disk. The log in memory is complete. */
  onRead?(ghost: Ghost, node: NodeView, from: LogIndex, end: LogIndex): void;
  /** A disk was read again after a crash. */
  onRecovered?(ghost: Ghost, id: ServerId, recovery: RecoveryView): void;
  /** A process was told that an operation of its disk failed. */
  onFailed?(ghost: Ghost, node: NodeView, operation: FileOperation): void;
  /** A process does again what has failed. */
  onRetried?(ghost: Ghost, id: ServerId, operation: FileOperation): void;
  /** A disk is another one now; the server is down. */
  onReplaced?(ghost: Ghost, id: ServerId, before: DiskView, now: DiskView, by: Replacement): void;
  /** What is durable was looked up by the store's recovery, on a copy of the disk. */
  onExamined?(ghost: Ghost, id: ServerId, said: DiskView, found: DiskView | Error): void;
}

/** One command that a machine applied. */
export interface AppliedView {
  readonly index: LogIndex;
  readonly term: Term;
  /** Hash of the machine's state after it. */
  readonly state: number;
  /** Hash of its result. */
  readonly result: number;
  /** Hash of the state before it, where that is all that the command was applied to. */
  readonly before?: number;
}

/** What a crash left. */
export interface RecoveryView {
  /** What it may have left: all that was durable, with the write that was under way or without it. */
  readonly possible: readonly DiskView[];
  /** What was found. */
  readonly found: DiskView;
  /** Whether it would be found after a power cut too; else it may be in the operating system's cache only. */
  readonly isDurable: boolean;
  /** Whether the disk was damaged meanwhile. */
  readonly isDamaged: boolean;
}

/** Voters, and while joint the ones being left: an own copy of the rule, not the core's. */
export function setsOf({ servers, outgoing }: Configuration): readonly (readonly ServerId[])[] {
  const voters = servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => id);
  return outgoing === undefined ? [voters] : [voters, outgoing];
}

/** Whether a majority of every set is meant. */
export function isQuorum(sets: readonly (readonly ServerId[])[], has: (id: ServerId) => boolean): boolean {
  return sets.every((voters) => voters.length > 0 && voters.filter(has).length * 2 > voters.length);
}

/**
 * Whether a node may campaign as far as the servers are concerned: it has a vote and a priority other than 0, or had
 * before the last change, of which it does not know that it is committed (thesis §4.2.2).
 */
export function mayCampaign({ id, core }: NodeView): boolean {
  const { configurations, commitIndex } = core;
  const mayLead = ({ configuration }: IndexedConfiguration) => {
    const isIdler = configuration.servers.some((server) => server.id === id && server.priority === 0);
    return !isIdler && setsOf(configuration).some((set) => set.includes(id));
  };
  const last = configurations.findLastIndex(mayLead);
  const taking = configurations[last + 1];
  return last >= 0 && (taking === undefined || taking.index > commitIndex);
}

/** The configuration that a node goes by; undefined without one. */
export function configurationIn({ core }: NodeView): Configuration | undefined {
  return core.configurations.at(-1)?.configuration;
}
