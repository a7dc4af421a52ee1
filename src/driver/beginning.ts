/**
 * How the cluster began, as far as a server knows.
 *
 * @module
 */
import type { Configuration, IndexedConfiguration } from "../types.ts";
import { fingerprintOf } from "../wire/configuration.ts";

/**
 * What tells a cluster from another one of the same name: its first configuration, which is entry 1. Raft itself sees the
 * index and term of that alone. It is in the log until snapshots have taken its place, and in these from then on.
 */
export class Beginning {
  #first: Configuration | undefined;

  /** The first configuration; undefined when it is not known. These are those in the log, the first one first. */
  of([first]: readonly IndexedConfiguration[]): Configuration | undefined {
    if (first?.index === 1) this.#first = first.configuration;
    return this.#first;
  }

  /** Its fingerprint; empty when it is not known. */
  fingerprint(configurations: readonly IndexedConfiguration[]): string {
    const first = this.of(configurations);
    return first === undefined ? "" : fingerprintOf(first);
  }

  /** A snapshot took the place of what was before, and says so; undefined when whoever made it did not know. */
  restore(first: Configuration | undefined): void {
    this.#first = first;
  }
}
