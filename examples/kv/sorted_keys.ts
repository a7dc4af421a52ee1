/**
 * Keys in order. Changes are cheap and only noted; a listing first works them in.
 *
 * @module
 */

/** A set of keys that can be listed in order (by UTF-16 code units, as JavaScript compares). */
export class SortedKeys {
  #sorted: string[] = [];
  /** What changed since: true for an added key, false for a deleted one. */
  #changed = new Map<string, boolean>();

  add(key: string): void {
    this.#changed.set(key, true);
  }

  delete(key: string): void {
    this.#changed.set(key, false);
  }

  /** All keys, in order; the array does not change any more. */
  all(): readonly string[] {
    this.#workIn();
    return this.#sorted;
  }

  /** These are all keys from now on, in order. */
  reset(sorted: string[]): void {
    this.#sorted = sorted;
    this.#changed.clear();
  }

  /** The first keys with the prefix that come after the given one, at most so many. */
  list(prefix: string, after: string | undefined, countMax: number): string[] {
    this.#workIn();
    const keys: string[] = [];
    let at = after === undefined || after < prefix ? this.#find(prefix) : this.#find(after);
    if (this.#sorted[at] === after) at++;
    for (; at < this.#sorted.length && keys.length < countMax; at++) {
      const key = this.#sorted[at]!;
      if (!key.startsWith(prefix)) break;
      keys.push(key);
    }
    return keys;
  }

  /** Where the key is or would be. */
  #find(key: string): number {
    let [from, end] = [0, this.#sorted.length];
    while (from < end) {
      const middle = (from + end) >>> 1;
      if (this.#sorted[middle]! < key) from = middle + 1;
      else end = middle;
    }
    return from;
  }

  #workIn(): void {
    if (this.#changed.size === 0) return;
    const added = [...this.#changed].filter(([, isThere]) => isThere).map(([key]) => key).sort();
    const merged: string[] = [];
    let next = 0;
    for (const key of this.#sorted) {
      if (this.#changed.has(key)) continue;
      while (next < added.length && added[next]! < key) merged.push(added[next++]!);
      merged.push(key);
    }
    while (next < added.length) merged.push(added[next++]!);
    this.#sorted = merged;
    this.#changed.clear();
  }
}
