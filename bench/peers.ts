/**
 * Ours beside hashicorp/raft and etcd: what `deno task bench --peers` measures.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Cluster, ourServer } from "./cluster.ts";
import { EtcdCluster, etcdVersion } from "./etcd.ts";
import { type Killable, measureFailover } from "./failover.ts";
import { floorName, measureFloor } from "./floor.ts";
import { buildHashicorp, goVersion, type PeerPrograms } from "./hashicorp.ts";
import { type HttpStore, measureHttp } from "./http.ts";
import { KvCeiling, KvCluster } from "./kv.ts";
import type { LoadResult, LoadShape } from "./load.ts";
import { runPairs, type Sides } from "./pairs.ts";
import { ceilingName, ours, type Row, rowsOf, type Sample } from "./peers_rows.ts";
import type { PeerPart, Plan } from "./plan.ts";
import { median } from "./statistics.ts";

/** What a part gave. */
export interface PeerTable {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** Who takes part. */
export interface Peers {
  readonly hashicorp: PeerPrograms;
  /** The name with its version; undefined where it is not installed. */
  readonly etcd: string | undefined;
  /** What the tables are headed with. */
  readonly versions: string;
}

type Say = (line: string) => void;

/** Finds and builds the peers; says of each that is missing how to get it. */
export async function findPeers(say: Say): Promise<Peers> {
  const [go, etcd] = [await goVersion(), await etcdVersion()];
  if (go === undefined) say("skipped: hashicorp/raft, as there is no Go; see https://go.dev/doc/install");
  if (etcd === undefined) say("skipped: etcd, as it is not installed; on Debian: sudo apt-get install etcd-server");
  if (go !== undefined) say("building hashicorp/raft …");
  const hashicorp = go === undefined ? {} : await buildHashicorp("bench/out/peers");
  const versions = [go === undefined ? [] : [`Go ${go}`], etcd === undefined ? [] : [`etcd ${etcd}`]].flat();
  return { hashicorp, etcd: etcd && `etcd ${etcd}`, versions: versions.join(", ") };
}

/** Measures one part; no table when nobody is there to compare with. */
export async function measureBeside(
  part: PeerPart,
  plan: Plan,
  peers: Peers,
  dir: string,
  say: Say,
): Promise<PeerTable[]> {
  mkdirSync(dir, { recursive: true });
  const hasHashicorp = Object.keys(peers.hashicorp).length > 0;
  const measuring = new Measuring(plan, peers, dir, say);
  switch (part) {
    case "durable":
      return hasHashicorp ? await measuring.durable() : [];
    case "memory":
      return hasHashicorp ? await measuring.memory(false) : [];
    case "reads":
      return hasHashicorp ? [...await measuring.memory(true), ...await measuring.durableReads()] : [];
    case "http":
      return peers.etcd === undefined ? [] : await measuring.http(peers.etcd);
    case "failover":
      return [
        ...hasHashicorp ? await measuring.failover() : [],
        ...peers.etcd === undefined ? [] : await measuring.httpFailover(peers.etcd),
      ];
  }
}

class Measuring {
  readonly #plan: Plan;
  readonly #peers: Peers;
  readonly #dir: string;
  readonly #say: Say;

  constructor(plan: Plan, peers: Peers, dir: string, say: Say) {
    this.#plan = plan;
    this.#peers = peers;
    this.#dir = dir;
    this.#say = say;
  }

  /** Commands to three processes with fdatasync, and what they cost all three; then what disk and network take alone. */
  durable(): Promise<PeerTable[]> {
    const { runtime, measureMs } = this.#plan;
    return this.#eachSize(async (bytes) => {
      const name = `apply, ${bytes} B`;
      const sides = await this.#sidesOf(async (command, dir) => {
        const cluster = await Cluster.start(command, dir);
        return await sampled(cluster, this.#shapes([1, 64, 256, 1024]), name, bytes, false, true);
      });
      const p50 = `${name}, 1 in flight: p50 µs`;
      const floorOf = async (dir: string): Promise<Sample[]> => [
        { name: p50, value: await measureFloor(runtime, dir, measureMs / 2), better: "less" },
      ];
      const { [floorName]: floor, ...measured } = await this.#inTurns({ ...sides, [floorName]: floorOf });
      const mine = measured[ours]!.map((samples) => samples.filter((sample) => sample.name === p50));
      const besideFloor = rowsOf({ [ours]: mine, [floorName]: floor! });
      return [
        { title: `Three processes, TCP, fdatasync, ${bytes} B`, rows: rowsOf(measured) },
        { title: "The same beside what disk and network take alone", rows: besideFloor },
      ];
    });
  }

  /** Commands or reads on memory parts in one process. */
  memory(reads: boolean): Promise<PeerTable[]> {
    const title = "Three servers in one process, memory parts";
    const run = (bytes: number) =>
      this.#processes(async (command) => {
        const cluster = await Cluster.startMemory(command);
        const name = reads ? "linearizable read, VerifyLeader" : `apply, ${bytes} B`;
        return await sampled(cluster, this.#shapes([1, 256, 1024]), name, bytes, reads, !reads);
      });
    return reads ? this.#once(`${title}: reads`, () => run(1)) : this.#perSize(title, run);
  }

  /** Reads at the leader of three processes. */
  durableReads(): Promise<PeerTable[]> {
    return this.#once(
      "Three processes, TCP: reads in the leader's process",
      () =>
        this.#processes(async (command, dir) => {
          const cluster = await Cluster.start(command, dir);
          const name = "linearizable read, VerifyLeader";
          return await sampled(cluster, this.#shapes([1, 64, 256]), name, 1, true, false);
        }),
    );
  }

  /** Puts and gets over HTTP. */
  http(etcd: string): Promise<PeerTable[]> {
    const shapes = this.#shapes([64, 256]);
    return this.#perSize("HTTP, one client process for all: the key-value example and etcd", (bytes) => {
      const run = (start: (dir: string) => Promise<HttpStore>) => async (dir: string): Promise<Sample[]> => {
        const { put, get } = await measureHttp(await start(dir), shapes, bytes);
        return [
          ...put.flatMap((result) => samplesOf(`put, ${bytes} B`, result)),
          ...get.flatMap((result) => samplesOf("get, linearizable", result)),
        ];
      };
      return this.#inTurns({
        [ours]: run((dir) => KvCluster.start(this.#plan.runtime, dir)),
        [etcd]: run((dir) => EtcdCluster.start(dir)),
        [ceilingName]: run(() => KvCeiling.start(this.#plan.runtime)),
      });
    });
  }

  /** Leaders killed, writes tried in the processes of the others. */
  failover(): Promise<PeerTable[]> {
    return this.#once(
      "Failover, three processes: kill -9 of the leader to the first accepted write",
      () => this.#processes(async (command, dir) => await this.#killed(await Cluster.start(command, dir))),
    );
  }

  /** Leaders killed, writes tried over HTTP. */
  httpFailover(etcd: string): Promise<PeerTable[]> {
    return this.#once("Failover, HTTP: kill -9 of the leader to the first accepted write", () =>
      this.#inTurns({
        [ours]: async (dir) => await this.#killed(await KvCluster.start(this.#plan.runtime, dir)),
        [etcd]: async (dir) => await this.#killed(await EtcdCluster.start(dir)),
      }));
  }

  async #killed(cluster: Killable): Promise<Sample[]> {
    const { trials, pairs } = this.#plan;
    const times = await measureFailover(cluster, Math.max(1, Math.round(trials / pairs)));
    const name = `of ${times.length} in a pair`;
    return [
      { name: `the middle ${name}, ms`, value: median(times), better: "less" },
      { name: `the longest ${name}, ms`, value: Math.max(...times), better: "less" },
    ];
  }

  /** Ours and every hashicorp/raft, by the same code. */
  async #processes(
    run: (command: readonly string[], dir: string) => Promise<Sample[]>,
  ): Promise<Record<string, Sample[][]>> {
    return await this.#inTurns(await this.#sidesOf(run));
  }

  async #sidesOf(
    run: (command: readonly string[], dir: string) => Promise<Sample[]>,
  ): Promise<Record<string, (dir: string) => Promise<Sample[]>>> {
    const programs = { [ours]: await ourServer(this.#plan.runtime), ...this.#peers.hashicorp };
    const sides = Object.entries(programs).map(([name, command]) => [name, (dir: string) => run(command, dir)]);
    return Object.fromEntries(sides);
  }

  #inTurns(sides: Readonly<Record<string, (dir: string) => Promise<Sample[]>>>): Promise<Record<string, Sample[][]>> {
    const inDirs: Sides<Sample[]> = Object.fromEntries(
      Object.entries(sides).map(([name, run], side) => [name, (pair: number) => {
        this.#say(`  pair ${pair + 1}: ${name}`);
        directories += 1;
        return run(join(this.#dir, `${directories}-${side}`));
      }]),
    );
    return runPairs(inDirs, this.#plan.pairs, this.#say);
  }

  #perSize(title: string, run: (bytes: number) => Promise<Record<string, Sample[][]>>): Promise<PeerTable[]> {
    return this.#eachSize(async (bytes) => [{ title: `${title}, ${bytes} B`, rows: rowsOf(await run(bytes)) }]);
  }

  async #eachSize(run: (bytes: number) => Promise<PeerTable[]>): Promise<PeerTable[]> {
    const tables: PeerTable[] = [];
    for (const bytes of this.#plan.bytes) tables.push(...await run(bytes));
    return tables;
  }

  async #once(title: string, run: () => Promise<Record<string, Sample[][]>>): Promise<PeerTable[]> {
    return [{ title, rows: rowsOf(await run()) }];
  }

  #shapes(inFlight: readonly number[]): LoadShape[] {
    const { measureMs } = this.#plan;
    return inFlight.map((count) => ({ inFlight: count, warmUpMs: measureMs / 3, measureMs }));
  }
}

let directories = 0;

/** Every shape on a cluster, which is stopped. */
async function sampled(
  cluster: Cluster,
  shapes: readonly LoadShape[],
  name: string,
  bytes: number,
  reads: boolean,
  withCpu: boolean,
): Promise<Sample[]> {
  try {
    const samples: Sample[] = [];
    for (const shape of shapes) {
      const from = await cluster.cpuMs();
      const result = await cluster.load(shape, bytes, reads);
      samples.push(...samplesOf(name, result));
      if (!withCpu) continue;
      const perCall = (await cluster.cpuMs() - from) / result.allCalls;
      const of = `${name}, ${shape.inFlight} in flight: CPU seconds of all three per 100,000`;
      samples.push({ name: of, value: perCall * 100, better: "less" });
    }
    return samples;
  } finally {
    await cluster.stop();
  }
}

/** Rejects a load in which nothing succeeded or more than one call in a hundred failed: that is no measurement. */
function samplesOf(name: string, { inFlight, perSecond, p50Us, p99Us, p999Us, calls, failed }: LoadResult): Sample[] {
  if (calls === 0 || failed * 100 > calls) throw new Error(`${failed} calls failed, ${calls} succeeded: ${name}`);
  const of = `${name}, ${inFlight} in flight`;
  return [
    { name: `${of}: per second`, value: perSecond, better: "more" },
    { name: `${of}: p50 µs`, value: p50Us, better: "less" },
    { name: `${of}: p99 µs`, value: p99Us, better: "less" },
    { name: `${of}: p99.9 µs`, value: p999Us, better: "less" },
  ];
}
