/**
 * The core's own generator: sfc32 over 32-bit integers, the same on every engine. Its state is part of the core's.
 *
 * @module
 */

/** State of the generator: four 32-bit integers. */
export type RandomState = [number, number, number, number];

/** A generator from any integer seed; seeds that differ give streams that differ. */
export function seedRandom(seed: number): RandomState {
  const state: RandomState = [seed | 0, Math.floor(seed / 2 ** 32) | 0, 0x9e3779b9 | 0, 1];
  for (let i = 0; i < 12; i++) nextRandom(state);
  return state;
}

/** The next integer in `[0, 2^32)`; changes the state. */
export function nextRandom(state: RandomState): number {
  const result = (state[0] + state[1] + state[3]) | 0;
  state[3] = (state[3] + 1) | 0;
  state[0] = state[1] ^ (state[1] >>> 9);
  state[1] = (state[2] + (state[2] << 3)) | 0;
  state[2] = ((state[2] << 21) | (state[2] >>> 11)) + result | 0;
  return result >>> 0;
}

/** An integer in `[min, max)`; changes the state. */
export function randomBetween(state: RandomState, min: number, max: number): number {
  return min + Math.floor(nextRandom(state) / 2 ** 32 * (max - min));
}
