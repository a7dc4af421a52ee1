/**
 * Processes of a measured cluster.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { programOf } from "../examples/kv/programs.ts";

/** Where a server may run. */
export type RuntimeName = "deno" | "bun" | "node";

/** A program and the arguments that come before the script, with flags of the runtime. */
export async function commandOf(runtime: RuntimeName, ...flags: readonly string[]): Promise<readonly string[]> {
  const program = await programOf(runtime);
  if (runtime === "deno") return [program, "run", "-A", "--no-check", "--quiet", ...flags];
  return runtime === "node" ? [program, "--disable-warning=ExperimentalWarning", ...flags] : [program, ...flags];
}

/** A script beside this file, or below the repository's root. */
export function scriptPath(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

/** Ports that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ports.push((server.address() as { port: number }).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** So long. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const stepWithinMs = 60_000;

/** Asks until there is an answer. */
export async function within<T>(
  what: string,
  ask: () => T | Promise<T>,
): Promise<Exclude<Awaited<T>, undefined | false>> {
  const endsAt = performance.now() + stepWithinMs;
  while (performance.now() < endsAt) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<Awaited<T>, undefined | false>;
    await pause(20);
  }
  throw new Error(`Cannot measure: waited a minute in vain for ${what}`);
}

const running = new Set<Child>();
let isEnding = false;

/** When the bench is told to end, its processes end first: not all of them notice that it is gone. */
export function endChildrenWithUs(cleanUp: () => void): void {
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => {
      isEnding = true;
      const children = [...running];
      children.forEach((child) => child.kill());
      void Promise.all(children.map(({ gone }) => gone)).then(() => {
        cleanUp();
        process.exit(130);
      });
    });
  }
}

/** A process that answers lines with lines. */
export class Child {
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  readonly #answerWithinMs: number;
  #hasEnded = false;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;

  /** Starts it. Its standard error goes to ours. */
  constructor(command: readonly string[], env: Readonly<Record<string, string>> = {}, answerWithinMs = 60_000) {
    this.#answerWithinMs = answerWithinMs;
    if (isEnding) throw new Error("Cannot start a process, as the bench was told to end");
    const [program, ...args] = command;
    const stdio: ["pipe", "pipe", "inherit"] = ["pipe", "pipe", "inherit"];
    this.#process = spawn(program!, args, { stdio, env: { ...process.env, ...env } });
    running.add(this);
    this.gone = new Promise((resolve) =>
      this.#process.on("exit", () => {
        running.delete(this);
        resolve();
      })
    );
    const lines = createInterface({ input: this.#process.stdout! });
    lines.on("line", (line) => {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#lines.push(line);
      else waiting(line);
    });
    lines.on("close", () => {
      this.#hasEnded = true;
      this.#waiting.splice(0).forEach((waiting) => waiting(undefined));
    });
    // Whoever waits for an answer of a process that is gone learns it there.
    this.#process.stdin!.on("error", () => {});
  }

  /** The next line that it prints, as JSON. Makes it end when none came in time. */
  async answer<T>(): Promise<T> {
    const timer = setTimeout(() => this.kill(), this.#answerWithinMs);
    const line = this.#lines.shift() ?? await this.#nextLine();
    clearTimeout(timer);
    if (line === undefined) throw new Error("Cannot measure: a server ended before it answered");
    return JSON.parse(line) as T;
  }

  #nextLine(): Promise<string | undefined> {
    if (this.#hasEnded) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Says a line and waits for the answer. */
  ask<T>(question: unknown): Promise<T> {
    this.#process.stdin!.write(JSON.stringify(question) + "\n");
    return this.answer<T>();
  }

  /** Asks it to end, and makes it after 5 s. */
  async stop(farewell?: unknown): Promise<void> {
    if (farewell !== undefined) this.#process.stdin!.write(JSON.stringify(farewell) + "\n");
    this.#process.stdin!.end();
    await this.#goneWithin(5000);
  }

  /** Tells it to end by SIGTERM, and makes it after 5 s: for programs that do not read their standard input. */
  async terminate(): Promise<void> {
    this.#signal("SIGTERM");
    await this.#goneWithin(5000);
  }

  /** SIGKILL, at once. */
  kill(): void {
    this.#signal("SIGKILL");
  }

  /** SIGSTOP: it keeps its sockets and does nothing. */
  halt(): void {
    this.#signal("SIGSTOP");
  }

  async #goneWithin(ms: number): Promise<void> {
    const timer = setTimeout(() => this.kill(), ms);
    await this.gone;
    clearTimeout(timer);
  }

  #signal(name: "SIGTERM" | "SIGKILL" | "SIGSTOP"): void {
    // Not by the process object's own method: Deno's closes its stdin first, and a leader would begin to hand over.
    const { pid, exitCode, signalCode } = this.#process;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(pid, name);
  }
}
