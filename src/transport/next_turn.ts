/**
 * A later turn of the event loop, without waiting for a timer.
 *
 * @module
 */

/**
 * Calls back in a macrotask of its own, when no microtask is left; timers that are due fire before it or right after it.
 * `setImmediate` where there is one: it takes a third of what a message does, and unlike a timer, which waits for a
 * millisecond, it does not wait.
 */
export const nextTurn: (callback: () => void) => void = findNextTurn();

function findNextTurn(): (callback: () => void) => void {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
  if (typeof setImmediate === "function") return (callback) => void setImmediate(callback);
  return (callback) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      callback();
    };
    port2.postMessage(0);
  };
}
