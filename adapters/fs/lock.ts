/**
 * Keeps two processes out of one directory.
 *
 * No runtime offers file locks through `node:fs`, and a file that says "locked" outlives a process that is killed. A
 * listening socket doesn't: who connects to the file of a dead one is refused. So every process that wants the directory
 * listens on a socket in it under a name of its own, and has the directory once no other one is alive:
 *
 * - The file appears under its final name when it listens already. So whoever makes one after we looked will find ours.
 * - A name is never used twice, so removing the file of a dead process can't hit a living one.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { StorageError, StoreLockedError } from "../../src/errors.ts";

const PREFIX = ".lock-";
const UNBORN_SUFFIX = ".new";

/** Addresses of sockets are short: 108 bytes on Linux, 104 elsewhere, the last one being 0. */
const SOCKET_PATH_BYTES_MAX = 103;

/** After so long without a word a process that accepts connections counts as alive and busy. */
const ANSWER_TIMEOUT_MS = 1_000;

const RETRY_MS = 20;
const RETRIES_MAX = 100;

/** What a living process says of itself. */
type State = "held" | "waiting";

/** Whether a file in the directory is a lock's. */
export function isLockName(name: string): boolean {
  return name.startsWith(PREFIX);
}

/**
 * Takes the directory.
 *
 * @throws {StoreLockedError} When a living process has it, or another store of this one.
 * @throws {StorageError} When sockets can't be made in it.
 */
export async function lockDirectory(directory: string): Promise<{ release(): Promise<void> }> {
  if (process.platform === "win32") return await lockPipe(directory);
  const door = await shortPathOf(directory);
  const name = `${PREFIX}${randomBytes(8).toString("hex")}`;
  const lock = new Lock();
  const release = async (): Promise<void> => {
    // Before the socket closes, so that nobody finds a file of ours that is dead.
    await fs.rm(join(directory, name), { force: true });
    await lock.close();
  };
  try {
    await lock.listen(join(door.path, name + UNBORN_SUFFIX));
    await fs.rename(join(directory, name + UNBORN_SUFFIX), join(directory, name));
    await waitForOthers(directory, door.path, name);
    lock.state = "held";
    return { release };
  } catch (cause) {
    await release();
    await fs.rm(join(directory, name + UNBORN_SUFFIX), { force: true });
    if (cause instanceof StorageError) throw cause;
    throw new StorageError(`Cannot lock "${directory}": ${(cause as Error).message}`, "lock", cause);
  } finally {
    await door.close();
  }
}

/** Returns when no other process that is alive has a socket in the directory. */
async function waitForOthers(directory: string, door: string, own: string): Promise<void> {
  for (let tries = 0; tries < RETRIES_MAX; tries++) {
    let isAlone = true;
    for (const name of await fs.readdir(directory)) {
      if (name === own || !isLockName(name) || name.endsWith(UNBORN_SUFFIX)) continue;
      const state = await ask(join(door, name));
      if (state === undefined) {
        await fs.rm(join(directory, name), { force: true });
        continue;
      }
      // Two that start at once: the lower name waits until the other has given up.
      if (state === "held" || (state === "waiting" && name < own)) throw new StoreLockedError(directory);
      isAlone = false;
    }
    if (isAlone) return;
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
  throw new StoreLockedError(directory);
}

/** What the process behind a socket is doing; undefined when it is dead. */
function ask(path: string): Promise<State | "leaving" | undefined> {
  const { promise, resolve } = Promise.withResolvers<State | "leaving" | undefined>();
  const socket = connect(path);
  const timer = setTimeout(() => resolve("held"), ANSWER_TIMEOUT_MS);
  socket.on("data", (bytes: Uint8Array) => resolve(bytes[0] === 0x77 ? "waiting" : "held"));
  // Closed without a word.
  socket.on("close", () => resolve("leaving"));
  socket.on("error", ({ code }: Error & { code?: string }) => {
    if (code === "ECONNREFUSED" || code === "ENOENT") resolve(undefined);
    else if (code === "ECONNRESET" || code === "EPIPE") resolve("leaving");
    // Whatever else is wrong (too many connections at once, say), somebody is there.
    else resolve("held");
  });
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}

/** The listening side. */
class Lock {
  state: State = "waiting";
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer((socket) => {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
    socket.end(this.state[0]);
  });

  /** Listens, without keeping the process alive. */
  listen(path: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen(path, () => resolve());
    this.#server.unref();
    return promise;
  }

  /** Closes, connections too. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }
}

/** Another path to the directory that a socket's address has room for: a link to it, if need be. */
async function shortPathOf(directory: string): Promise<{ readonly path: string; close(): Promise<void> }> {
  const longest = join(directory, PREFIX) + "0".repeat(16) + UNBORN_SUFFIX;
  if (new TextEncoder().encode(longest).length <= SOCKET_PATH_BYTES_MAX) {
    return { path: directory, close: () => Promise.resolve() };
  }
  const made = await fs.mkdtemp(join(tmpdir(), "raft-"));
  const path = join(made, "d");
  await fs.symlink(directory, path);
  return { path, close: () => fs.rm(made, { recursive: true, force: true }) };
}

/** Windows has pipes, which are no files, vanish with their process and can be made once only. */
async function lockPipe(directory: string): Promise<{ release(): Promise<void> }> {
  const key = createHash("sha256").update((await fs.realpath(directory)).toLowerCase()).digest("hex");
  const lock = new Lock();
  try {
    await lock.listen(`\\\\.\\pipe\\raft-${key}`);
  } catch (cause) {
    if ((cause as { code?: string }).code === "EADDRINUSE") throw new StoreLockedError(directory);
    throw new StorageError(`Cannot lock "${directory}": ${(cause as Error).message}`, "lock", cause);
  }
  return { release: () => lock.close() };
}
