/**
 * Errors of a disk: which operations fail, what was told to whom, and which of it explains why a server is down.
 *
 * @module
 */
import { CorruptionError, StorageError, StorageFullError } from "../../../errors.ts";
import type { FileOperation } from "../../memory_file.ts";
import type { DiskFault } from "../survivable.ts";
import type { ErrorTarget } from "./disk_actions.ts";

/** What a fault says when it falls on an operation. */
const faultOf: Readonly<Record<ErrorTarget, DiskFault>> = {
  read: "read-error",
  write: "write-error",
  sync: "sync-error",
  name: "name-error",
};

interface Failure {
  readonly fault: DiskFault;
  readonly error: Error;
}

/** What a disk's errors tell. */
export interface TroubleTap {
  /** A process was told of an error. */
  onFailed(operation: FileOperation): void;
  /** D1: it tries again what has failed. */
  onRetried(operation: FileOperation): void;
}

/** The errors of one disk. */
export class DiskTrouble {
  readonly #tap: TroubleTap;
  /** Whether the next operation fails, or all do. */
  readonly #armed = new Map<ErrorTarget, "once" | "lasting">();
  /** What the process that lives now was told. */
  readonly #failures: Failure[] = [];
  /** Files of which a write or a sync has failed in this life. */
  readonly #unsafe = new Set<string>();
  #misreads = 0;
  /** Operations that will fail. */
  #failing = 0;

  /** No errors. */
  constructor(tap: TroubleTap) {
    this.#tap = tap;
  }

  /** Whether the process that lives was told of an error, or will be. */
  get hasFailed(): boolean {
    return this.#failures.length > 0 || this.#failing > 0;
  }

  /** Lets the next operation fail, or all until it is disarmed. */
  arm(target: ErrorTarget, lasts: boolean): void {
    this.#armed.set(target, lasts ? "lasting" : "once");
  }

  /** Lets none fail any more. */
  disarm(target: ErrorTarget): void {
    this.#armed.delete(target);
  }

  /** Ends all. */
  heal(): void {
    this.#armed.clear();
  }

  /** Another process begins, which was told nothing. */
  endLife(): void {
    this.#failures.length = 0;
    this.#unsafe.clear();
    this.#misreads = 0;
    this.#failing = 0;
  }

  /** The error of an operation that begins. */
  faultOf(operation: FileOperation): Error | undefined {
    const { kind, name } = operation;
    const target = targetOf(kind);
    if (this.#unsafe.has(name)) {
      if (kind === "sync" || (kind === "write" && isSegment(name))) this.#tap.onRetried(operation);
      // What is written anew and synced then owes nothing to the sync that failed.
      else if (kind === "write" || kind === "truncate") this.#unsafe.delete(name);
    }
    const armed = this.#armed.get(target);
    if (armed === undefined) return undefined;
    if (armed === "once") this.#armed.delete(target);
    this.#failing++;
    const [code, what] = kind === "open" ? ["EMFILE", "too many open files"] : ["EIO", "i/o error"];
    return Object.assign(new Error(`${code}: ${what}, ${kind} "${name}"`), { code });
  }

  /** A process is told of an error. */
  onFailure(operation: FileOperation, error: Error): void {
    const { kind, name } = operation;
    const isFull = (error as { code?: string }).code === "ENOSPC";
    if (!isFull) this.#failing--;
    this.#failures.push({ fault: isFull ? "disk-full" : faultOf[targetOf(kind)], error });
    // What found no room was not taken: it may be written to the same place when there is some.
    if (kind === "sync" || (kind === "write" && !isFull)) this.#unsafe.add(name);
    this.#tap.onFailed(operation);
  }

  /** A process was given what is not on the disk. */
  onMisread(): void {
    this.#misreads++;
  }

  /** The fault that explains why a server stopped or did not start; undefined when none does. */
  explain(error: unknown, location: string): DiskFault | undefined {
    if (error instanceof CorruptionError) {
      const isPrecise = error.file.startsWith(`${location}/`) && Number.isSafeInteger(error.offset);
      const cause = this.#failures.find(({ error: { message } }) => error.message.includes(message));
      return cause?.fault ?? (this.#misreads > 0 && isPrecise ? "misread" : undefined);
    }
    if (!(error instanceof StorageError || error instanceof StorageFullError)) return undefined;
    const { message } = error;
    if (!message.includes(location) && !isAboutSnapshots(error)) return undefined;
    if (error instanceof StorageFullError) return this.#failures.find(({ fault }) => fault === "disk-full")?.fault;
    const fault = this.#failures.find(({ error: { message: cause } }) => message.includes(cause))?.fault;
    return fault ?? (this.#misreads > 0 && isAboutSnapshots(error) ? "misread" : undefined);
  }
}

/** Whether a server is down as it has no snapshot to go on from, or could not take one. */
export function isAboutSnapshots(error: unknown): boolean {
  if (!(error instanceof StorageError)) return false;
  return /"snapshot-\d+-\d+-\d+"|as the log begins after entry \d+/.test(error.message);
}

/** Whether this is a file of the log, to which a batch goes at most once. */
function isSegment(name: string): boolean {
  return name.endsWith(".wal");
}

function targetOf(kind: FileOperation["kind"]): ErrorTarget {
  switch (kind) {
    case "read":
    case "list":
      return "read";
    case "write":
    case "truncate":
      return "write";
    case "sync":
      return "sync";
    default:
      return "name";
  }
}
