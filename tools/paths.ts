/**
 * Paths inside the repository, with forward slashes on every platform, so that they can be compared with a table.
 *
 * @module
 */
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the repository. */
export const ROOT: string = dirname(dirname(fileURLToPath(import.meta.url)));

/** A file's path seen from the root of the repository; a relative one is taken to be so already. */
export function fromRoot(file: string): string {
  const path = isAbsolute(file) ? relative(ROOT, file) : file;
  return path.replaceAll("\\", "/");
}

/** Where a relative import of a file leads, seen from the root. */
export function importedPath(importer: string, specifier: string): string {
  return fromRoot(join(dirname(resolve(ROOT, importer)), specifier));
}
