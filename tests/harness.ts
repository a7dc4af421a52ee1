/**
 * One `test` for Deno, Bun and Node. Under Deno it is `Deno.test`, so that the leak sanitizers act, which they don't
 * for `node:test`.
 *
 * @module
 */

/** A runtime the suite runs on. */
export type Runtime = "deno" | "bun" | "node";

/** What a test may ask of the harness. */
export interface TestOptions {
  /** Where the test runs; elsewhere it isn't registered at all. Default: everywhere. */
  readonly runtimes?: readonly Runtime[];
  /** After how long the test has failed. Default: 30 s. */
  readonly timeoutMs?: number;
  /** What it needs that this machine has not: it is counted as skipped, with this as the reason. */
  readonly lacks?: string | undefined;
}

type Body = () => void | Promise<void>;
type Register = (name: string, body: Body, timeoutMs: number, isSkipped: boolean) => void;

/** The runtime this is. Bun also answers to `process.versions.node`, and Deno to `process`, so the order matters. */
export const runtime: Runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";

const DEFAULT_TIMEOUT_MS = 30_000;

let runningCount = 0;

const register: Register = await registerOf(runtime);

/** Registers a test. */
export function test(name: string, body: Body, options: TestOptions = {}): void {
  if (options.runtimes !== undefined && !options.runtimes.includes(runtime)) return;
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const { lacks } = options;
  const title = lacks === undefined ? name : `${name} (skipped: ${lacks})`;
  register(title, () => withTimeout(body, timeoutMs), timeoutMs, lacks !== undefined);
}

async function registerOf(runtime: Runtime): Promise<Register> {
  if (runtime === "deno") return (name, fn, _, ignore) => Deno.test({ name, fn, ignore });
  await failOnExit();
  if (runtime === "node") {
    const { test } = await import("node:test");
    return (name, body, _, skip) => void test(name, { skip }, body);
  }
  // Bun's own time limit (5 s by default) must come after ours. The name is a variable because only Bun knows it.
  const bunTest = "bun:test";
  const { test } = await import(bunTest);
  return (name, body, timeoutMs, isSkipped) => (isSkipped ? test.skip : test)(name, body, timeoutMs + 1_000);
}

// Deno fails a test that exits the process. Bun and Node would end with status 0 and forget the tests after it.
async function failOnExit(): Promise<void> {
  const { default: process } = await import("node:process");
  process.on("exit", () => {
    if (runningCount > 0) process.exitCode = 1;
  });
}

async function withTimeout(body: Body, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the test did not end within ${timeoutMs} ms`)), timeoutMs);
  });
  runningCount += 1;
  try {
    await Promise.race([body(), expired]);
  } finally {
    runningCount -= 1;
    clearTimeout(timer);
  }
}
