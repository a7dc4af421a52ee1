/**
 * Being asked to stop.
 *
 * @module
 */
import process from "node:process";

// A terminal sends Ctrl-C to every process in it, and launchers like `npx` and `deno task` pass theirs on: nobody
// presses it twice as fast as that.
const ECHO_MS = 50;

/** Calls back each time Ctrl-C is pressed or SIGTERM sent. */
export function onStopSignal(onStop: (signal: string) => void): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    let previous = -Infinity;
    process.on(signal, () => {
      const isEcho = performance.now() - previous < ECHO_MS;
      previous = performance.now();
      if (!isEcho) onStop(signal);
    });
  }
}
