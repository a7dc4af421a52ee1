/**
 * The state that the cluster replicates: keys with bytes. Commands change it in the order of the log, the same on
 * every server; reads and watchers look at it.
 *
 * @module
 */
import type { ApplyContext, LogIndex, StateMachine } from "@securecollc/raft";
import { ChangeLog } from "./change_log.ts";
import { SortedKeys } from "./sorted_keys.ts";

/** What can be done to a key. `expect: null` means that it must be absent. */
export type Command =
  | { readonly op: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly op: "delete"; readonly key: string }
  | { readonly op: "cas"; readonly key: string; readonly expect: Uint8Array | null; readonly value: Uint8Array };

/** Whether the command changed something: always for a put, when the key was there for a delete. */
export type Result = boolean;

/** A value and where it comes from. */
export interface Item {
  readonly value: Uint8Array;
  /** Index of the log entry that wrote it. */
  readonly index: LogIndex;
}

/** One change of one key. */
export interface Change {
  readonly index: LogIndex;
  readonly key: string;
  /** The new value; undefined when the key was deleted. */
  readonly value: Uint8Array | undefined;
}

/** What a listing tells about a key. */
export interface Listed {
  readonly key: string;
  readonly index: LogIndex;
  readonly bytes: number;
}

/** Keys and values. */
export class KvMachine implements StateMachine<Command, Result> {
  readonly #items = new Map<string, Item>();
  readonly #keys = new SortedKeys();
  readonly #changes = new ChangeLog();
  readonly #watchers = new Set<(change: Change) => void>();
  #index: LogIndex = 0;

  /** Index of the last command that was applied. */
  get index(): LogIndex {
    return this.#index;
  }

  apply(command: Command, { index }: ApplyContext): Result {
    this.#index = index;
    const { key } = command;
    const item = this.#items.get(key);
    switch (command.op) {
      case "put":
        this.#set(key, command.value, index);
        return true;
      case "delete":
        if (item === undefined) return false;
        this.#items.delete(key);
        this.#keys.delete(key);
        this.#tell({ index, key, value: undefined });
        return true;
      case "cas":
        if (!isExpected(item?.value, command.expect)) return false;
        this.#set(key, command.value, index);
        return true;
    }
  }

  get(key: string): Item | undefined {
    return this.#items.get(key);
  }

  /** The first keys with that prefix, in order, after the given one; one more than the limit if there are more. */
  list(prefix: string, after: string | undefined, limit: number): { listed: Listed[]; hasMore: boolean } {
    const keys = this.#keys.list(prefix, after, limit + 1);
    const listed = keys.slice(0, limit).map((key): Listed => {
      const { value, index } = this.#items.get(key)!;
      return { key, index, bytes: value.length };
    });
    return { listed, hasMore: keys.length > limit };
  }

  /**
   * Calls back with every change from now on, after those that came after the given index. It must not throw.
   *
   * @returns How to end it, or undefined when changes after that index are no longer known: list the keys again.
   */
  watch(after: LogIndex | undefined, onChange: (change: Change) => void): (() => void) | undefined {
    const missed = after === undefined ? [] : this.#changes.after(after);
    if (missed === undefined) return undefined;
    for (const change of missed) onChange(change);
    // A server that is behind the one the watcher talked to before must not repeat what that one told.
    const watcher = (change: Change) => {
      if (change.index > (after ?? 0)) onChange(change);
    };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #set(key: string, bytes: Uint8Array, index: LogIndex): void {
    // The bytes are a view of a larger buffer that would be kept with them.
    const value = bytes.slice();
    if (!this.#items.has(key)) this.#keys.add(key);
    this.#items.set(key, { value, index });
    this.#tell({ index, key, value });
  }

  #tell(change: Change): void {
    this.#changes.add(change);
    for (const watcher of this.#watchers) watcher(change);
  }
}

function isExpected(value: Uint8Array | undefined, expect: Uint8Array | null): boolean {
  if (value === undefined || expect === null) return value === undefined && expect === null;
  if (value.length !== expect.length) return false;
  for (let i = 0; i < value.length; i++) if (value[i] !== expect[i]) return false;
  return true;
}
