/**
 * A model for the linearizability checker: registers that are read, set, removed, and compared and set.
 *
 * @module
 */
import type { Model, Operation, Step } from "./linearizability.ts";

/** What can be asked of a register. */
export type RegisterInput =
  /** Sets the value. */
  | { readonly type: "put"; readonly value: string }
  /** Asks for it. */
  | { readonly type: "get" }
  /** Removes it. */
  | { readonly type: "delete" }
  /** Sets the value if it is the expected one; null means absent. */
  | { readonly type: "cas"; readonly expect: string | null; readonly value: string };

/**
 * What a register answers: the value or null to `get`; whether there was one to `delete`; whether it was set to `cas`;
 * anything to `put`. Undefined: not known, so anything is right.
 */
export type RegisterOutput = string | null | boolean | undefined;

/** One register per key, absent at first. Its state is the value, or null. */
export function registerModel(): Model<string | null, RegisterInput, RegisterOutput> {
  return {
    init: () => null,
    step: stepRegister,
    equal: (a, b) => a === b,
    hash: hashText,
    isRead: (input) => input.type === "get",
  };
}

function stepRegister(
  state: string | null,
  { input, outcome, output }: Operation<RegisterInput, RegisterOutput>,
): Step<string | null> {
  const isAnswer = (right: RegisterOutput) => outcome !== "ok" || output === undefined || output === right;
  switch (input.type) {
    case "put":
      return { ok: true, state: input.value };
    case "get":
      return { ok: isAnswer(state), state };
    case "delete":
      return { ok: isAnswer(state !== null), state: null };
    case "cas":
      return { ok: isAnswer(state === input.expect), state: state === input.expect ? input.value : state };
  }
}

function hashText(text: string | null): number {
  if (text === null) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
