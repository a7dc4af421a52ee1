/**
 * A network in which nothing goes wrong.
 *
 * @module
 */
import type { NetworkBehaviour } from "../../../src/testing/sim/lines.ts";

export const calmNetwork: NetworkBehaviour = {
  delayShape: "uniform",
  delayMin: 100,
  delayMax: 500,
  tailChance: 0,
  tailMax: 50_000,
  late: 0,
  lateMax: 900_000,
  loss: 0,
  duplicate: 0,
  replay: 0,
  reorder: false,
  refuse: 0,
  refuseDial: 0,
  bytesPerMs: 0,
  queueBytesMax: 1000,
  silence: 100_000,
};
