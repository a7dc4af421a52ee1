/**
 * A disk of a few megabytes: a tmpfs, which only root may mount, and not in every container.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** A mounted one. */
export interface SmallDisk {
  /** Takes so many bytes of it, by a file that belongs to nobody. */
  fill(bytes: number): Promise<void>;
  /** Gives them back. */
  free(): Promise<void>;
  /** Takes it away, with all that is on it; whoever uses it must have ended. */
  unmount(): void;
}

const MIB = 1 << 20;

/** Whether one can be mounted here: tried, as nothing else tells. */
export function canMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const directory = mkdtempSync(join(tmpdir(), "raft-mount-"));
  try {
    if (!mount(directory, MIB)) return false;
    unmount(directory);
    return true;
  } finally {
    rmdirSync(directory);
  }
}

/**
 * Mounts one of so many bytes, for a server that keeps its data at this path. What fills it stands beside them, as a server
 * refuses a directory with files of others.
 */
export async function mountSmallDisk(path: string, bytes: number): Promise<SmallDisk> {
  const root = `${path}.disk`;
  await mkdir(root);
  if (!mount(root, bytes)) throw new Error(`Cannot mount a tmpfs at ${root}`);
  await mkdir(join(root, "data"));
  await symlink(join(root, "data"), path);
  const ballast = join(root, "ballast");
  return {
    fill: (count) => writeFile(ballast, new Uint8Array(count)),
    free: () => rm(ballast, { force: true }),
    unmount: () => unmount(root),
  };
}

function mount(directory: string, bytes: number): boolean {
  return spawnSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", directory]).status === 0;
}

function unmount(directory: string): void {
  // Lazily, so that a process that is about to end can't keep it.
  spawnSync("umount", ["-l", directory]);
}
