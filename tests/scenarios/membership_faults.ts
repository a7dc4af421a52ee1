/**
 * Cores with one fault each in how they change the servers, of the kind that real ones had.
 *
 * @module
 */
import type { CoreState } from "../../src/core/state.ts";
import { voterSets } from "../../src/core/quorum.ts";
import type { IndexedConfiguration } from "../../src/types.ts";
import type { StepCore } from "../core/cluster.ts";
import { realStep } from "../explore/stepper.ts";

/** A fault, and the script that notices it. */
export interface MembershipFault {
  /** As in the bug catalogues of the literature. */
  readonly name: string;
  readonly step: StepCore;
  readonly script: string;
  /** What it complains of. */
  readonly complaint: RegExp;
}

/** The core with other configurations after each step. */
function remembering(
  change: (now: readonly IndexedConfiguration[], before: readonly IndexedConfiguration[], state: CoreState) => void,
): StepCore {
  return (state, event, now) => {
    const before = [...state.configurations];
    const effects = realStep(state, event, now);
    change(state.configurations, before, state);
    return effects;
  };
}

/** All faults. */
export const membershipFaults: readonly MembershipFault[] = [
  {
    name: "servers are changed before an entry of the leader's term is committed (BM01)",
    step: (state, event, now) => {
      const { leading } = state;
      if (leading === undefined || leading.reconfigurations.length === 0) return realStep(state, event, now);
      const { firstIndex } = leading;
      Object.assign(leading, { firstIndex: Math.min(firstIndex, state.commitIndex) });
      const effects = realStep(state, event, now);
      Object.assign(leading, { firstIndex });
      return effects;
    },
    script: "a_new_leader_changes_no_servers_before_an_entry_of_its_term_is_committed",
    complaint: /: C4: "a" could be elected without committed entry 4/,
  },
  {
    name: "a configuration stays in force when its entry is cut off (BM04)",
    step: remembering((now, before, state) => {
      const [lost, last] = [before.at(-1), now.at(-1)];
      if (lost !== undefined && last !== undefined && lost.index > last.index) state.configurations = [...now, lost];
    }),
    script: "a_change_that_its_leader_did_not_spread_is_undone",
    complaint: /not so: servers=a,b,c,d;/,
  },
  {
    name: "of a joint configuration in a snapshot only the new half is kept (BM05)",
    step: remembering((now, before, state) => {
      const [first] = now;
      if (now.length !== 1 || first === before[0] || first?.configuration.outgoing === undefined) return;
      state.configurations = [{ ...first, configuration: { servers: first.configuration.servers } }];
    }),
    script: "a_snapshot_in_the_middle_of_a_joint_configuration",
    complaint: /not so: servers=a,-b,-c,d,e\/a,b,c/,
  },
  {
    name: "a leader that is removed still counts its own log (M6)",
    step: (state, event, now) => {
      const effects = realStep(state, event, now);
      const { leading, configurations, commitIndex, id } = state;
      const [voters = []] = voterSets(configurations.at(-1)?.configuration ?? { servers: [] });
      if (leading === undefined || voters.includes(id)) return effects;
      const most = Math.max(...voters.map((voter) => leading.progress.get(voter)?.matchIndex ?? 0));
      if (most <= commitIndex) return effects;
      state.commitIndex = most;
      return [...effects, { type: "apply", upTo: most }];
    },
    script: "a_leader_that_is_removed_leads_until_that_is_committed",
    complaint: /: C2: "a" commits entry 3 that few have/,
  },
  {
    name: "a new voter counts before it has anything (BM18)",
    step: remembering((now, before, state) => {
      const last = now.at(-1);
      if (last === undefined || last === before.at(-1)) return;
      const servers = last.configuration.servers.map((server) =>
        server.suffrage === "staging" ? { ...server, suffrage: "voter" as const } : server
      );
      state.configurations = [...now.slice(0, -1), { ...last, configuration: { ...last.configuration, servers } }];
    }),
    script: "servers_that_restart_in_a_joint_configuration_leave_it",
    complaint: /not so: servers=a,-b,-c,d,e\/a,b,c/,
  },
];
