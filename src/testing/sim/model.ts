/**
 * What the simulator's own machine should do with each key, one call after the other.
 *
 * @module
 */
import type { Model, Operation, Step } from "../linearizability.ts";
import type { KeyInput, SimOperation } from "./calls.ts";
import { hashText, type SimResult, type SimState, transition } from "./machine.ts";

/** A `cas` that did not take place changed nothing, which makes it a read; a restore writes every key. */
export type ModelInput =
  | KeyInput
  | { readonly type: "miss"; readonly key: string; readonly expect: SimState }
  | { readonly type: "restore"; readonly key: string; readonly state: SimState };

/** What keys should do. */
export const simModel: Model<SimState, ModelInput, SimResult> = {
  init: () => null,
  step: stepKey,
  equal: (a, b) => a === b,
  hash: (state) => hashText(state ?? "-", 0),
  isRead: (input) => input.type === "get" || input.type === "miss",
};

function stepKey(before: SimState, { input, outcome, output }: Operation<ModelInput, SimResult>): Step<SimState> {
  const isFree = outcome !== "ok" || output === undefined;
  if (input.type === "get") return { ok: isFree || output === before, state: before };
  if (input.type === "miss") return { ok: before !== input.expect, state: before };
  if (input.type === "restore") return { ok: true, state: input.state };
  const { state, result } = transition(before, input);
  return { ok: isFree || output === result, state };
}

/** A call that may turn out to have been a read. */
export function missed(operation: SimOperation): Operation<ModelInput, SimResult> {
  const { input, output } = operation;
  if (input.type !== "cas" || output !== false) return operation;
  return { ...operation, input: { type: "miss", key: input.key, expect: input.expect } };
}
