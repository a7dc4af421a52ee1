/**
 * How cost grows: with the servers of a cluster, the bytes of a command, and the entries of a log.
 *
 * @module
 */
import { join } from "node:path";
import { Cluster, ourServer } from "./cluster.ts";
import type { LoadResult, LoadShape } from "./load.ts";
import type { RuntimeName } from "./processes.ts";
import { measureRestart } from "./storage.ts";

/** What is varied. */
export interface ScaleSizes {
  readonly servers: readonly number[];
  readonly bytes: readonly number[];
  readonly entries: readonly number[];
  /** How long each load is measured, milliseconds. */
  readonly measureMs: number;
}

/** What it costs, in the order of the sizes. */
export interface ScaleResult {
  readonly sizes: ScaleSizes;
  /** Commands of 256 B to clusters in one process, on memory parts. */
  readonly byServers: readonly LoadResult[];
  /** Commands to three processes with durable logs. */
  readonly byBytes: readonly LoadResult[];
  /** `createRaft` to the first accepted write, milliseconds, when the log has so many entries of 256 B. */
  readonly restartMs: readonly number[];
}

/** Enough to keep a cluster busy, and not more than 16 MiB under way when each command has one. */
const inFlight = 16;

/** Measures all of it under `dir`. */
export async function measureScale(
  runtime: RuntimeName,
  dir: string,
  sizes: ScaleSizes,
  say: (line: string) => void,
): Promise<ScaleResult> {
  const { servers, bytes, entries, measureMs } = sizes;
  const shape = { inFlight, warmUpMs: measureMs / 3, measureMs };
  const command = await ourServer(runtime);
  const each = async <T>(what: string, values: readonly number[], measure: (value: number) => Promise<T>) => {
    const results: T[] = [];
    for (const value of values) {
      say(`scale: ${value.toLocaleString("en-US")} ${what} …`);
      results.push(await measure(value));
    }
    return results;
  };
  const byServers = await each("servers", servers, async (count) => {
    const ids = Array.from({ length: count }, (_, i) => `n${i + 1}`);
    return await loaded(await Cluster.startMemory(command, ids), shape, 256);
  });
  const byBytes = await each("bytes", bytes, async (count) => {
    return await loaded(await Cluster.start(command, join(dir, `${count}-bytes`)), shape, count);
  });
  const restartMs = await each("entries", entries, (count) => measureRestart(runtime, join(dir, `${count}`), count));
  return { sizes, byServers, byBytes, restartMs };
}

async function loaded(cluster: Cluster, shape: LoadShape, bytes: number): Promise<LoadResult> {
  try {
    return await cluster.load(shape, bytes, false);
  } finally {
    await cluster.stop();
  }
}
