/**
 * Every fault.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";
import { calls } from "./calls.ts";
import { closed } from "./closed.ts";
import { commits } from "./commits.ts";
import { disks } from "./disks.ts";
import { elections } from "./elections.ts";
import { identity } from "./identity.ts";
import { leases } from "./leases.ts";
import { logs } from "./logs.ts";
import { membership } from "./membership.ts";
import { operating } from "./operating.ts";
import { restores } from "./restores.ts";
import { sessions } from "./sessions.ts";
import { snapshots } from "./snapshots.ts";

/** In the order in which they run. */
export const MUTANTS: readonly Mutant[] = [
  ...elections,
  ...logs,
  ...commits,
  ...disks,
  ...snapshots,
  ...restores,
  ...identity,
  ...membership,
  ...calls,
  ...leases,
  ...sessions,
  ...closed,
  ...operating,
];
