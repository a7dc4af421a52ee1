/**
 * One server of a measured cluster, in a process of its own: takes jobs as lines of JSON, answers each with a line.
 *
 * @module
 */
import process from "node:process";
import { createRaft, type Raft } from "@securecollc/raft";
import { fileStore } from "@securecollc/raft/fs";
import { answerJobs } from "./jobs.ts";
import type { LoadShape } from "./load.ts";
import { Counter } from "./machine.ts";
import { startMemory } from "./memory.ts";
import { runStagedLoad } from "./stages.ts";

/** What a server is told on its command line. */
export interface ServerPlan {
  readonly id: string;
  readonly dir: string;
  readonly servers: Readonly<Record<string, string>>;
  /** All servers run in this process, on memory parts. */
  readonly memory?: boolean;
}

/** What a server is asked. */
export type Job =
  | { readonly job: "role" }
  /** What the process spent on processors. */
  | { readonly job: "cpu" }
  /** Propose one command if this server leads. */
  | { readonly job: "try" }
  | { readonly job: "load"; readonly shape: LoadShape; readonly bytes: number; readonly reads: boolean }
  | { readonly job: "stop" };

type Server = Raft<Uint8Array, number>;

async function start(plan: ServerPlan): Promise<Server[]> {
  if (plan.memory) return await startMemory(Object.keys(plan.servers));
  const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
  const { tcp } = await import(`@securecollc/raft/${runtime}`);
  const raft = await createRaft<Uint8Array, number>({
    id: plan.id,
    machine: new Counter(),
    store: fileStore(plan.dir),
    transport: tcp({ listen: plan.servers[plan.id]! }),
    bootstrap: plan.servers,
  });
  return [raft];
}

async function main(plan: ServerPlan): Promise<void> {
  const servers = await start(plan);
  await answerJobs<Job>({ started: true }, (job) => {
    return answer(servers.find((server) => server.state === "leader") ?? servers[0]!, job);
  });
  await Promise.all(servers.map((server) => server.shutdown()));
  process.exit(0);
}

async function answer(raft: Server, job: Exclude<Job, { readonly job: "stop" }>): Promise<unknown> {
  switch (job.job) {
    case "role":
      return { role: raft.state, leader: raft.leader?.id, applied: raft.appliedIndex };
    case "cpu":
      return { cpuMs: cpuMs() };
    case "try": {
      const accepted = raft.state === "leader" && await raft.apply(new Uint8Array([66])).then(() => true, () => false);
      return { accepted };
    }
    case "load": {
      const command = new Uint8Array(job.bytes);
      const call = job.reads ? () => raft.read(() => raft.appliedIndex) : () => raft.apply(command);
      const from = cpuMs();
      const result = await runStagedLoad(raft, call, job.shape);
      return { ...result, cpuMs: cpuMs() - from };
    }
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return Math.round((user + system) / 1000);
}

await main(JSON.parse(process.argv[2]!) as ServerPlan);
