import { assertEquals } from "@std/assert";
import { readdir, readFile } from "node:fs/promises";
import { mark, takeMarks } from "../src/marks.ts";
import { test } from "./harness.ts";

test("marks: each is counted until it is asked for", () => {
  takeMarks();
  mark("pre-vote-denied");
  mark("pre-vote-denied");
  mark("read-confirmed");
  const seen = Object.entries(takeMarks()).filter(([, hits]) => hits > 0);
  assertEquals(seen, [["pre-vote-denied", 2], ["read-confirmed", 1]]);
  assertEquals(Object.values(takeMarks()).every((hits) => hits === 0), true);
});

test("marks: only the simulator looks at them, and each is set somewhere", async () => {
  const root = new URL("../", import.meta.url);
  const files: string[] = [];
  for (const folder of ["src", "adapters"]) {
    for (const name of await readdir(new URL(folder, root), { recursive: true })) {
      if (name.endsWith(".ts")) files.push(`${folder}/${name.replaceAll("\\", "/")}`);
    }
  }
  const texts = await Promise.all(files.map((file) => readFile(new URL(file, root), "utf8")));
  const readers = files.filter((_, i) => texts[i]!.includes("takeMarks"));
  assertEquals(readers.sort(), ["src/marks.ts", "src/testing/sim/run.ts"]);
  const all = texts.filter((_, i) => files[i] !== "src/marks.ts").join("");
  assertEquals(Object.keys(takeMarks()).filter((name) => !all.includes(`"${name}"`)), []);
});
