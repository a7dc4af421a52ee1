import { assertEquals } from "@std/assert";
import { test } from "../harness.ts";

/** The rules that a file of this name and content breaks. Deno only, so the plugin is loaded where it is needed. */
async function lint(file: string, source: string): Promise<string[]> {
  const { default: plugin } = await import("../../tools/lint_plugin.ts");
  const root = new URL("../../", import.meta.url).pathname;
  return Deno.lint.runPlugin(plugin, root + file, source).map((found) => found.id.replace("raft/", ""));
}

async function assertImport(file: string, specifier: string, allowed: boolean): Promise<void> {
  const expected = allowed ? [] : ["import-direction"];
  assertEquals(await lint(file, `import { a } from "${specifier}"; a();`), expected, `${file} imports ${specifier}`);
}

const DENO = { runtimes: ["deno"] } as const;

test("lint: imports point from facade to driver to core", async () => {
  await assertImport("src/raft.ts", "./driver/driver.ts", true);
  await assertImport("src/raft.ts", "./core/core.ts", true);
  await assertImport("src/sessions.ts", "./core/core.ts", false);
  await assertImport("src/driver/driver.ts", "../core/core.ts", true);
  await assertImport("src/driver/driver.ts", "../store/store.ts", true);
  await assertImport("src/driver/driver.ts", "../store/wal/wal.ts", false);
  await assertImport("src/driver/driver.ts", "../raft.ts", false);
  await assertImport("src/options.ts", "./driver/driver.ts", false);
  await assertImport("src/options.ts", "./store/store.ts", true);
  await assertImport("src/testing/simulator.ts", "../core/core.ts", true);
}, DENO);

test("lint: whoever takes options checks them, which the core does not", async () => {
  for (const file of ["src/reader.ts", "src/options.ts", "src/store/memory.ts", "src/transport/memory.ts"]) {
    await assertImport(file, file.split("/").length === 2 ? "./checks.ts" : "../checks.ts", true);
  }
  await assertImport("adapters/fs/files.ts", "../../src/checks.ts", true);
  await assertImport("src/core/core.ts", "../checks.ts", false);
  await assertImport("src/checks.ts", "./types.ts", false);
}, DENO);

test("lint: core imports itself and the vocabulary only", async () => {
  for (const file of ["./quorum.ts", "../types.ts", "../message.ts", "../errors.ts"]) {
    await assertImport("src/core/core.ts", file, true);
  }
  for (
    const file of ["../wire/codec.ts", "../events.ts", "../driver/driver.ts", "@std/msgpack", "node:fs", "../../mod.ts"]
  ) {
    await assertImport("src/core/core.ts", file, false);
  }
}, DENO);

test("lint: wire, stores and transports know nothing above them", async () => {
  await assertImport("src/wire/codec.ts", "../message.ts", true);
  await assertImport("src/wire/codec.ts", "@std/msgpack", true);
  await assertImport("src/wire/codec.ts", "../store/store.ts", false);
  await assertImport("src/wire/codec.ts", "@std/fs", false);
  await assertImport("src/store/wal/wal.ts", "../store.ts", true);
  await assertImport("src/store/wal/wal.ts", "../../wire/record.ts", true);
  await assertImport("src/store/wal/wal.ts", "../../transport/transport.ts", false);
  await assertImport("src/transport/frames.ts", "../wire/frame.ts", true);
  await assertImport("src/transport/frames.ts", "../core/core.ts", false);
}, DENO);

test("lint: adapters see the ports, programs the package", async () => {
  await assertImport("adapters/deno/tcp.ts", "../../src/transport/transport.ts", true);
  await assertImport("adapters/deno/tcp.ts", "../../mod.ts", true);
  await assertImport("adapters/deno/tcp.ts", "../node/tcp.ts", false);
  await assertImport("adapters/deno/tcp.ts", "../../src/driver/driver.ts", false);
  await assertImport("adapters/fs/files.ts", "node:fs/promises", true);
  await assertImport("adapters/fs/files.ts", "./store.ts", true);
  await assertImport("adapters/fs/files.ts", "../../src/store/wal/wal.ts", true);
  await assertImport("adapters/fs/files.ts", "hono", false);
  await assertImport("adapters/later/mod.ts", "./part.ts", true);
  await assertImport("adapters/later/mod.ts", "../fs/mod.ts", false);
  await assertImport("adapters/hono/admin.ts", "hono", true);
  await assertImport("examples/kv/main.ts", "@securecollc/raft/fs", true);
  await assertImport("examples/kv/main.ts", "../../src/raft.ts", false);
  await assertImport("bench/main.ts", "../adapters/fs/mod.ts", true);
  for (const setter of ["src/core/read.ts", "src/driver/sender.ts", "src/store/wal/recovery.ts"]) {
    await assertImport(setter, `${"../".repeat(setter.split("/").length - 2)}marks.ts`, true);
  }
  for (const asker of ["src/core/read.ts", "src/driver/sender.ts"]) {
    await assertImport(asker, "../points.ts", true);
  }
  for (const other of ["src/store/log_cache.ts", "src/wire/record.ts", "src/transport/frames.ts"]) {
    await assertImport(other, "../points.ts", false);
  }
  await assertImport("src/points.ts", "./types.ts", false);
  await assertImport("src/marks.ts", "./types.ts", false);
  await assertImport("src/wire/record.ts", "../marks.ts", false);
  await assertImport("adapters/fs/files.ts", "../../src/marks.ts", false);
  await assertImport("bench/main.ts", "../src/core/core.ts", false);
  await assertImport("bench/processes.ts", "../examples/kv/programs.ts", true);
  await assertImport("bench/processes.ts", "../examples/kv/machine.ts", false);
  await assertImport("bench/storage_server.ts", "../examples/kv/machine.ts", true);
  await assertImport("bench/storage_server.ts", "../examples/kv/http.ts", false);
  await assertImport("bench/ceiling.ts", "../examples/kv/machine.ts", true);
  await assertImport("bench/ceiling.ts", "../examples/kv/demo.ts", false);
  await assertImport("mod.ts", "./src/raft.ts", true);
  await assertImport("mod.ts", "./src/core/core.ts", false);
  await assertImport("tests/core/core_test.ts", "../../src/core/core.ts", true);
}, DENO);

test("lint: every form of import counts", async () => {
  for (
    const source of [
      `import type { A } from "../raft.ts"; export type B = A;`,
      `export { a } from "../raft.ts";`,
      `export * from "../raft.ts";`,
      `export type A = import("../raft.ts").A;`,
      `import "../raft.ts";`,
    ]
  ) assertEquals(await lint("src/wire/codec.ts", source), ["import-direction"], source);
  assertEquals(await lint("src/wire/codec.ts", `export const a = () => import("../raft.ts");`), ["import-direction"]);
}, DENO);

test("lint: the core has no clock, chance, timer or promise", async () => {
  for (
    const source of [
      "export const now = Date.now();",
      "export const now = new Date();",
      "export const now = performance.now();",
      "export const chance = Math.random();",
      `export const chance = Math["random"]();`,
      "export const { random } = Math;",
      "export const id = crypto.randomUUID();",
      "setTimeout(() => {}, 1);",
      "queueMicrotask(() => {});",
      "console.log(1);",
      "export const pid = Deno.pid;",
      "export const env = process.env;",
      "export const state = { process };",
      "export const later = globalThis.x;",
      "export async function later() {}",
      "export const later = async () => {};",
      "export function later(x: Promise<number>) { return x; }",
    ]
  ) assertEquals(await lint("src/core/core.ts", source), ["deterministic-core"], source);
  assertEquals(
    (await lint(
      "src/core/core.ts",
      "export async function f(x: Iterable<number>) { for await (const y of x) await y; }",
    )).length,
    3,
  );
}, DENO);

test("lint: a clean core passes, and names of members are nobody's global", async () => {
  const source = `
    import { type Term } from "../types.ts";
    export interface State { process: number; console(): void; readonly crypto?: Term }
    export class Core { performance = 1; Date(): number { return Math.max(this.performance, 2); } }
    export const state = { process: 1, setTimeout: 2 };
    export const value = state.process + state.setTimeout;
  `;
  assertEquals(await lint("src/core/core.ts", source), []);
  assertEquals(await lint("src/driver/driver.ts", "export const now = Date.now();"), []);
}, DENO);
