/**
 * What operators do with servers that run: drains, and other settings.
 *
 * @module
 */
import type { Mutant, Runs } from "../mutant.ts";

/** Every restart begins with a drain, while commands are long under way. */
const drained: Runs = { faults: ["restart", "partition", "clog"], servers: 3, moving: false, drains: 1 };

/** Settings are changed all the time, and much is in flight. */
const reloaded: Runs = { client: { reloads: 0.1, clients: 6, burstChance: 0.2, burstMax: 16 } };

/** Faults in what comes of them. */
export const operating: readonly Mutant[] = [
  {
    id: "drains-without-waiting-for-the-next-leader",
    bug: "BK11",
    file: "src/shutdown.ts",
    find: "if (this.#isMissed) await operator.transfer(undefined, options);",
    replace: "if (this.#isMissed) driver.transfer();",
    why: "Once it is asked to, another server leads in no time.",
    invariants: ["K3"],
    runs: drained,
  },
  {
    id: "one-drain-that-is-given-up-ends-all",
    bug: "BA16",
    file: "src/shutdown.ts",
    find: "this.#drains--;",
    replace: "this.#drains = 0;",
    why: "It is not drained after all, so it takes commands again.",
    invariants: ["V8"],
    runs: { ...drained, client: { asks: 0.3, clients: 6 } },
  },
  {
    id: "core-is-told-the-settings-before",
    bug: "BE21",
    file: "src/server.ts",
    find: "    Object.assign(this.#settings, reloaded(this.#settings, changes));\n    this.#driver.reconfigure();\n",
    replace:
      "    const settings = reloaded(this.#settings, changes);\n    this.#driver.reconfigure();\n    Object.assign(this.#settings, settings);\n",
    why: "The driver gets the very object, so that the order of the two does not matter.",
    invariants: ["K6"],
    runs: reloaded,
  },
  {
    id: "room-as-it-was-at-the-start",
    bug: "BV10",
    file: "src/driver/intake.ts",
    find: "    this.#limits = limits;\n",
    replace: "    this.#limits = { ...limits };\n",
    why: "Two numbers of its own are faster to look up.",
    invariants: ["K6"],
    runs: reloaded,
  },
  {
    id: "snapshots-by-the-thresholds-of-the-start",
    bug: "BV10",
    file: "src/driver/snapshotter.ts",
    find: "    this.#settings = settings;\n",
    replace: "    this.#settings = { ...settings };\n",
    why: "Nobody changes what it was given.",
    invariants: ["K6"],
    runs: reloaded,
  },
  {
    id: "reads-from-any-entry",
    bug: "BR09",
    file: "src/reader.ts",
    find: "return bound === undefined ? minIndex : ",
    replace: "return bound === undefined ? 0 : ",
    why: "Who asks for stale reads takes whatever there is.",
    invariants: ["R5"],
    runs: { faults: ["partition", "clog", "delay"], servers: 3, client: { bounded: 0.3 } },
  },
];
