/**
 * Calls with what few callers give them.
 *
 * @module
 */
import { RaftError } from "../../errors.ts";
import type { RaftStatus } from "../../status.ts";
import { encodeText } from "./machine.ts";
import { abortAfter, expect, givenUp, missesNothing, noteOutcome, reason, type Touching } from "./touch_scene.ts";

/** All of them. */
export const RARE_ASKS = [
  /** A command with bytes beside it. */
  "apply-extended",
  /** A command that waits for room. */
  "apply-patient",
  /** A barrier whose caller gives up later. */
  "barrier-aborting",
  /** An index to read at, likewise. */
  "read-index-aborting",
  /** Whether it leads, likewise. */
  "verify-aborting",
  /** That something is applied and a leader known. */
  "wait-applied",
  /** A role that nobody can ask for but by a function. */
  "wait-until",
] as const;

/** Any of them. */
export type RareAsk = (typeof RARE_ASKS)[number];

/** How each is asked and judged. */
export const rareAsks: Touching<RareAsk> = {
  async "apply-extended"(scene) {
    const { ghost, life, raft, input: { value } } = scene;
    const data = { type: "put", key: "extended", value } as const;
    const error = await reason(raft.applyEntry({ data, extensions: encodeText(value) }));
    if (life.isOver) return false;
    // The machine throws where it is given others.
    ghost.must(error === undefined || error instanceof RaftError, "K3", () => {
      return `a command with bytes beside it on "${life.id}" is answered with ${error}`;
    });
    noteOutcome(scene, value, error);
    return true;
  },

  async "apply-patient"(scene) {
    const { ghost, life, raft, input: { value, after } } = scene;
    const command = { type: "put", key: "patient", value } as const;
    const error = await reason(raft.apply(command, { enqueueTimeoutMs: after / 1000 }));
    if (life.isOver) return false;
    ghost.must(error === undefined || error instanceof RaftError, "K4", () => {
      return `a command that waits for room on "${life.id}" is answered with ${error}`;
    });
    noteOutcome(scene, value, error);
    return true;
  },

  "barrier-aborting": (scene) => givenUp(scene, (options) => scene.raft.barrier(options)),

  "read-index-aborting": (scene) => givenUp(scene, (options) => scene.raft.readIndex(options)),

  "verify-aborting": (scene) => givenUp(scene, (options) => scene.raft.verifyLeader(options)),

  async "wait-applied"(scene) {
    const { world, ghost, life, raft, input } = scene;
    const signal = abortAfter(world, input.after);
    const appliedIndex = raft.appliedIndex + 1;
    let found: RaftStatus | undefined;
    const error = await reason(raft.wait({ appliedIndex, leader: true }, { signal }).then((status) => found = status));
    if (life.isOver) return false;
    expect(scene, signal, error);
    const isThere = found === undefined || (found.appliedIndex >= appliedIndex && found.leader !== undefined);
    ghost.must(isThere, "K6", () => {
      return `"${life.id}" was to apply ${appliedIndex} of some leader, and is said to have by ${
        JSON.stringify(found)
      }`;
    });
    missesNothing(scene, signal, error, life.core.appliedIndex >= appliedIndex && life.core.leader !== undefined);
    return true;
  },

  async "wait-until"(scene) {
    const { world, ghost, life, raft, input } = scene;
    const signal = abortAfter(world, input.after);
    const isOther = ({ role }: Pick<RaftStatus, "role">) => role === "candidate" || role === "pre-candidate";
    let found: RaftStatus | undefined;
    const error = await reason(raft.wait(isOther, { signal }).then((status) => found = status));
    if (life.isOver) return false;
    expect(scene, signal, error);
    ghost.must(found === undefined || isOther(found), "K6", () => {
      return `"${life.id}" was to campaign, and is said to by ${JSON.stringify(found)}`;
    });
    missesNothing(scene, signal, error, isOther(life.core));
    return true;
  },
};
