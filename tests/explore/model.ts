/**
 * What a state is made of: servers, messages and what the world remembers. All of it is immutable once made.
 *
 * @module
 */
import type { CoreState } from "../../src/core/state.ts";
import type { CoreMessage } from "../../src/message.ts";
import type { LogIndex, ServerId, Term } from "../../src/types.ts";

/**
 * An entry: its term times 64, plus who or what it is: 0 to 15 the first entry of that server's leadership, 16 and
 * above a command, 63 the configuration. No two entries that are appended are the same.
 */
export type Entry = number;

/** The configuration that all servers start with, in term 1. */
export const configurationEntry: Entry = 64 + 63;

/** The entry with which a server begins its leadership. */
export function firstEntry(term: Term, server: number): Entry {
  return term * 64 + server;
}

/** The command of that number. */
export function commandEntry(term: Term, command: number): Entry {
  return term * 64 + 16 + command;
}

/** Term of an entry. */
export function termOf(entry: Entry): Term {
  return Math.floor(entry / 64);
}

/** What a power cut leaves. */
export interface Disk {
  readonly term: Term;
  readonly votedFor: ServerId | undefined;
  readonly log: readonly Entry[];
}

/** A write that was asked for. */
export type Write =
  | { readonly type: "vote"; readonly sequence: number; readonly term: Term; readonly votedFor: ServerId | undefined }
  | { readonly type: "truncate"; readonly from: LogIndex }
  | {
    readonly type: "entries";
    readonly from: LogIndex;
    readonly entries: readonly Entry[];
    readonly end: LogIndex;
    readonly epoch: number;
  };

/** One server: the core, what its driver holds, its disk, and what the checker remembers of it. */
export interface Local {
  readonly core: CoreState;
  readonly log: readonly Entry[];
  readonly disk: Disk;
  readonly writes: readonly Write[];
  /** Up to here the log was verified against the leader of the core's term (C6, L5). */
  readonly verified: LogIndex;
  /** The highest index that was acknowledged, and in which term: it stays so, whatever the server forgets (L6, L7). */
  readonly acknowledged: Acknowledged;
}

/** What a server told the leader of a term. */
export interface Acknowledged {
  readonly term: Term;
  readonly index: LogIndex;
}

/** A message under way, with its entries. */
export interface Packet {
  readonly from: ServerId;
  readonly to: ServerId;
  readonly message: CoreMessage;
  readonly entries: readonly Entry[];
}

/** What the world remembers when all servers have forgotten. */
export interface Ghost {
  /** By term: who led it. */
  readonly leaders: readonly (ServerId | undefined)[];
  /** All that was ever committed, and the term of the leader that did so first. */
  readonly commits: readonly { readonly entry: Entry; readonly term: Term }[];
}

/** What can happen at a server. */
export type LocalEvent =
  | { readonly type: "timeout" | "heartbeat" | "step-down" | "give-up" | "persist" | "restart" }
  | { readonly type: "propose"; readonly command: number }
  | { readonly type: "transfer"; readonly to: ServerId }
  /** `lapsed`: the leader had been silent for an election timeout before. */
  | { readonly type: "deliver"; readonly packet: Packet; readonly lapsed: boolean };

/** Names of the servers. */
export const names: readonly ServerId[] = ["a", "b", "c", "d", "e"];

/** The moment at which everything happens: time is abstracted away. */
export const now = 1_000_000;

/** Thrown when an invariant does not hold. */
export class Violation extends Error {
  override name = "Violation";
}

/** Throws when an invariant does not hold. */
export function must(condition: boolean, name: string, detail: () => string): asserts condition {
  if (!condition) throw new Violation(`${name}: ${detail()}`);
}

/** Whether both logs hold the same up to that index. */
export function isPrefix(a: readonly Entry[], b: readonly Entry[], length: LogIndex): boolean {
  if (a.length < length || b.length < length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
