/**
 * What processes ask of the kernel, as strace sees it: what was on a disk, and since when.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { until } from "./until.ts";

/** A write, or a sync, of a file. */
export interface FileCall {
  /** `write`, `pwrite64`, `fdatasync` and so on. */
  readonly name: string;
  readonly fd: number;
  readonly path: string;
  /** What was written, as strace prints it: as it is where it is text. */
  readonly bytes: string;
  /** When it began and ended, milliseconds since 1970. */
  readonly beganAt: number;
  readonly endedAt: number;
  readonly result: number;
}

const WRITES: readonly string[] = ["write", "writev", "pwrite64", "pwritev", "pwritev2"];
const SYNCS: readonly string[] = ["fsync", "fdatasync"];
/** Longer than any batch that a test writes. */
const STRING_MAX = 1 << 20;

const WHOLE = /^(\d+) +(\d+\.\d+) (\w+)\((\d+)<([^>]*)>(.*)\) += (-?\d+).*<(\d+\.\d+)>$/s;
const BEGUN = /^(\d+) +(\d+\.\d+) (\w+)\((\d+)<([^>]*)>(.*) <unfinished \.\.\.>$/s;
const RESUMED = /^(\d+) +(\d+\.\d+) <\.\.\. (\w+) resumed>.*\) += (-?\d+)/s;

/** Whether a process can be looked at here: tried, as nothing else tells. */
export function canTrace(): boolean {
  return spawnSync("strace", ["-e", "trace=none", "true"]).status === 0;
}

/** Looks at a process that runs, until it is told to stop; gives what it saw. */
export async function traceFileCalls(pid: number, path: string): Promise<{ stop(): Promise<readonly FileCall[]> }> {
  const calls = `trace=${[...WRITES, ...SYNCS].join()}`;
  const options = ["-f", "-ttt", "-T", "-y", "-s", String(STRING_MAX), "-e", calls, "-e", "signal=none", "-o", path];
  const said = openSync(`${path}.said`, "w");
  const tracer = spawn("strace", [...options, "-p", String(pid)], { stdio: ["ignore", "ignore", said] });
  closeSync(said);
  const ended = new Promise((resolve) => tracer.once("exit", resolve));
  await until(`strace to look at ${pid}`, () => readFileSync(`${path}.said`, "utf8").includes("attached"));
  return {
    async stop() {
      tracer.kill("SIGINT");
      await ended;
      return parseFileCalls(readFileSync(path, "latin1"));
    },
  };
}

/** Calls of all threads, in the order in which they ended; what was under way at the end is left out. */
export function parseFileCalls(text: string): readonly FileCall[] {
  const calls: FileCall[] = [];
  const begun = new Map<string, Omit<FileCall, "endedAt" | "result">>();
  for (const line of text.split("\n")) {
    const whole = WHOLE.exec(line);
    if (whole !== null) {
      const [, , at, name, fd, path, bytes, result, took] = whole;
      const beganAt = Number(at) * 1000;
      const call = { name: name!, fd: Number(fd), path: path!, bytes: bytes!, beganAt };
      calls.push({ ...call, endedAt: beganAt + Number(took) * 1000, result: Number(result) });
      continue;
    }
    const first = BEGUN.exec(line);
    if (first !== null) {
      const [, thread, at, name, fd, path, bytes] = first;
      begun.set(thread!, { name: name!, fd: Number(fd), path: path!, bytes: bytes!, beganAt: Number(at) * 1000 });
      continue;
    }
    const last = RESUMED.exec(line);
    const call = last === null ? undefined : begun.get(last[1]!);
    if (call?.name !== last?.[3] || call === undefined) continue;
    begun.delete(last![1]!);
    calls.push({ ...call, endedAt: Number(last![2]) * 1000, result: Number(last![4]) });
  }
  return calls.sort((a, b) => a.endedAt - b.endedAt);
}

/**
 * Since when what holds this text is on the disk: when the write ended, if its descriptor waits for the disk, else when
 * a sync of that file ended which began after it. Undefined when it never was.
 */
export function durableSince(
  calls: readonly FileCall[],
  text: string,
  waitsForDisk: (fd: number) => boolean,
): number | undefined {
  for (const write of calls) {
    if (!WRITES.includes(write.name) || write.result <= 0 || !write.bytes.includes(text)) continue;
    if (waitsForDisk(write.fd)) return write.endedAt;
    const sync = calls.find(({ name, path, beganAt, result }) =>
      SYNCS.includes(name) && path === write.path && result === 0 && beganAt >= write.endedAt
    );
    if (sync !== undefined) return sync.endedAt;
  }
  return undefined;
}

const O_DSYNC = 0o10000;

/** Whether each write to it waits for the disk, by what the kernel says of the descriptor of a process that runs. */
export function isDurableDescriptor(pid: number, fd: number): boolean {
  const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
  const flags = Number.parseInt(/^flags:\s+(\d+)$/m.exec(info)![1]!, 8);
  return (flags & O_DSYNC) !== 0;
}
