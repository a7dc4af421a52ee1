import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { spawn } from "node:child_process";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { lockDirectory } from "../../../adapters/fs/lock.ts";
import { StoreLockedError } from "../../../src/errors.ts";
import { runtime, test } from "../../harness.ts";

const HOLDER = fileURLToPath(new URL("./lock_holder.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../../deno.json", import.meta.url));

async function withDirectory(run: (directory: string) => Promise<void>, ...below: string[]): Promise<void> {
  const root = await fs.mkdtemp(join(tmpdir(), "lock-test-"));
  try {
    const directory = join(root, ...below);
    await fs.mkdir(directory, { recursive: true });
    await run(directory);
  } finally {
    await fs.rm(root, { recursive: true });
  }
}

/** Starts a process that takes the lock; answers what it said and how to end it. */
async function startHolder(directory: string): Promise<{ said: string; kill(): Promise<void> }> {
  const args = runtime === "deno" ? ["run", "-A", "--quiet", "--config", CONFIG, HOLDER] : [HOLDER];
  const child = spawn(process.execPath, [...args, directory], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<void>((done) => child.on("close", () => done()));
  const said = await new Promise<string>((done) => child.stdout.once("data", (bytes) => done(String(bytes).trim())));
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  return { said, kill };
}

test("lockDirectory() lets one in at a time", () =>
  withDirectory(async (directory) => {
    const lock = await lockDirectory(directory);
    const error = await assertRejects(() => lockDirectory(directory), StoreLockedError, directory);
    assertEquals(error.code, "store-locked");
    await lock.release();
    await (await lockDirectory(directory)).release();
    assertEquals(await fs.readdir(directory), []);
  }));

test("lockDirectory() lets at most one of many in that start at once", () =>
  withDirectory(async (directory) => {
    for (let round = 0; round < 5; round++) {
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(directory)));
      const winners = results.filter((result) => result.status === "fulfilled");
      assertEquals(winners.length, 1);
      for (const result of results) if (result.status === "rejected") assertInstanceOf(result.reason, StoreLockedError);
      await winners[0].value.release();
    }
  }));

test("lockDirectory() of a directory whose path is too long for a socket works all the same", () =>
  withDirectory(
    async (directory) => {
      const lock = await lockDirectory(directory);
      await assertRejects(() => lockDirectory(directory), StoreLockedError);
      await lock.release();
      assertEquals(await fs.readdir(directory), []);
    },
    "d".repeat(100),
    "e".repeat(100),
  ));

test("lockDirectory() is not kept out by what a dead process left", () =>
  withDirectory(async (directory) => {
    const holder = await startHolder(directory);
    assertEquals(holder.said, "locked");
    await assertRejects(() => lockDirectory(directory), StoreLockedError);
    await holder.kill();
    assertEquals((await fs.readdir(directory)).length, 1);
    const lock = await lockDirectory(directory);
    assertEquals((await fs.readdir(directory)).length, 1);
    assertEquals((await startAndEnd(directory)).said, "StoreLockedError");
    await lock.release();
  }));

test("lockDirectory() is kept out by a process that is alive but says nothing", () =>
  withDirectory(async (directory) => {
    const server = createServer(() => {});
    await new Promise<void>((done) => server.listen(join(directory, ".lock-0123456789abcdef"), () => done()));
    await assertRejects(() => lockDirectory(directory), StoreLockedError);
    await new Promise<void>((done) => server.close(() => done()));
  }));

async function startAndEnd(directory: string): Promise<{ said: string }> {
  const holder = await startHolder(directory);
  await holder.kill();
  return holder;
}
