/**
 * Stand-in for `@std/fs` on machines that reach npm but not JSR: the functions this repository calls, over `Deno.*`.
 * Like the real package it works on Deno only; on other runtimes every call says so.
 *
 * @module
 */

/** Options of {@linkcode exists}. */
export interface ExistsOptions {
  /** Whether it must be readable. */
  isReadable?: boolean;
  /** Whether it must be a directory. */
  isDirectory?: boolean;
  /** Whether it must be a file. */
  isFile?: boolean;
}

/** Whether a path exists. */
export async function exists(path: string | URL, options: ExistsOptions = {}): Promise<boolean> {
  requireDeno("exists");
  try {
    const info = await Deno.stat(path);
    if (options.isDirectory && !info.isDirectory) return false;
    if (options.isFile && !info.isFile) return false;
    if (options.isReadable) await assertReadable(path, info);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    if (options.isReadable && error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

/** Makes a directory and its parents. */
export async function ensureDir(dir: string | URL): Promise<void> {
  requireDeno("ensureDir");
  await Deno.mkdir(dir, { recursive: true });
}

/** Makes a directory and deletes what it holds. */
export async function emptyDir(dir: string | URL): Promise<void> {
  requireDeno("emptyDir");
  await Deno.mkdir(dir, { recursive: true });
  const root = dir instanceof URL ? new URL(dir.href.endsWith("/") ? dir.href : dir.href + "/") : dir;
  for await (const entry of Deno.readDir(root)) {
    const path = root instanceof URL ? new URL(encodeURIComponent(entry.name), root) : `${root}/${entry.name}`;
    await Deno.remove(path, { recursive: true });
  }
}

async function assertReadable(path: string | URL, info: Deno.FileInfo): Promise<void> {
  if (info.isDirectory) await Deno.readDir(path)[Symbol.asyncIterator]().next();
  else (await Deno.open(path)).close();
}

function requireDeno(name: string): void {
  if (!("Deno" in globalThis)) throw new Error(`@std/fs works on Deno only: ${name}() was called on another runtime`);
}
