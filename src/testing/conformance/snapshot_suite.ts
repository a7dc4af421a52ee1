/**
 * The conformance suite of snapshot stores.
 *
 * @module
 */
import type { RegisterTest } from "../case_checks.ts";
import { snapshotStoreCases } from "./snapshot_cases.ts";
import type { SnapshotHarness } from "./snapshot_support.ts";

/** A snapshot store that is to be tested. */
export interface SnapshotStoreSubject {
  /** What the name of each test begins with. */
  readonly name: string;
  /**
   * Begins a test, with an empty disk of its own.
   *
   * @returns How the test gets at the stores on that disk.
   */
  start(): SnapshotHarness | Promise<SnapshotHarness>;
  /**
   * What the harness has besides `next`: `damage`; or `operationCount` and `haltAfter`. What it lacks is not tested.
   *
   * @default {[]}
   */
  readonly offers?: readonly ("damage" | "haltAfter")[];
}

/**
 * Registers the tests that every `SnapshotStore` must pass that keeps at least one snapshot.
 *
 * @param test Registers one test: `Deno.test`, `test` of `node:test`, of `bun:test` or of Vitest.
 */
export function testSnapshotStore(test: RegisterTest, subject: SnapshotStoreSubject): void {
  for (const { name, needs, run } of snapshotStoreCases) {
    if (needs !== undefined && subject.offers?.includes(needs) !== true) continue;
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
