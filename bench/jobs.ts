/**
 * How a measured process is told what to do: jobs as lines of JSON on its standard input, each answered with a line.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";

/** Says the first line, then answers jobs until there is none or one is `stop`. */
export async function answerJobs<Job extends { readonly job: string }>(
  first: unknown,
  answer: (job: Exclude<Job, { readonly job: "stop" }>) => unknown,
): Promise<void> {
  const say = (value: unknown) => process.stdout.write(JSON.stringify(value) + "\n");
  say(first);
  for await (const line of createInterface({ input: process.stdin })) {
    const job = JSON.parse(line) as Job;
    if (job.job === "stop") break;
    say(await answer(job as Exclude<Job, { readonly job: "stop" }>));
  }
}
