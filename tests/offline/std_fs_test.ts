import { assert, assertEquals, assertRejects } from "@std/assert";
import { emptyDir, ensureDir, exists } from "@std/fs";
import { test } from "../harness.ts";

test("fs: makes, finds and empties directories", async () => {
  const root = await Deno.makeTempDir();
  try {
    const dir = `${root}/a/b`;
    assertEquals(await exists(dir), false);
    await ensureDir(dir);
    await ensureDir(dir);
    assert(await exists(dir, { isDirectory: true }));
    assertEquals(await exists(dir, { isFile: true }), false);
    await Deno.writeTextFile(`${dir}/odd name #1`, "x");
    assert(await exists(`${dir}/odd name #1`, { isReadable: true }));
    await emptyDir(new URL(`file://${root}/a`));
    assertEquals(await exists(dir), false);
    assert(await exists(`${root}/a`));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}, { runtimes: ["deno"] });

test("fs: says that it needs Deno", async () => {
  await assertRejects(() => exists("."), Error, "@std/fs works on Deno only");
  await assertRejects(() => ensureDir("."), Error, "@std/fs works on Deno only");
}, { runtimes: ["bun", "node"] });
