/**
 * Waiting for other processes: there is nothing to await, so it asks again and again, up to a deadline.
 *
 * @module
 */

/** Asks until the answer is neither undefined nor false, and gives that. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 30_000,
): Promise<T> {
  const start = performance.now();
  while (true) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() - start > deadlineMs) throw new Error(`Waited ${deadlineMs} ms in vain for ${what}`);
    await pause(50);
  }
}

/** Lets some time pass. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
