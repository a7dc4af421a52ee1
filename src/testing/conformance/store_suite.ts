/**
 * The conformance suite of stores.
 *
 * @module
 */
import type { RegisterTest } from "../case_checks.ts";
import { type StoreCase, storeCases, type StoreHarness } from "../store_cases.ts";
import { storeContentCases } from "./store_content_cases.ts";
import { storeDamageCases } from "./store_damage_cases.ts";
import { storeKillCases } from "./store_kill_cases.ts";
import { storeRemovalCases } from "./store_removal_cases.ts";

/** A store that is to be tested. */
export interface StoreSubject {
  /** What the name of each test begins with. */
  readonly name: string;
  /**
   * Begins a test, with an empty disk of its own.
   *
   * @returns How the test gets at the stores on that disk.
   */
  start(): StoreHarness | Promise<StoreHarness>;
  /**
   * Whether the harness has `operationCount` and `haltAfter`. Without them the store is never killed, and whether it
   * survives that is not tested.
   *
   * @default {false}
   */
  readonly canHalt?: boolean;
  /**
   * Whether the harness has `damage`. Without it what the store does about entries that its disk does not give back is not
   * tested.
   *
   * @default {false}
   */
  readonly canDamage?: boolean;
}

/**
 * Registers the tests that every `Store` must pass: some 70, a fifth of which kill the store at every operation of its disk.
 *
 * @param test Registers one test: `Deno.test`, `test` of `node:test`, of `bun:test` or of Vitest.
 *
 * @example
 * ```ts
 * import { memoryStore } from "@securecollc/raft";
 * import { testStore } from "@securecollc/raft/testing";
 *
 * testStore(Deno.test, {
 *   name: "memoryStore",
 *   start() {
 *     const store = memoryStore(); // outlives close(), so that it is its own disk
 *     const next = async () => {
 *       await store.close();
 *       return store;
 *     };
 *     return { next };
 *   },
 * });
 * ```
 */
export function testStore(test: RegisterTest, subject: StoreSubject): void {
  for (const { name, needs, run } of allCases) {
    if (needs === "haltAfter" && subject.canHalt !== true) continue;
    if (needs === "damage" && subject.canDamage !== true) continue;
    test(`${subject.name}: ${name}`, async () => {
      const harness = await subject.start();
      try {
        await run(harness);
      } finally {
        await harness.dispose?.();
      }
    });
  }
}

const allCases: readonly StoreCase[] = [
  ...storeCases,
  ...storeContentCases,
  ...storeRemovalCases,
  ...storeKillCases,
  ...storeDamageCases,
];
