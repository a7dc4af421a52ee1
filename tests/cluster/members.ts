/**
 * Servers that come and go while a cluster runs, and what its operators ask for.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { serverCommand } from "../../examples/kv/programs.ts";
import { type HttpAnswer, sendOnce } from "./http_client.ts";
import { freePorts } from "./ports.ts";
import { ServerProcess } from "./process.ts";
import { until } from "./until.ts";

/** A server that asks this member to add it, once it is started. */
export async function newcomer(
  id: string,
  member: ServerProcess,
  more: readonly string[] = [],
): Promise<ServerProcess> {
  const [http, raft] = await freePorts(2);
  const own = ["--id", id, "--http", `127.0.0.1:${http}`, "--listen", `127.0.0.1:${raft}`];
  const data = ["--data", join(dirname(member.directory), id)];
  const args = [...own, ...data, "--join", member.url, ...more];
  return new ServerProcess(id, `http://127.0.0.1:${http}`, "deno", await serverCommand("deno"), args);
}

/** One request of an operator's; undefined when there is no answer. */
export async function asked(
  method: string,
  { url }: ServerProcess,
  path: string,
  body?: unknown,
): Promise<HttpAnswer | undefined> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return await sendOnce(method, `${url}/raft/${path}`, text, 15_000).catch(() => undefined);
}

/** Ids of the servers that vote by the configuration of this one; undefined when it does not answer. */
export async function votersOf(server: ServerProcess): Promise<string | undefined> {
  const answer = await asked("GET", server, "configuration");
  if (answer === undefined) return undefined;
  const { servers } = JSON.parse(answer.text) as { servers: { id: string; suffrage: string }[] };
  return servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => id).sort().join(" ");
}

/** Waits until every one of these servers has the others, and nobody else, for voters. */
export async function untilVoters(servers: readonly ServerProcess[]): Promise<void> {
  const wanted = servers.map(({ id }) => id).sort().join(" ");
  await until(`the voters ${wanted}`, async () => {
    const seen = await Promise.all(servers.map(votersOf));
    return seen.every((voters) => voters === wanted);
  }, 60_000);
}
