/**
 * Counts who reads what, so that nothing is removed under a reader.
 *
 * @module
 */

/** Names and how often each is held. */
export class Holds {
  readonly #counts = new Map<string, number>();

  /** Whether anybody holds it. */
  has(name: string): boolean {
    return this.#counts.has(name);
  }

  /** Holds a name until the function that is returned is called; a second call of that does nothing. */
  take(name: string): () => void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const left = this.#counts.get(name)! - 1;
      if (left === 0) this.#counts.delete(name);
      else this.#counts.set(name, left);
    };
  }
}
