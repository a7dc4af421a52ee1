/**
 * Says what it does next and never comes to an end of it.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { LastLines } from "./last_lines.ts";
import type { Task } from "./summary.ts";

parentPort!.on("message", ({ seed, lines }: Task) => {
  new LastLines(lines).write(`#1 event of seed ${seed}\n  what comes of it`);
  for (;;);
});
