/**
 * The state that the cluster replicates: keys with bytes. Commands change it in the order of the log, the same on
 * every server; reads and watchers look at it.
 *
 * @module
 */
import type { ApplyContext, LogIndex, StateMachine } from "@securecollc/raft";
import { ChangeLog } from "./change_log.ts";
import { decodeItems, encodeItems } from "./snapshot.ts";
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
  #items = new Map<string, Item>();
  readonly #keys = new SortedKeys();
  readonly #changes = new ChangeLog();
  readonly #watchers = new Set<(change: Change) => void>();
  /** Of each snapshot that is being read: what keys had when it was taken, of those that changed since. */
  readonly #captures = new Set<Map<string, Item | undefined>>();
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
        this.#remember(key, item);
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

  /**
   * All keys as they are now. Nothing is copied but the order of the keys: an item that changes while the bytes are read is
   * remembered as it was.
   */
  snapshot(): ReadableStream<Uint8Array> {
    const keys = this.#keys.all();
    const before = new Map<string, Item | undefined>();
    this.#captures.add(before);
    let at = 0;
    const next = (): readonly [string, Item] | undefined => {
      if (at === keys.length) return undefined;
      const key = keys[at++]!;
      const item = before.get(key) ?? this.#items.get(key)!;
      before.delete(key);
      return [key, item];
    };
    return encodeItems(this.#index, next, () => this.#captures.delete(before));
  }

  /** Takes the state of another server. Watchers are told what is different. */
  async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    const items = new Map<string, Item>();
    const index = await decodeItems(bytes, (key, item) => items.set(key, item));
    const old = this.#items;
    // What is being read of the old state goes on with what it has.
    for (const before of this.#captures) for (const [key, item] of old) if (!before.has(key)) before.set(key, item);
    this.#captures.clear();
    this.#items = items;
    this.#index = index;
    this.#keys.reset([...items.keys()].sort());
    // Several differences may share the index, so whoever has seen one of them must not take it for all.
    this.#changes.reset(index + 1);
    for (const change of differences(old, items, index)) for (const watcher of this.#watchers) watcher(change);
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
    const before = this.#items.get(key);
    if (before === undefined) this.#keys.add(key);
    this.#remember(key, before);
    this.#items.set(key, { value, index });
    this.#tell({ index, key, value });
  }

  #remember(key: string, item: Item | undefined): void {
    for (const before of this.#captures) if (!before.has(key)) before.set(key, item);
  }

  #tell(change: Change): void {
    this.#changes.add(change);
    for (const watcher of this.#watchers) watcher(change);
  }
}

/** What changed between two states, in the order in which it was written; deletions at the end. */
function differences(old: ReadonlyMap<string, Item>, items: ReadonlyMap<string, Item>, index: LogIndex): Change[] {
  const written = [...items].filter(([key, item]) => old.get(key)?.index !== item.index)
    .map(([key, { value, index }]): Change => ({ index, key, value }))
    .sort((a, b) => a.index - b.index);
  const deleted = [...old.keys()].filter((key) => !items.has(key)).map((key): Change => ({
    index,
    key,
    value: undefined,
  }));
  return [...written, ...deleted];
}

function isExpected(value: Uint8Array | undefined, expect: Uint8Array | null): boolean {
  if (value === undefined || expect === null) return value === undefined && expect === null;
  if (value.length !== expect.length) return false;
  for (let i = 0; i < value.length; i++) if (value[i] !== expect[i]) return false;
  return true;
}
