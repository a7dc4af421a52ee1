/**
 * What `deno task explore` looks at without options: small spaces, each looked at in full. Together they would be too
 * many states, so each has another thing that there is more of.
 *
 * @module
 */
import { type Bounds, defaults } from "./bounds.ts";

/** One space. */
export interface Plan {
  /** What there is more of. */
  readonly about: string;
  readonly bounds: Bounds;
}

const plain: Bounds = { ...defaults, terms: 1, timeouts: 1, entries: 0, crashes: 0, slowDisks: false };

/** All spaces. */
export const plan: readonly Plan[] = [
  {
    about: "a command, a crash at any moment of any write",
    bounds: { ...plain, entries: 1, crashes: 1, slowDisks: true },
  },
  {
    about: "a leader that is asked to hand over, and writes that take time",
    bounds: { ...plain, transfers: 1, slowDisks: true },
  },
  {
    about: "a leader that is asked to hand over, and a command",
    bounds: { ...plain, entries: 1, transfers: 1 },
  },
  {
    about: "two commands, a crash",
    bounds: { ...plain, entries: 2, crashes: 1, duplicates: 0 },
  },
  {
    about: "two commands, a duplicate",
    bounds: { ...plain, entries: 2, duplicates: 1 },
  },
  {
    about: "two elections, a command, a crash",
    bounds: { ...plain, terms: 2, timeouts: 2, entries: 1, crashes: 1 },
  },
  {
    about: "two elections, a crash at any moment of any write",
    bounds: { ...plain, terms: 2, timeouts: 2, crashes: 1, slowDisks: true },
  },
];
