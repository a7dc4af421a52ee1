import { assertEquals, assertThrows } from "@std/assert";
import { parseCommand, UsageError, wordsOf } from "./args.ts";
import { test } from "../harness.ts";

const request = { servers: undefined, steps: undefined, faults: undefined, store: undefined, bug: undefined };

test("sim: a command line says what to run", () => {
  const seeds = {
    type: "seeds",
    start: 0,
    seeds: 100,
    minutes: Infinity,
    jobs: undefined,
    keepsGoing: false,
    hashes: false,
    marks: false,
    request,
  };
  assertEquals(parseCommand([]), seeds as unknown);
  assertEquals(parseCommand(["--seeds", "500", "--start", "7"]), { ...seeds, seeds: 500, start: 7 } as unknown);
  assertEquals(parseCommand(["--minutes", "1.5", "--jobs", "2"]), {
    ...{ ...seeds, seeds: 1_000_000_000 },
    ...{ minutes: 1.5, jobs: 2 },
  } as unknown);
  assertEquals(parseCommand(["--keep-going"]), { ...seeds, keepsGoing: true } as unknown);
  assertEquals(parseCommand(["--seed", "9007199254740991"]), {
    ...{ type: "replay", seed: Number.MAX_SAFE_INTEGER, request },
  } as unknown);
  assertEquals(parseCommand(["--shrink", "3", "--tries", "10", "--bug", "BE06"]), {
    ...{ type: "shrink", seed: 3, out: undefined, tries: 10, request: { ...request, bug: "BE06" } },
  } as unknown);
  assertEquals(parseCommand(["--script", "a.json"]), { type: "script", path: "a.json", request } as unknown);
  assertEquals(parseCommand(["--seeds", "3", "--help"]), { type: "help" });
});

test("sim: a replay has the words of the run", () => {
  const words = " --servers 3 --steps 10 --faults loss,kill --store wal --bug BE06";
  const command = parseCommand(["--seed", "5", ...words.trim().split(" ")]);
  assertEquals(command.type === "replay" && wordsOf(command.request), words);
  const quiet = parseCommand(["--seed", "5", "--faults", "none"]);
  assertEquals(quiet.type === "replay" && quiet.request.faults, []);
  assertEquals(quiet.type === "replay" && wordsOf(quiet.request), " --faults none");
  assertEquals(wordsOf({}), "");
});

test("sim: what cannot be run is refused in words", () => {
  const refused: [string, string][] = [
    ["--seed x", "Cannot use --seed x: it must be an integer of at least 0"],
    ["--seed 1.5", "Cannot use --seed 1.5: it must be an integer of at least 0"],
    ["--seed 9007199254740992", "Cannot use --seed 9007199254740992: it must be an integer of at least 0"],
    ["--seed=-1", "Cannot use --seed -1: it must be an integer of at least 0"],
    ["--seeds 0", "Cannot use --seeds 0: it must be an integer of at least 1"],
    ["--servers 8", "Cannot use --servers 8: it must be an integer from 1 to 7"],
    ["--servers 0", "Cannot use --servers 0: it must be an integer from 1 to 7"],
    ["--jobs 0", "Cannot use --jobs 0: it must be an integer from 1 to 256"],
    ["--minutes 0", "Cannot use --minutes 0: it must be a number above 0"],
    ["--minutes soon", "Cannot use --minutes soon: it must be a number above 0"],
    ["--store tape", "Cannot use --store tape: there are wal, memory"],
    ["--seed 1 --seeds 3", "Cannot use --seeds with --seed: see --help"],
    ["--seed 1 --shrink 1", "Cannot use --seed with --shrink: it is one or the other"],
    ["--script a --steps 3", "Cannot use --steps with --script: see --help"],
    ["--tries 3", "Cannot use --tries without --shrink"],
  ];
  for (const [line, message] of refused) {
    assertThrows(() => parseCommand(line.split(" ")), UsageError, message, line);
  }
  assertThrows(
    () => parseCommand(["--faults", "loss,flood"]),
    UsageError,
    "Cannot use --faults flood: there are loss,",
  );
  assertThrows(() => parseCommand(["--bug", "BE99"]), UsageError, "Cannot use --bug BE99: there are BC01,");
  assertThrows(() => parseCommand(["--sedes", "3"]), UsageError, "sedes");
  assertThrows(() => parseCommand(["3"]), UsageError, "3");
});
