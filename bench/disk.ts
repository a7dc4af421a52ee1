/**
 * What the disk can do: an append and its fdatasync, the least that a durable write can cost.
 *
 * @module
 */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Percentiles, percentilesOf } from "./statistics.ts";

/** One way to write. */
export interface DiskResult extends Percentiles {
  readonly name: string;
  readonly perSecond: number;
}

const blockBytes = 4096;
const fileBytes = 16 * 1024 * 1024;

/** Measures appends to a growing file, and overwrites of a file that was filled with zeros before. */
export function measureDisk(dir: string, measureMs: number): DiskResult[] {
  return [
    measure(join(dir, "append.bin"), `append ${blockBytes} B + fdatasync`, measureMs, false),
    overwrite(join(dir, "filled.bin"), measureMs),
  ];
}

/** Overwrites a file that was filled with zeros before, block by block, each with its fdatasync. */
export function overwrite(path: string, measureMs: number): DiskResult {
  return measure(path, `overwrite ${blockBytes} B in a filled file + fdatasync`, measureMs, true);
}

function measure(path: string, name: string, measureMs: number, filled: boolean): DiskResult {
  const file = openSync(path, "w");
  const samples: number[] = [];
  try {
    if (filled) writeSync(file, new Uint8Array(fileBytes), 0, fileBytes, 0);
    fdatasyncSync(file);
    const block = new Uint8Array(blockBytes).fill(1);
    const endsAt = performance.now() + measureMs;
    for (let offset = 0; performance.now() < endsAt && samples.length < 100_000; offset += blockBytes) {
      const from = performance.now();
      writeSync(file, block, 0, blockBytes, filled ? offset % fileBytes : offset);
      fdatasyncSync(file);
      samples.push(performance.now() - from);
    }
  } finally {
    closeSync(file);
    rmSync(path);
  }
  const totalMs = samples.reduce((sum, ms) => sum + ms, 0);
  return { name, perSecond: Math.round(samples.length / totalMs * 1000), ...percentilesOf(samples) };
}
