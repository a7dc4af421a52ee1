/**
 * The machine under load: it counts, so that what is measured is the log.
 *
 * @module
 */
import type { StateMachine } from "@securecollc/raft";

/** Counts commands. */
export class Counter implements StateMachine<Uint8Array, number> {
  /** Commands so far. */
  count = 0;

  /** One more. */
  apply(): number {
    return ++this.count;
  }
}
