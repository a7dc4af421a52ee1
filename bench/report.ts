/**
 * Results as Markdown.
 *
 * @module
 */
import type { DiskResult } from "./disk.ts";
import type { GrowthResult } from "./growth.ts";
import type { LoadResult } from "./load.ts";
import type { Spread } from "./pairs.ts";
import type { ScaleResult } from "./scale.ts";
import type { SessionCost, SessionMemory, Way } from "./sessions.ts";
import type { StagedLoad } from "./stages.ts";
import { median } from "./statistics.ts";
import type { StorageResult } from "./storage.ts";

/** A table of what the disk can do. */
export function diskTable(results: readonly DiskResult[]): string {
  const rows = results.map(({ name, perSecond, p50Us, p99Us }) =>
    `| ${name} | ${p50Us} | ${p99Us} | ${number(perSecond)} |`
  );
  return ["| disk | p50 µs | p99 µs | per second |", "|---|---|---|---|", ...rows].join("\n");
}

/** A table with a row per name and a column per number of calls in flight. */
export function loadTable(rows: Readonly<Record<string, readonly LoadResult[]>>): string {
  const first = Object.values(rows)[0] ?? [];
  const head = `| per second (p50 / p99 / p99.9 µs) | ${first.map(({ inFlight }) => inFlight).join(" | ")} |`;
  const lines = Object.entries(rows).map(([name, results]) => `| ${name} | ${results.map(cell).join(" | ")} |`);
  return [head, `|---|${first.map(() => "---").join("|")}|`, ...lines].join("\n");
}

function cell({ perSecond, p50Us, p99Us, p999Us, failed }: LoadResult): string {
  const failures = failed === 0 ? "" : `, ${failed} failed`;
  return `${number(perSecond)} (${number(p50Us)} / ${number(p99Us)} / ${number(p999Us)}${failures})`;
}

/** A table of when a command comes to which stage, with a row per stage. */
export function stageTable(results: readonly StagedLoad[]): string {
  const stages = Object.keys(results[0]?.stagesUs ?? {}) as (keyof StagedLoad["stagesUs"])[];
  return [
    `| from a command's arrival at the leader to …, 256 B, p50 µs | ${
      results.map(({ inFlight }) => inFlight).join(" | ")
    } |`,
    `|---|${results.map(() => "---").join("|")}|`,
    ...stages.map((stage) => `| ${stage} | ${results.map(({ stagesUs }) => number(stagesUs[stage])).join(" | ")} |`),
  ].join("\n");
}

/** A table about failovers, a row per end of the leader. */
export function failoverTable(timesMs: Readonly<Record<string, readonly number[]>>): string {
  const rows = Object.entries(timesMs).map(([end, times]) => {
    const [low, high] = [Math.min(...times), Math.max(...times)];
    return `| ${end} of the leader, ${times.length} trials | ${number(median(times))} | ${number(low)} | ${
      number(high)
    } |`;
  });
  return ["| to the first accepted write | median ms | min | max |", "|---|---|---|---|", ...rows].join("\n");
}

/** A table of the longest times without an accepted write. */
export function growthTable(results: readonly GrowthResult[]): string {
  const row = (what: string, times: readonly number[]) =>
    `| ${what} | ${number(median(times))} | ${number(Math.min(...times))} | ${number(Math.max(...times))} |`;
  return [
    `| longest refusal, ${results.length} runs | median ms | min | max |`,
    "|---|---|---|---|",
    row("while it grows 1 → 3 → 5", results.map(({ growingMs }) => growingMs)),
    row("when the leader is killed, of three and of five", results.map(({ killedMs }) => killedMs)),
    row("while it moves to three others", results.map(({ movingMs }) => movingMs)),
  ].join("\n");
}

/** A table of what large logs and snapshots cost. */
export function storageTable(
  { sizes, restartMs, alone, beside, snapshotBytes, installMs, footprints, thrifty, thriftyFlag }: StorageResult,
): string {
  const mib = (bytes: number) => `${number(bytes / 2 ** 20)} MiB`;
  const perSecond = (bytes: number, ms: number) => `${number(bytes / 2 ** 20 / (ms / 1000))} MiB/s`;
  const each = (of: "rss" | "disk", from = footprints) => from.map((footprint) => mib(footprint[of])).join(", ");
  const { snapshotMs } = beside;
  const taken = snapshotMs === undefined ? "longer than the load" : `${number(snapshotMs)} ms`;
  const [entries, keys] = [number(sizes.entries), number(sizes.keys)];
  return [
    "| what | |",
    "|---|---|",
    `| restart with ${entries} entries of 256 B and no snapshot: \`createRaft\` to the first accepted write | ${
      number(restartMs)
    } ms |`,
    `| writes of 256 B at ${alone.inFlight} in flight, one server with ${keys} keys of 4 KiB, per second (p50 / p99 / p99.9 µs) | ${
      cell(alone)
    } |`,
    `| … while a snapshot of ${mib(snapshotBytes)} is taken, which takes ${taken} | ${cell(beside)} |`,
    `| an empty server gets that snapshot and votes | ${number(installMs)} ms, ${
      perSecond(snapshotBytes, installMs)
    } |`,
    `| memory (RSS) of each of three servers after ${entries} writes to 10,000 keys, a snapshot every 100,000 entries | ${
      each("rss")
    } |`,
    `| … when they were started with \`${thriftyFlag}\` and \`MALLOC_MMAP_THRESHOLD_=65536\` | ${
      each("rss", thrifty)
    } |`,
    `| … and what they take up on disk | ${each("disk")} |`,
  ].join("\n");
}

/** A table of what a session, or a key, costs a command, and a line about what each takes. */
export function sessionsTable(costs: readonly SessionCost[], memory: SessionMemory): string {
  const spread = ({ median, min, max }: Spread, text: (value: number) => string) =>
    `${text(median)} (${text(min)}–${text(max)})`;
  const row = (name: string, cellOf: (cost: SessionCost) => string) => `| ${name} | ${costs.map(cellOf).join(" | ")} |`;
  const rate = (way: Way) => (cost: SessionCost) => spread(cost.perSecond[way], number);
  const times = (way: "session" | "key") => (cost: SessionCost) => spread(cost.times[way], (value) => value.toFixed(2));
  const { count, session, key, keyInSnapshot } = memory;
  return [
    `| commands of 256 B per second, ${costs[0]?.perSecond.plain.count ?? 0} pairs: median (least–most) | ${
      costs.map(({ inFlight }) => inFlight).join(" | ")
    } |`,
    `|---|${costs.map(() => "---").join("|")}|`,
    row("plain", rate("plain")),
    row("of one session", rate("session")),
    row("each with a key", rate("key")),
    row("a plain one's rate divided by a session's", times("session")),
    row("… and by that with a key", times("key")),
    "",
    `Memory of each of ${number(count)}: a session with its client's end ${number(session)} B, a key ${
      number(key)
    } B; a key in a snapshot ${number(keyInSnapshot)} B.`,
  ].join("\n");
}

/** Three tables, one for each thing that grows. */
export function scaleTable({ sizes: { servers, bytes, entries }, byServers, byBytes, restartMs }: ScaleResult): string {
  const table = (title: string, columns: readonly number[], rows: Readonly<Record<string, readonly string[]>>) =>
    [
      `| ${title} | ${columns.map(number).join(" | ")} |`,
      `|---|${columns.map(() => "---").join("|")}|`,
      ...Object.entries(rows).map(([name, cells]) => `| ${name} | ${cells.join(" | ")} |`),
    ].join("\n");
  const mibPerSecond = byBytes.map(({ perSecond }, i) => (perSecond * bytes[i]! / 2 ** 20).toFixed(1));
  return [
    table("servers in one process, memory parts, 256 B, 16 in flight", servers, {
      "per second (p50 / p99 / p99.9 µs)": byServers.map(cell),
    }),
    table("bytes of a command, three processes, TCP, fdatasync, 16 in flight", bytes, {
      "per second (p50 / p99 / p99.9 µs)": byBytes.map(cell),
      "MiB of commands per second": mibPerSecond,
    }),
    table("entries of 256 B in the log of one server, no snapshot", entries, {
      "`createRaft` to the first accepted write, ms": restartMs.map(number),
    }),
  ].join("\n\n");
}

function number(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
