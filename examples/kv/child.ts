/**
 * A server as a process of its own.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

/** How a process is started. */
export interface ChildOptions {
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** Its working directory. */
  readonly cwd: string;
  /** Gets every line it writes to stderr. */
  readonly onLine?: (line: string) => void;
}

/** How a process ended. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
}

const LINES_MAX = 50;

/** A process that this one started. */
export class Child {
  /** Resolves when it has ended and its last line is read. */
  readonly exited: Promise<ChildExit>;
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  #hasEnded = false;

  constructor({ command, cwd, onLine }: ChildOptions) {
    const [program, ...args] = command as [string, ...string[]];
    // In a process group of its own, as Ctrl-C would otherwise reach it, too, besides the signal that it gets from us.
    // Its stdin is a pipe, so that it notices when we are gone without having stopped it.
    const env = { ...process.env, NO_COLOR: "1" };
    this.#process = spawn(program, args, { cwd, env, detached: true, stdio: ["pipe", "ignore", "pipe"] });
    this.#process.stdin!.on("error", () => {});
    const reading = createInterface({ input: this.#process.stderr! });
    reading.on("line", (line) => {
      this.#lines.push(line);
      if (this.#lines.length > LINES_MAX) this.#lines.shift();
      onLine?.(line);
    });
    this.exited = new Promise((resolve) => {
      const end = (exit: ChildExit) => {
        this.#hasEnded = true;
        resolve(exit);
      };
      this.#process.once("error", (error) => {
        this.#lines.push(error.message);
        end({ code: 127, signal: null });
      });
      this.#process.once("close", (code, signal) => end({ code, signal }));
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Its last lines on stderr. */
  get lastLines(): readonly string[] {
    return this.#lines;
  }

  /** Sends a signal to this process and nobody else; nothing happens when it has ended. */
  kill(signal: NodeJS.Signals): void {
    // Not by the process object's own method: Deno's closes its stdin, too.
    if (!this.#hasEnded && this.pid !== undefined) process.kill(this.pid, signal);
  }

  /** What happens to it when this process is gone. */
  closeStdin(): void {
    this.#process.stdin!.end();
  }

  /** Asks it to stop, and makes it after so long. */
  async stop(graceMs: number): Promise<ChildExit> {
    // A process that is halted gets no other signal.
    this.kill("SIGCONT");
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), graceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }
}
