/**
 * What a seed that has no end did last.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import type { SimRequest } from "./args.ts";
import { LastLines } from "./last_lines.ts";
import type { Task } from "./summary.ts";

/** Events that are told, as of any other failure. */
const eventsMax = 50;

/** Between two looks at a run, milliseconds. */
const lookMs = 20;

/** How long it is watched. */
export interface Watching {
  /** It is stuck when nothing was said for so long, milliseconds: a thread that loops, or waits for what never comes. */
  readonly stuckMs?: number;
  /** It goes on for ever when it has no end by then, milliseconds. */
  readonly endMs?: number;
  /** What runs it: whatever it says is in its task's `lines`. */
  readonly worker?: URL;
}

/** Runs it once more in a thread of its own, which tells of each event as it begins. What it came to, and its last lines. */
export async function lastEvents(
  seed: number,
  request: SimRequest,
  { stuckMs = 10_000, endMs = 1_200_000, worker: url = new URL("./worker.ts", import.meta.url) }: Watching = {},
): Promise<readonly [end: string, lines: readonly string[]]> {
  const lines = new LastLines();
  const worker = new Worker(url);
  const task: Task = { seed, request, lines: lines.buffer };
  worker.postMessage(task);
  const end = await new Promise<string>((resolve) => {
    const startedAt = performance.now();
    let [before, saidAt] = [0, startedAt];
    const timer = setInterval(() => {
      const now = performance.now();
      if (lines.written > before) [before, saidAt] = [lines.written, now];
      else if (before > 0 && now - saidAt >= stuckMs) finish(`nothing more within ${stuckMs} ms`);
      if (now - startedAt >= endMs) finish("it goes on");
    }, lookMs);
    const finish = (how: string) => {
      clearInterval(timer);
      resolve(how);
    };
    worker.on("message", () => finish("this time it has ended"));
    worker.on("error", ({ message }: Error) => finish(message));
  });
  await worker.terminate();
  return [end, lines.of(eventsMax)];
}
