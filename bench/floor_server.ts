/**
 * One of the processes that show what disk and network take by themselves: takes jobs as lines of JSON, answers each with a line.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { overwrite } from "./disk.ts";
import { answerJobs } from "./jobs.ts";
import { type Percentiles, percentilesOf } from "./statistics.ts";

/** What such a process is asked. */
export type FloorJob =
  /** Overwrite a filled file, with an fdatasync after each write. */
  | { readonly job: "write"; readonly measureMs: number }
  /** Send bytes to another one, which sends them back. */
  | { readonly job: "ping"; readonly port: number; readonly measureMs: number }
  | { readonly job: "stop" };

/** A command of 256 B in its message, more or less. */
const messageBytes = 320;

async function main(dir: string): Promise<void> {
  mkdirSync(dir, { recursive: true });
  const server = createServer((socket) => socket.setNoDelay(true).on("data", (bytes) => socket.write(bytes)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await answerJobs<FloorJob>({ port: (server.address() as AddressInfo).port }, (job) => {
    return job.job === "write" ? overwrite(join(dir, "filled.bin"), job.measureMs) : ping(job.port, job.measureMs);
  });
  process.exit(0);
}

async function ping(port: number, measureMs: number): Promise<Percentiles> {
  const socket = connect(port, "127.0.0.1").setNoDelay(true);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const samples: number[] = [];
  const endsAt = performance.now() + measureMs;
  while (performance.now() < endsAt) {
    const from = performance.now();
    await roundTrip(socket);
    samples.push(performance.now() - from);
  }
  socket.destroy();
  return percentilesOf(samples);
}

function roundTrip(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    let received = 0;
    const onData = (bytes: Uint8Array) => {
      received += bytes.length;
      if (received < messageBytes) return;
      socket.off("data", onData);
      resolve();
    };
    socket.on("data", onData);
    socket.write(new Uint8Array(messageBytes));
  });
}

await main(process.argv[2]!);
