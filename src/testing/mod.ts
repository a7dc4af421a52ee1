/**
 * What programs built on this library test themselves with: suites for stores, snapshot stores and state machines of
 * their own, a simulated cluster for a machine of their own, and a checker that tells whether a history of calls is
 * linearizable.
 *
 * @example A read that misses a completed write is found
 * ```ts
 * import { checkLinearizability, registerModel } from "@securecollc/raft/testing";
 *
 * const report = checkLinearizability(registerModel(), [
 *   { key: "k", input: { type: "put", value: "new" }, outcome: "ok", called: 0, returned: 1 },
 *   { key: "k", input: { type: "get" }, outcome: "ok", output: null, called: 2, returned: 3 },
 * ]);
 * console.log(report.verdict); // violation
 * ```
 *
 * @module
 */
export {
  checkLinearizability,
  type LinearizabilityFailure,
  type LinearizabilityOptions,
  type LinearizabilityReport,
  type Model,
  type Operation,
  type OperationOutcome,
  type Step,
  type Verdict,
} from "./linearizability.ts";
export {
  type Chance,
  simulate,
  type SimulatedFault,
  type SimulatedQueries,
  type SimulatedServer,
  type SimulateOptions,
  type SimulateReport,
  SimulationFailure,
} from "./simulate.ts";
export { type RegisterInput, registerModel, type RegisterOutput } from "./register.ts";
export type { RegisterTest } from "./case_checks.ts";
export { type StoreSubject, testStore } from "./conformance/store_suite.ts";
export type { StoreHarness } from "./store_cases.ts";
export { type SnapshotStoreSubject, testSnapshotStore } from "./conformance/snapshot_suite.ts";
export type { SnapshotHarness } from "./conformance/snapshot_support.ts";
export { type MachineSubject, testMachine } from "./conformance/machine_suite.ts";
export type { SnapshotMachine } from "./conformance/machine_support.ts";
