/**
 * A new server asks a member of a cluster to add it, until it votes.
 *
 * @module
 */
import type { Raft } from "@securecollc/raft";
import type { Log } from "./log.ts";

/** What joining needs. */
export interface JoinOptions {
  /** The member that is asked: `http://<host>:<port>`. */
  readonly member: string;
  /** This server, and where the others dial it. */
  readonly raft: Pick<Raft<never, never>, "id" | "configuration">;
  readonly address: string;
  readonly token: string | undefined;
  readonly log: Log;
  /** Gives up. */
  readonly signal: AbortSignal;
  /** How long to wait before it asks again. Default: 1000. */
  readonly pauseMs?: number;
  /** How it is asked. Default: the runtime's own `fetch`. */
  readonly send?: (url: URL, init: RequestInit) => Promise<Response>;
}

/** The member said no, and would say so again. */
export class JoinRefusedError extends Error {}

/** As it may have to be sent everything first, one try may take long; it goes on however this one ends. */
const tryMs = 120_000;

/**
 * Resolves when this server votes, or the signal has ended it.
 *
 * @throws {JoinRefusedError} When there is no use in asking again.
 */
export async function joinCluster(options: JoinOptions): Promise<void> {
  const { member, raft, log, signal, pauseMs = 1_000 } = options;
  let said: string | undefined;
  while (!signal.aborted && !isVoter(raft)) {
    if (said === undefined) log(`joining: asks ${member} to add ${raft.id}`);
    const answer = await ask(options);
    if (answer.isDone) return log(`joined: ${raft.id} votes`);
    if (answer.text !== said && !signal.aborted) log(`joining: ${answer.text}; asks again`);
    said = answer.text;
    await pause(pauseMs, signal);
  }
}

function isVoter({ id, configuration: { servers } }: JoinOptions["raft"]): boolean {
  return servers.some((server) => server.id === id && server.suffrage === "voter");
}

/** Whoever is added already stays as it is, so asking twice does no harm. */
async function ask(
  { member, raft, address, token, signal, send = fetch }: JoinOptions,
): Promise<{ readonly isDone: boolean; readonly text: string }> {
  let response: Response;
  try {
    response = await send(new URL("/raft/servers", member), {
      method: "POST",
      headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ id: raft.id, address }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(tryMs)]),
    });
  } catch (error) {
    return { isDone: false, text: `${member} does not answer: ${(error as Error).message}` };
  }
  const { error, reason } = await response.json().catch(() => ({})) as { error?: string; reason?: string };
  const text = error ?? `${member} answers with status ${response.status}`;
  if (response.ok) return { isDone: true, text };
  const isFinal = [400, 401, 403, 404, 413].includes(response.status) || reason === "invalid";
  if (isFinal) throw new JoinRefusedError(`Cannot join the cluster of ${member}: ${text}`);
  return { isDone: false, text };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}
