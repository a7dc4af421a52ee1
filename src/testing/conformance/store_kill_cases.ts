/**
 * What a store must have kept when it is killed: at every operation of its disk, and while it recovers from that.
 *
 * @module
 */
import type { StoreWrite } from "../../store/store.ts";
import { check } from "../case_checks.ts";
import { commandsOf, type StoreCase, type StoreHarness } from "../store_cases.ts";
import { randomWrite, seededChoice } from "./store_history.ts";
import { StoreModel } from "./store_model.ts";
import { configurations, manyCommands, opened, SERVER_ID, sizedCommands } from "./store_support.ts";

/** What a store did until it was killed, or done. */
interface Run {
  /** What it acknowledged, and what would have been next. */
  readonly acknowledged: StoreModel;
  readonly attempted: StoreModel;
  /** The start that it counted; 0 when it did not get so far. */
  readonly starts: number;
  /** Whether it did all without being killed. */
  readonly isOver: boolean;
}

/** A history of writes that follow this content. */
type History = (before: StoreModel) => readonly StoreWrite[];

/** Opens the next store and writes; kills it after so many operations of its disk. */
async function runKilled(
  harness: StoreHarness,
  before: StoreModel,
  writes: readonly StoreWrite[],
  operations: number,
): Promise<Run> {
  let [acknowledged, attempted, starts] = [before, before, 0];
  const store = await harness.next();
  const count = harness.operationCount!();
  harness.haltAfter!(operations);
  try {
    ({ identity: { starts } } = await store.open(SERVER_ID));
    for (const write of writes) {
      attempted = acknowledged.after(write);
      await store.write(write);
      acknowledged = attempted;
    }
    await store.close();
  } catch {
    // Killed: the store is left as it is.
  }
  return { acknowledged, attempted, starts, isOver: harness.operationCount!() - count <= operations };
}

/** Opens the next store, unharmed, and compares; removes the log for what comes next. Returns what there is then. */
async function checkKilled(harness: StoreHarness, run: Run, at: string): Promise<StoreModel> {
  const { acknowledged, attempted, starts } = run;
  const { store, state } = await opened(harness);
  check(state.identity.starts > starts, `${at}: start ${state.identity.starts} follows ${starts}`);
  const problems = [acknowledged, attempted].map((model) => model.problemOf(state));
  const found = problems[0] === undefined ? acknowledged : attempted;
  check(problems.includes(undefined), `${at}: neither what was acknowledged nor that and one write: ${problems[0]}`);
  await found.checkEntries(store, at);
  let model = found;
  for (const write of goOn(found)) {
    await store.write(write);
    model = model.after(write);
  }
  await store.close();
  const again = await opened(harness);
  await model.checkAll(again.store, again.state, `${at}, gone on from there`);
  await again.store.close();
  return model;
}

/** Writes something, so that it is seen that the log can go on, and then removes the log. */
function goOn({ firstIndex, lastIndex, vote }: StoreModel): StoreWrite[] {
  const term = vote.term + 1;
  return [
    { records: [commandsOf(lastIndex + 1, term, "goes on")], vote: { term, votedFor: "b" } },
    { truncateFrom: firstIndex, records: [] },
  ];
}

/** Kills the store at every operation of a history. */
function killCase(what: string, history: History): StoreCase {
  return {
    name: `killed at every operation of ${what}: what was acknowledged is there, what wasn't is whole or absent`,
    needs: "haltAfter",
    async run(harness) {
      let model = new StoreModel();
      for (let operations = 0;; operations++) {
        const run = await runKilled(harness, model, history(model), operations);
        model = await checkKilled(harness, run, `killed after ${operations} operations`);
        if (run.isOver) return;
      }
    },
  };
}

const appends: History = ({ lastIndex, vote: { term } }) => [
  { records: [commandsOf(lastIndex + 1, term + 1, "a", "b")], vote: { term: term + 1, votedFor: "a" } },
  { records: [commandsOf(lastIndex + 3, term + 1, "c")] },
  { records: [configurations(lastIndex + 4, term + 2, ["a", "b"]), commandsOf(lastIndex + 5, term + 2, "d")] },
];

const votes: History = ({ clusterId, vote: { term } }) => [
  { records: [], vote: { term: term + 1, votedFor: "a" } },
  ...clusterId === "" ? [{ records: [], clusterId: "c" }] : [],
  { records: [], vote: { term: term + 2, votedFor: undefined } },
  { records: [], vote: { term: term + 2, votedFor: "b" } },
];

const truncations: History = ({ lastIndex: last, vote: { term } }) => [
  { records: [commandsOf(last + 1, term + 1, "a", "b", "c", "d")] },
  { truncateFrom: last + 3, records: [commandsOf(last + 3, term + 2, "C")], vote: { term: term + 2, votedFor: "b" } },
  { truncateFrom: last + 2, records: [] },
  { records: [commandsOf(last + 2, term + 3, "B", "C", "D")] },
  { truncateFrom: last + 1, records: [commandsOf(last + 1, term + 4, "A")] },
];

const compactions: History = ({ lastIndex: last, vote: { term } }) => [
  { records: [commandsOf(last + 1, term + 1, "a", "b", "c", "d")] },
  { compactTo: { firstIndex: last + 3, prevTerm: term + 1 }, records: [] },
  { compactTo: { firstIndex: last + 4, prevTerm: term + 1 }, records: [commandsOf(last + 5, term + 2, "e")] },
  { truncateFrom: last + 5, compactTo: { firstIndex: last + 9, prevTerm: term + 3 }, records: [] },
  { records: [commandsOf(last + 9, term + 3, "x")] },
];

const large: History = ({ lastIndex: last, vote: { term } }) => [
  { records: [sizedCommands(last + 1, term + 1, 10, 400_000, 10, 600_000, 10)] },
  {
    truncateFrom: last + 3,
    records: [sizedCommands(last + 3, term + 2, 900_000, 10, 70_000)],
    vote: { term: term + 2, votedFor: "b" },
  },
  { compactTo: { firstIndex: last + 3, prevTerm: term + 1 }, records: [sizedCommands(last + 6, term + 3, 70_000)] },
];

const many: History = ({ lastIndex: last, vote: { term } }) => [
  { records: [manyCommands(last + 1, term + 1, 2_100)] },
  { truncateFrom: last + 2, records: [manyCommands(last + 2, term + 2, 1_500)] },
  { compactTo: { firstIndex: last + 1_400, prevTerm: term + 2 }, records: [] },
];

const recoveryCase: StoreCase = {
  name: "killed while it recovers from being killed: what was acknowledged is there all the same",
  needs: "haltAfter",
  async run(harness) {
    let model = new StoreModel();
    for (let operations = 1;; operations += 2) {
      const first = await runKilled(harness, model, [...truncations(model)], operations);
      let run = first;
      for (let during = 0;; during++) {
        const opening = await runKilled(harness, model, [], during);
        run = { ...first, starts: Math.max(run.starts, opening.starts) };
        if (opening.isOver) break;
      }
      model = await checkKilled(harness, run, `killed after ${operations} operations, and then while it recovered`);
      if (first.isOver) return;
    }
  },
};

/** Kills at places that chance chooses, in histories that it makes. */
function randomCase(seed: number): StoreCase {
  return {
    name: `killed at any moment of any history, again and again (history ${seed})`,
    needs: "haltAfter",
    async run(harness) {
      const choose = seededChoice(seed);
      let model = new StoreModel();
      for (let round = 0; round < 25; round++) {
        const writes: StoreWrite[] = [];
        for (let next = model, i = 0; i < 8; i++) {
          const write = randomWrite(next, choose);
          writes.push(write);
          next = next.after(write);
        }
        const run = await runKilled(harness, model, writes, choose(40));
        model = await checkKilled(harness, run, `round ${round}`);
      }
    },
  };
}

/** Cases. */
export const storeKillCases: readonly StoreCase[] = [
  killCase("writes that append", appends),
  killCase("writes of votes and of the cluster id", votes),
  killCase("writes that truncate", truncations),
  killCase("writes that compact", compactions),
  killCase("writes of a megabyte", large),
  killCase("writes of thousands of entries", many),
  recoveryCase,
  ...[1, 2].map(randomCase),
];
