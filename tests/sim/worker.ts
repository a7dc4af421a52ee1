/**
 * Runs the seeds that it is sent, one after the other, on a core of its own.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { LastLines } from "./last_lines.ts";
import { runSummary, type Task } from "./summary.ts";

parentPort!.on("message", async ({ seed, request, lines }: Task) => {
  const last = lines && new LastLines(lines);
  const about = last && { keepsLines: true, onLine: (line: string) => last.write(line) };
  parentPort!.postMessage(await runSummary(seed, request, about));
});
