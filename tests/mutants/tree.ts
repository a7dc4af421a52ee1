/**
 * A copy of the code, for mutants to live in.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { applyMutant, type Mutant } from "./mutant.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** What runs need of the repository. */
const parts = ["deno.json", "mod.ts", "src", "adapters", "offline", "tests/mutants", "tests/driver/stores.ts"];
const helpers = ["virtual_cluster.ts", "virtual_environment.ts"].map((name) => `tests/${name}`);

/** What came of a program. */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** A copy in a directory of its own. */
export class Tree {
  readonly path: string;
  /** The files that are not as they were, with what they were. */
  readonly #originals = new Map<string, string>();

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes a copy. */
  static async make(): Promise<Tree> {
    const path = await mkdtemp(join(tmpdir(), "mutants-"));
    for (const part of [...parts, ...helpers]) await cp(join(root, part), join(path, part), { recursive: true });
    return new Tree(path);
  }

  /** Puts these faults in and takes all others out. Throws when two of them are in the same place. */
  async apply(mutants: readonly Mutant[]): Promise<void> {
    for (const [file, text] of this.#originals) await writeFile(join(this.path, file), text);
    this.#originals.clear();
    for (const mutant of mutants) {
      const path = join(this.path, mutant.file);
      const text = await readFile(path, "utf8");
      const changed = applyMutant(mutant, text);
      if (!this.#originals.has(mutant.file)) this.#originals.set(mutant.file, text);
      await writeFile(path, changed);
    }
  }

  /** Runs this program of Deno's in the copy. Each line that it prints proves that it lives; without one it is ended. */
  run(args: readonly string[], silenceMs: number, onLine: (line: string) => void = () => {}): Promise<Ended> {
    return new Promise((resolve, reject) => {
      const env = { ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
      const child = spawn(process.execPath, args, { cwd: this.path, env, stdio: ["ignore", "pipe", "pipe"] });
      let [output, rest] = ["", ""];
      let timer = setTimeout(() => child.kill("SIGKILL"), silenceMs);
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        clearTimeout(timer);
        timer = setTimeout(() => child.kill("SIGKILL"), silenceMs);
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        for (const line of lines) onLine(line);
      });
      child.stderr.setEncoding("utf8").on("data", (text: string) => output += text);
      child.on("error", reject);
      child.on("close", (code) => {
        clearTimeout(timer);
        resolve({ code: code ?? -1, output });
      });
    });
  }

  /** Removes it. */
  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
