import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import type { FileHandle } from "../../src/store/files.ts";
import { type Choose, keepAll, loseAll, MemoryFiles } from "../../src/testing/memory_files.ts";
import { test } from "../harness.ts";

const sectors = (count: number, byte: number) => new Uint8Array(count * 512).fill(byte);

/** A file of so many durable sectors of ones, in a directory that is durable. */
async function fileOf(files: MemoryFiles, count: number, durable = false): Promise<FileHandle> {
  const file = await files.open("f", { create: true, durable });
  await file.write([sectors(count, 1)], 0);
  await file.sync();
  await files.syncDirectory();
  return file;
}

/** The first byte of each sector. */
function firstBytes(files: MemoryFiles, name = "f"): number[] {
  const image = files.image(name);
  return Array.from({ length: Math.ceil(image.length / 512) }, (_, i) => image[i * 512]);
}

/** Answers by the beginning of what is asked; what is not named survives whole. */
function answering(answers: Readonly<Record<string, number | readonly number[]>>): Choose {
  const left = new Map(Object.entries(answers).map(([what, answer]) => [what, [answer].flat()]));
  return (options, what) => {
    const entry = [...left].find(([name]) => what.startsWith(name));
    return entry === undefined ? options - 1 : entry[1].length > 1 ? entry[1].shift()! : entry[1][0];
  };
}

test("MemoryFiles loses what was not synced and nothing else", async () => {
  const files = new MemoryFiles();
  const file = await fileOf(files, 2);
  await file.write([sectors(1, 2)], 512);
  assertEquals(firstBytes(files), [1, 2]);
  files.crash(loseAll);
  assertEquals(firstBytes(files), [1, 1]);
});

test("MemoryFiles: a sync covers what was written before it, a durable write itself alone", async () => {
  const files = new MemoryFiles();
  const file = await fileOf(files, 3);
  const durable = await files.open("f", { create: false, durable: true });
  await file.write([sectors(1, 2)], 0);
  await durable.write([sectors(1, 3)], 512);
  const twin = files.clone();
  twin.crash(loseAll);
  assertEquals(firstBytes(twin), [1, 3, 1]);
  const sync = file.sync();
  const late = file.write([sectors(1, 4)], 1024);
  await Promise.all([sync, late]);
  files.crash(loseAll);
  assertEquals(firstBytes(files), [2, 3, 1]);
});

test("MemoryFiles keeps sectors or pages, whichever survive", async () => {
  const crashed = async (choose: Choose) => {
    const files = new MemoryFiles();
    const file = await fileOf(files, 9);
    await file.write([sectors(9, 2)], 0);
    files.crash(choose);
    return firstBytes(files).join("");
  };
  assertEquals(await crashed(answering({ pages: 0, "sector kept": [0, 1, 0, 1] })), "121222222");
  assertEquals(await crashed(answering({ pages: 1, "sector kept": [0, 1] })), "111111112");
  assertEquals(await crashed(answering({ pages: 1, "sector kept": [1, 0] })), "222222221");
});

test("MemoryFiles tears the last sector that is kept, and no other", async () => {
  const torn = async (how: number) => {
    const files = new MemoryFiles();
    const file = await fileOf(files, 3);
    await file.write([sectors(2, 2)], 0);
    files.crash(answering({ pages: 0, "last sector whole": how, "torn at": 100 }));
    const image = files.image("f");
    assertEquals([image[0], image[511], image[1024]], [2, 2, 1]);
    return image.subarray(512, 1024);
  };
  assertEquals(await torn(0), sectors(1, 0));
  const garbage = await torn(1);
  assertNotEquals(garbage, sectors(1, 2));
  assertEquals(new Set(garbage).size > 100, true);
  assertEquals([...await torn(2)].findIndex((byte) => byte === 1), 100);
  assertEquals([...await torn(3)].findIndex((byte) => byte === 2), 100);
  assertEquals(await torn(4), sectors(1, 2));
});

test("MemoryFiles: a file may grow although what it grew by is lost", async () => {
  for (const [kept, expected] of [[0, [1]], [1, [1, 0, 0]]] as const) {
    const files = new MemoryFiles();
    const file = await fileOf(files, 1);
    await file.write([sectors(2, 2)], 512);
    files.crash(answering({ "sector kept": 0, "length kept": kept }));
    assertEquals(firstBytes(files), [...expected]);
  }
});

test("MemoryFiles: names may vanish or come back until the directory is synced, in any order", async () => {
  const changed = async () => {
    const files = new MemoryFiles();
    await fileOf(files, 1);
    await files.rename("f", "g");
    await files.open("h", { create: true, durable: false });
    return files;
  };
  const crashed = async (choose: Choose) => {
    const files = await changed();
    files.crash(choose);
    return files.names().join("");
  };
  assertEquals(await crashed(loseAll), "f");
  assertEquals(await crashed(answering({ "directory operations in": 0, "directory operations kept": 1 })), "g");
  assertEquals(await crashed(answering({ "directory operations in": 1, "directory operation kept": [0, 1] })), "fh");
  assertEquals(await crashed(keepAll), "gh");
  const files = await changed();
  await files.syncDirectory();
  files.crash(loseAll);
  assertEquals(files.names().join(""), "gh");
});

test("MemoryFiles: a directory's sync that ends after a later one takes nothing of that back", async () => {
  const waiting: (() => void)[] = [];
  const schedule = ({ kind }: { readonly kind: string }) =>
    kind === "sync-directory" ? new Promise<void>((resolve) => waiting.push(resolve)) : Promise.resolve();
  const told: string[] = [];
  const observer = { onDurable: () => {}, onNamed: (name: string) => void told.push(name) };
  const files = new MemoryFiles({ schedule, observer });
  await files.open("f", { create: true, durable: false });
  const first = files.syncDirectory();
  await files.rename("f", "g");
  const second = files.syncDirectory();
  waiting[1]!();
  await second;
  waiting[0]!();
  await first;
  assertEquals(told, ["f", "g", "f"]);
  files.crash(loseAll);
  assertEquals(files.names(), ["g"]);
});

test("MemoryFiles: what a failed sync did not write is read until the crash, and no later sync writes it", async () => {
  const files = new MemoryFiles();
  const file = await fileOf(files, 2);
  await file.write([sectors(1, 2)], 0);
  files.fault = ({ kind }) => kind === "sync" ? new Error("EIO: i/o error") : undefined;
  assertEquals(files.hasUnsynced, true);
  await assertRejects(() => file.sync(), Error, "EIO");
  assertEquals(files.hasUnsynced, true);
  files.fault = () => undefined;
  await file.sync();
  assertEquals(firstBytes(files), [2, 1]);
  files.crash(keepAll);
  assertEquals(firstBytes(files), [1, 1]);
  assertEquals(files.hasUnsynced, false);
});

test("MemoryFiles: what a failed durable write wrote may be there after a crash, or is only read until then", async () => {
  for (const [keeps, expected] of [[true, [2]], [false, [1]]] as const) {
    const files = new MemoryFiles({ keepsFailed: () => keeps });
    const file = await fileOf(files, 1, true);
    files.fault = ({ kind }) => kind === "write" ? new Error("EIO: i/o error") : undefined;
    await assertRejects(() => file.write([sectors(1, 2)], 0), Error, "EIO");
    assertEquals(firstBytes(files), [2]);
    files.crash(keepAll);
    assertEquals(firstBytes(files), [...expected]);
  }
});

test("MemoryFiles has room for so many bytes, and again when some are freed", async () => {
  const files = new MemoryFiles({ bytesMax: 1024 });
  const file = await fileOf(files, 2);
  assertEquals(files.bytesUsed, 1024);
  await file.write([sectors(1, 2)], 512);
  await assertRejects(() => file.write([sectors(1, 2)], 513), Error, "ENOSPC");
  const other = await files.open("g", { create: true, durable: false });
  await assertRejects(() => other.write([new Uint8Array(1)], 0), Error, "ENOSPC");
  await files.remove("f");
  await other.write([sectors(2, 2)], 0);
  files.bytesMax = 1536;
  await other.write([sectors(3, 2)], 0);
});

test("MemoryFiles tells what becomes durable, and when", async () => {
  const told: string[] = [];
  const files = new MemoryFiles({
    observer: {
      onDurable: (_inode, change) =>
        told.push(change.type === "write" ? `${change.offset}+${change.bytes.length}` : "cut"),
      onNamed: (name, inode) => told.push(inode === undefined ? `no ${name}` : name),
    },
  });
  const file = await files.open("f", { create: true, durable: false });
  await file.write([sectors(1, 1)], 0);
  await file.truncate(100);
  assertEquals(told, []);
  await file.sync();
  assertEquals(told.splice(0), ["0+512", "cut"]);
  const durable = await files.open("f", { create: false, durable: true });
  await durable.write([sectors(1, 1)], 512);
  assertEquals(told.splice(0), ["512+512"]);
  await files.rename("f", "g");
  assertEquals(told, []);
  await files.syncDirectory();
  assertEquals(told, ["f", "g", "no f"]);
});

test("MemoryFiles tells which directories have a durable name, and what in them a power cut could take", async () => {
  const told: string[] = [];
  const files = new MemoryFiles({
    observer: {
      onDurable: () => {},
      onNamed: () => {},
      onDirectoryNamed: (path, directory) =>
        told.push(directory === undefined ? `no ${path}` : `${path} ${[...directory.durableFiles().keys()]}`),
    },
  });
  const outer = files.directory("d");
  const inner = outer.directory("e");
  await inner.ensure();
  assertEquals(told.splice(0), ["d ", "d/e "]);
  assertEquals(files.hasUnsynced, false);
  await inner.open("f", { create: true, durable: false });
  assertEquals(files.hasUnsynced, true);
  await inner.syncDirectory();
  await outer.rename("e", "g");
  assertEquals([files.hasUnsynced, ...told], [true]);
  await outer.syncDirectory();
  assertEquals([files.hasUnsynced, ...told.splice(0)], [false, "d/g f", "no d/e"]);
  assertEquals([...files.durableDirectories().get("d")!.durableDirectories().keys()], ["g"]);
});

test("MemoryFiles: a read may lie, and the disk is none the worse", async () => {
  const files = new MemoryFiles({ misread: (_operation, bytes, offset) => void (bytes[600 - offset] ^= 1) });
  const file = await fileOf(files, 2);
  const into = new Uint8Array(512);
  assertEquals(await file.read(into, 512), 512);
  assertEquals(into[88], 0);
  assertEquals(firstBytes(files), [1, 1]);
});
