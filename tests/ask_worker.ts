/**
 * Questions to worker threads, one at a time.
 *
 * @module
 */
import type { Worker } from "node:worker_threads";

/** Sends a task and waits for what comes back, for as long as it may take. Rejects when the worker fails. */
export function askWorker<Result>(worker: Worker, task: unknown, msMax?: number): Promise<Result> {
  return new Promise<Result>((resolve, reject) => {
    const timer = msMax === undefined ? undefined : setTimeout(() => fail(new Error("it does not end")), msMax);
    const done = () => {
      clearTimeout(timer);
      worker.off("message", onMessage);
      worker.off("error", fail);
    };
    const onMessage = (result: Result) => {
      done();
      resolve(result);
    };
    const fail = (error: Error) => {
      done();
      reject(error);
    };
    worker.on("message", onMessage);
    worker.on("error", fail);
    worker.postMessage(task);
  });
}
