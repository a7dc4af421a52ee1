/**
 * What the admin surface needs of a server.
 *
 * @module
 */
import type { Raft } from "../../mod.ts";

/** What the admin surface needs of a server: any `Raft` has it. */
export type AdminTarget = Pick<
  Raft<never, never>,
  | "status"
  | "leader"
  | "configuration"
  | "metrics"
  | "stats"
  | "doctor"
  | "events"
  | "addVoter"
  | "addNonvoter"
  | "demoteVoter"
  | "removeServer"
  | "changeMembership"
  | "transferLeadership"
  | "verifyLeader"
  | "barrier"
  | "drain"
  | "snapshot"
  | "snapshots"
  | "installSnapshot"
  | "restore"
  | "reloadConfig"
>;
