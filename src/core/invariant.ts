/**
 * What must always hold, checked in production too: better no answer than a wrong one.
 *
 * @module
 */
import { InvariantError } from "../errors.ts";

/**
 * Stops the server when the condition does not hold.
 *
 * @param detail Called only then; says what was expected and what is.
 * @throws {InvariantError}
 */
export function invariant(condition: boolean, detail: () => string): asserts condition {
  if (!condition) throw new InvariantError(detail());
}
