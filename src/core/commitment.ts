/**
 * When an entry is committed (Raft §5.3, §5.4.2).
 *
 * @module
 */
import { mark } from "../marks.ts";
import { advanceCommit } from "./append.ts";
import { isCounted } from "./identity.ts";
import { configurationOf } from "./membership.ts";
import { quorumValue } from "./quorum.ts";
import type { Step } from "./state.ts";
import { termAt } from "./term_index.ts";

/**
 * Advances the leader's commit index to what is durable on a quorum. The leader counts itself only with what is durable
 * on its own disk (BC07). Entries of earlier terms are committed only through one of its own (Raft figure 8, BC01).
 */
export function commitByQuorum(step: Step): void {
  const { state } = step;
  const leading = state.leading!;
  const durable = quorumValue(
    configurationOf(state),
    (id) => {
      if (id === state.id) return state.persistedIndex;
      const progress = leading.progress.get(id);
      return isCounted(state, id, progress) ? progress.matchIndex : 0;
    },
  );
  if (durable <= state.commitIndex) return;
  if (termAt(state.log, durable) === state.term) advanceCommit(step, durable);
  else mark("commit-withheld-for-earlier-term");
}
