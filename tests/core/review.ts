/**
 * Keeps account of the ways in which other implementations of Raft went wrong: each entry of a group has a named test,
 * or a reason why it can't have one yet.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";

/** One group, as `BE01` to `BE32`. */
export interface Review {
  /** The test of one entry. */
  entry(id: string, sentence: string, body: () => void): void;
  /** To be called at the end: a test that no entry was forgotten. */
  complete(): void;
}

/** A group of these entries; those that don't apply yet, each with the reason. */
export function review(group: string, ids: readonly string[], notYet: Readonly<Record<string, string>>): Review {
  const tested: string[] = [];
  return {
    entry(id, sentence, body) {
      tested.push(id);
      test(`${id}: ${sentence}`, body);
    },
    complete() {
      test(`${group}: every entry has one test, or a reason why it has none yet`, () => {
        assertEquals([...tested, ...Object.keys(notYet)].sort(), [...ids].sort());
      });
    },
  };
}

/** `BE01`, `BE02` … */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${String(i + 1).padStart(2, "0")}`);
}
