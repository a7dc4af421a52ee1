/**
 * What `deno task explore` looks at without options: small spaces, each looked at in full, and each with another thing
 * that there is more of. With `--full` it is all of that together.
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

/**
 * Everything in one space: two elections after the founding term, two commands, a crash, and any message any number of
 * times, or never. A crash comes between writes: what a server does at once it writes at once.
 */
export const full: Bounds = {
  ...defaults,
  terms: 2,
  timeouts: 2,
  entries: 2,
  crashes: 1,
  duplicates: Infinity,
  slowDisks: false,
  pool: true,
  states: 200_000_000,
  seconds: 1_000_000,
};
