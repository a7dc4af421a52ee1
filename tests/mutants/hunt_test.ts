import { assert, assertEquals } from "@std/assert";
import { test } from "../harness.ts";
import { huntAll, isKilled } from "./hunt.ts";
import { MUTANTS } from "./list/all.ts";
import { describeVerdict } from "./table.ts";
import { Tree } from "./tree.ts";
import { findTypeErrors } from "./types.ts";

test("mutants: all pass the type check, and one that does not is found out", async () => {
  const tree = await Tree.make();
  try {
    const errors = await findTypeErrors(tree, MUTANTS);
    assertEquals([...errors].map(([{ id }, error]) => `${id}: ${error}`), []);
    const wrong = { ...MUTANTS[0]!, replace: `const wrong: number = "text";\n${MUTANTS[0]!.find}` };
    assertEquals([...(await findTypeErrors(tree, [wrong, MUTANTS[1]!])).keys()], [wrong]);
  } finally {
    await tree.remove();
  }
}, { runtimes: ["deno"], timeoutMs: 600_000 });

// Whoever finds nothing here would find nothing anywhere.
test(
  "mutants: the simulator finds four of them, also one that never ends, and none in code without a fault",
  async () => {
    const ids = ["last-index-acknowledged", "half-is-a-majority", "forward-sent-again", "failed-command-not-answered"];
    const some = ids.map((id) => MUTANTS.find((mutant) => mutant.id === id)!);
    const verdicts = await huntAll(some, { starts: [0], budget: 60 }, 2);
    assertEquals(verdicts.filter((verdict) => !isKilled(verdict)).map(describeVerdict), []);
    const none = { ...some[0]!, replace: `${some[0]!.find} ` };
    const useless = { ...some[1]!, replace: "return size + 1;" };
    const [first, second] = await huntAll([none, useless], { starts: [0], budget: 5 }, 2);
    assertEquals(first!.trials.map(({ type }) => type), ["survived"]);
    assert(second!.problem?.startsWith("it breaks ordinary use"), second!.problem);
  },
  { runtimes: ["deno"], timeoutMs: 480_000 },
);
