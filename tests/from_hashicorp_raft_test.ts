import { assert, assertEquals } from "@std/assert";
import { readFile } from "node:fs/promises";
import * as fs from "../adapters/fs/mod.ts";
import * as library from "../mod.ts";
import { test } from "./harness.ts";
import { withCluster } from "./virtual_cluster.ts";

const docs = new URL("../docs/from-hashicorp-raft.md", import.meta.url);
const page = await readFile(docs, "utf8");
const [names = "", scenarios = ""] = page.split("## Upstream's scenarios");
const entry = await readFile(new URL("../mod.ts", import.meta.url), "utf8");

const linked = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map(([, name, path]) => ({ name: name!, path: path! }));

const sourceOf = (path: string) => readFile(new URL(path, docs), "utf8");

test("docs/from-hashicorp-raft.md: every name is exported, and declared where its link says", async () => {
  const symbols = linked(names, /\[`([\w.]+)`\]\(([^)]+)\)/g);
  assert(symbols.length > 60, `${symbols.length}`);
  for (const { name, path } of symbols) {
    const source = await sourceOf(path);
    if (name.startsWith("Raft.")) continue;
    const isDeclared = new RegExp(`export (abstract )?(async )?(function|class|interface|type|const) ${name}\\b`).test(
      source,
    );
    assertEquals([name, isDeclared], [name, true]);
    const isExported = name in library || name in fs || new RegExp(`\\b${name}\\b`).test(entry);
    assertEquals([name, isExported], [name, true]);
  }
});

test("docs/from-hashicorp-raft.md: every member is one of a running server", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    for (const { name } of linked(names, /\[`Raft\.(\w+)`\]\(([^)]+)\)/g)) {
      assertEquals([name, name in raft], [name, true]);
    }
  }));

test("docs/from-hashicorp-raft.md: every scenario is a test of that name", async () => {
  const tests = linked(scenarios, /\[([^\]]+)\]\(([^)]+)\)/g);
  assert(tests.length > 15, `${tests.length}`);
  for (const { name, path } of tests) {
    const source = await sourceOf(path);
    const isThere = path.endsWith(".txt")
      ? path.includes(name.replace(/[ -]/g, "_"))
      : source.includes(`test("${name}`);
    assertEquals([name, isThere], [name, true]);
  }
});
