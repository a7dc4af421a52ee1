/**
 * Lease reads, and the promises that they count on.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const invariants = ["R3", "R1", "R4", "O3"];

/** Faults in leases. */
export const leases: readonly Mutant[] = [
  {
    id: "lease-from-the-answer",
    bug: "BR05",
    file: "src/core/replication.ts",
    find: "  onRoundAnswered(progress);\n",
    replace: "  onRoundAnswered(progress);\n  if (progress.askedRound === undefined) progress.promisedAt = now;\n",
    why: "Whoever answers has just heard from us.",
    invariants,
    // What had come while a leader stood still is read at once when it goes on.
    runs: { faults: ["pause", "delay", "late"], servers: 3, client: { leaseReads: true, clients: 6 } },
  },
  {
    id: "lease-kept-on-transfer",
    bug: "BR04",
    file: "src/core/transfer.ts",
    find: "  endLease(step.state.leading!);\n",
    replace: "",
    why: "A leader leads until there is another one.",
    invariants,
    runs: { faults: ["restart", "delay", "loss"] },
  },
  {
    id: "lease-before-own-term",
    bug: "BR02",
    file: "src/core/lease.ts",
    find: "if (commitIndex < leading.firstIndex || commitIndex",
    replace: "if (commitIndex",
    why: "A quorum has promised, so this leader leads.",
    invariants,
    runs: { faults: ["stall", "kill"], servers: 3, client: { leaseReads: true } },
  },
  {
    id: "lease-outlives-a-sleep",
    bug: "BR05",
    file: "src/driver/driver.ts",
    find: 'if (this.#clocks.hasSlept(this.#now)) this.#take({ event: { type: "clock-doubted" } });',
    replace: "this.#clocks.hasSlept(this.#now);",
    why: "A monotonic clock never goes back, and that is all that is asked of it.",
    invariants,
    runs: { faults: ["suspend"], servers: 3 },
  },
  {
    id: "lease-from-any-answer",
    bug: "BR05",
    file: "src/core/lease.ts",
    find: "if (askedRound === undefined || ackedRound < askedRound.round) return;",
    replace: "if (askedRound === undefined || ackedRound < 0) return;",
    why: "It has answered, so it was there.",
    invariants,
    runs: { faults: ["pause", "delay", "late"], servers: 3, client: { leaseReads: true, clients: 6 } },
  },
  {
    id: "lease-without-the-bound-for-clocks",
    bug: "BR05",
    file: "src/core/lease.ts",
    find: "return leaseMs * (1 - clockDriftMax) / (1 + clockDriftMax) - CLOCK_TOLERANCE_MS;",
    replace: "return clockDriftMax < 1 ? leaseMs - CLOCK_TOLERANCE_MS : 0;",
    why: "A clock that loses a tenth of its time is broken.",
    invariants,
    runs: { faults: ["clock", "partition", "reset"], servers: 3, ambush: 0.2, client: { leaseReads: true } },
  },
  {
    id: "lease-with-the-bound-for-one-clock",
    bug: "BR05",
    file: "src/core/lease.ts",
    find: "return leaseMs * (1 - clockDriftMax) / (1 + clockDriftMax) - CLOCK_TOLERANCE_MS;",
    replace: "return leaseMs * (1 - clockDriftMax) - CLOCK_TOLERANCE_MS;",
    why: "Each clock keeps the bound, and this is the one that the lease is measured by.",
    invariants,
    runs: {
      faults: ["clock", "partition", "reset"],
      servers: 3,
      steps: 8000,
      ambush: 0.2,
      client: { leaseReads: true, leaseShare: 0.98 },
    },
  },
  {
    id: "start-forgets-the-promise",
    bug: "BR06",
    file: "src/core/core.ts",
    find: "(start.disk?.starts ?? 1) > 1 ? start.now + settings.electionMinMs : -Infinity",
    replace: "-Infinity",
    why: "Whoever has just been started has heard nobody.",
    invariants,
    runs: {
      faults: ["kill", "partition", "reset"],
      servers: 3,
      ambush: 0.2,
      client: { leaseReads: true, leaseShare: 0.98, clients: 2 },
    },
  },
  {
    id: "shorter-timeouts-shorten-promises",
    bug: "BR06",
    file: "src/core/settings.ts",
    find: "  state.electionAt = Math.max(electionAt, state.promisedUntil);\n",
    replace:
      "  state.promisedUntil = Math.min(state.promisedUntil, state.leaderHeardAt + settings.electionMinMs);\n  state.electionAt = Math.max(electionAt, state.promisedUntil);\n",
    why: "What is given is in force at once, also for what is being waited for.",
    invariants,
    runs: {
      faults: ["partition", "kill"],
      servers: 3,
      moving: false,
      steps: 8000,
      ambush: 0.2,
      client: { leaseReads: true, leaseShare: 0.9, clients: 4, reloads: 0.1 },
    },
  },
  {
    id: "bounded-read-by-what-has-come",
    bug: "BR13",
    file: "src/driver/leader_contact.ts",
    find: "Math.max(commitIndex, this.#toldIndex)",
    replace: "commitIndex",
    why: "What is committed here is what the leader has spoken of, on a server that is up to date.",
    invariants: ["R6"],
    runs: { client: { bounded: 0.3 } },
  },
  {
    id: "bounded-read-after-a-sleep",
    bug: "BR05",
    file: "src/driver/leader_contact.ts",
    find: "now: now + this.#clocks.sleptMs(now)",
    replace: "now: now + this.#sleptMs",
    why: "The monotonic clock is the one to measure by.",
    invariants: ["R6"],
    runs: { faults: ["suspend"], servers: 3, steps: 4000, moving: false, client: { bounded: 0.5, keyed: 0 } },
  },
];
