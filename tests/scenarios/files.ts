/**
 * Where the scripts are.
 *
 * @module
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const folder = new URL("./", import.meta.url);

/** Names of all scripts, without `.txt`. */
export function scriptNames(): string[] {
  return readdirSync(folder).filter((file) => file.endsWith(".txt")).map((file) => file.slice(0, -4)).sort();
}

/** The text of a script. */
export function readScript(name: string): string {
  return readFileSync(new URL(`${name}.txt`, folder), "utf8").replaceAll("\r\n", "\n");
}

/** Replaces it. */
export function writeScript(name: string, text: string): void {
  writeFileSync(new URL(`${name}.txt`, folder), text);
}
