/**
 * Three processes with durable logs over TCP, or one with three servers on memory parts, loaded in the leader's process.
 *
 * @module
 */
import { join } from "node:path";
import type { Killable, Member } from "./failover.ts";
import type { LoadShape } from "./load.ts";
import { Child, commandOf, freePorts, pause, type RuntimeName, scriptPath } from "./processes.ts";
import type { Job, ServerPlan } from "./server.ts";
import type { StagedLoad } from "./stages.ts";

/** The command that starts a server of this library; a plan as JSON comes after it. */
export async function ourServer(runtime: RuntimeName): Promise<readonly string[]> {
  return [...await commandOf(runtime), scriptPath("./server.ts")];
}

/** What a server says of itself. */
interface Role {
  readonly role: string;
  readonly applied: number;
}

/** A running cluster. */
export class Cluster implements Killable {
  readonly members: readonly Member[];
  readonly #start: (id: string) => Child;

  private constructor(members: readonly Member[], start: (id: string) => Child) {
    this.members = members;
    this.#start = start;
  }

  /** Starts three servers under `dir` by `command`, each with its plan, and waits for a leader. */
  static async start(command: readonly string[], dir: string): Promise<Cluster> {
    const ids = ["n1", "n2", "n3"];
    const ports = await freePorts(ids.length);
    const servers = Object.fromEntries(ids.map((id, i) => [id, `127.0.0.1:${ports[i]}`]));
    const start = (id: string) => {
      const plan: ServerPlan = { id, dir: join(dir, id), servers };
      return new Child([...command, JSON.stringify(plan)]);
    };
    return await Cluster.#ready(ids.map((id, i) => ({ id, port: ports[i]!, child: start(id) })), start);
  }

  /** Starts one process in which these servers run on memory parts, and waits for a leader. */
  static async startMemory(command: readonly string[], ids: readonly string[] = ["a", "b", "c"]): Promise<Cluster> {
    const [id] = ids as readonly [string];
    const plan: ServerPlan = { id, dir: "", servers: Object.fromEntries(ids.map((id) => [id, id])), memory: true };
    const start = () => new Child([...command, JSON.stringify(plan)]);
    return await Cluster.#ready([{ id, port: 0, child: start() }], start);
  }

  static async #ready(members: readonly Member[], start: (id: string) => Child): Promise<Cluster> {
    const cluster = new Cluster(members, start);
    try {
      await Promise.all(members.map(({ child }) => child.answer()));
      await cluster.leader();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async leader(): Promise<Member> {
    for (let tries = 0; tries < 200; tries++) {
      for (const member of this.members) {
        if ((await roleOf(member)).role === "leader") return member;
      }
      await pause(50);
    }
    throw new Error("Cannot measure: no leader was elected within 10 s");
  }

  /** Loads the leader. */
  async load(shape: LoadShape, bytes: number, reads: boolean): Promise<StagedLoad> {
    const { child } = await this.leader();
    return await child.ask<StagedLoad>({ job: "load", shape, bytes, reads } satisfies Job);
  }

  /** What all its processes spent on processors since they started, user and system, milliseconds. */
  async cpuMs(): Promise<number> {
    const ask = ({ child }: Member) => child.ask<{ cpuMs: number }>({ job: "cpu" } satisfies Job);
    return (await Promise.all(this.members.map(ask))).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  }

  async accepts({ child }: Member): Promise<boolean> {
    return (await child.ask<{ accepted: boolean }>({ job: "try" } satisfies Job)).accepted;
  }

  restart(member: Member): void {
    member.child = this.#start(member.id);
    // Its first line; whoever asks it something waits for that too.
    void member.child.answer().catch(() => {});
  }

  async isBack(member: Member): Promise<boolean> {
    const [leader, { applied }] = [await this.leader(), await roleOf(member)];
    return applied >= (await roleOf(leader)).applied;
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map(({ child }) => child.stop({ job: "stop" } satisfies Job)));
  }
}

function roleOf({ child }: Member): Promise<Role> {
  return child.ask<Role>({ job: "role" } satisfies Job);
}

/** Runs every shape on one cluster, at its leader; `reads` measures linearizable reads instead. */
export async function measureCluster(
  runtime: RuntimeName,
  dir: string,
  shapes: readonly LoadShape[],
  bytes: number,
  reads: boolean,
): Promise<StagedLoad[]> {
  const cluster = await Cluster.start(await ourServer(runtime), dir);
  try {
    const results: StagedLoad[] = [];
    for (const shape of shapes) results.push(await cluster.load(shape, bytes, reads));
    return results;
  } finally {
    await cluster.stop();
  }
}
