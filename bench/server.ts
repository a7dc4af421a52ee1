/**
 * One server of a measured cluster, in a process of its own: takes jobs as lines of JSON, answers each with a line.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { createRaft } from "@securecollc/raft";
import { fileStore } from "@securecollc/raft/fs";
import { type LoadShape, runLoad } from "./load.ts";
import { Counter } from "./machine.ts";

/** What a server is told on its command line. */
export interface ServerPlan {
  readonly id: string;
  readonly dir: string;
  readonly servers: Readonly<Record<string, string>>;
}

/** What a server is asked. */
export type Job =
  | { readonly job: "role" }
  | { readonly job: "load"; readonly shape: LoadShape; readonly bytes: number; readonly reads: boolean }
  | { readonly job: "stop" };

async function main(plan: ServerPlan): Promise<void> {
  const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
  const { tcp } = await import(`@securecollc/raft/${runtime}`);
  const raft = await createRaft<Uint8Array, number>({
    id: plan.id,
    machine: new Counter(),
    store: fileStore(plan.dir),
    transport: tcp({ listen: plan.servers[plan.id]! }),
    bootstrap: plan.servers,
  });
  const answer = (value: unknown) => process.stdout.write(JSON.stringify(value) + "\n");
  answer({ started: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const job = JSON.parse(line) as Job;
    if (job.job === "stop") break;
    if (job.job === "role") {
      answer({ role: raft.state, leader: raft.leader?.id });
      continue;
    }
    const command = new Uint8Array(job.bytes);
    const call = job.reads ? () => raft.read(() => raft.appliedIndex) : () => raft.apply(command);
    const cpu = process.cpuUsage();
    const result = await runLoad(call, job.shape);
    const { user, system } = process.cpuUsage(cpu);
    answer({ ...result, cpuMs: Math.round((user + system) / 1000), metrics: raft.metrics() });
  }
  await raft.shutdown();
  process.exit(0);
}

await main(JSON.parse(process.argv[2]!) as ServerPlan);
