/**
 * Runs the seeds that it is sent, one after the other, on a core of its own.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { runSummary, type Task } from "./summary.ts";

parentPort!.on("message", async ({ seed, request }: Task) => {
  parentPort!.postMessage(await runSummary(seed, request));
});
