/**
 * Looks at one part of the pools, on a core of its own: takes what others have for it, goes through what waits, and hands
 * back what belongs to others.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { PartJob, type Start, type Task } from "./part_job.ts";

let job: PartJob | undefined;

parentPort!.on("message", (message: Start | Task) => {
  if (message.type === "start") job = new PartJob(message);
  else parentPort!.postMessage(job!.run(message));
});
