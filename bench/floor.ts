/**
 * The least that a durable command can take on this machine: three disks that write at the same time, and one round trip.
 *
 * @module
 */
import { join } from "node:path";
import type { FloorJob } from "./floor_server.ts";
import { Child, commandOf, type RuntimeName, scriptPath } from "./processes.ts";
import type { Percentiles } from "./statistics.ts";

/** What it is called in tables. */
export const floorName = "fdatasync by three + a round trip";

/** Its p50, microseconds. */
export async function measureFloor(runtime: RuntimeName, dir: string, measureMs: number): Promise<number> {
  const command = [...await commandOf(runtime), scriptPath("./floor_server.ts")];
  const children = ["n1", "n2", "n3"].map((id) => new Child([...command, join(dir, id)]));
  try {
    const ports = await Promise.all(children.map((child) => child.answer<{ port: number }>().then(({ port }) => port)));
    const ask = (child: Child, job: FloorJob) => child.ask<Percentiles>(job);
    const writes = await Promise.all(children.map((child) => ask(child, { job: "write", measureMs })));
    const trip = await ask(children[0]!, { job: "ping", port: ports[1]!, measureMs });
    return Math.min(...writes.map(({ p50Us }) => p50Us)) + trip.p50Us;
  } finally {
    await Promise.all(children.map((child) => child.stop({ job: "stop" } satisfies FloorJob)));
  }
}
