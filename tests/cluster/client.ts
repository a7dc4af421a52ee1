/**
 * A client of the key-value server that writes down what it learns, and what it does not.
 *
 * @module
 */
import type { Operation, OperationOutcome } from "../../src/testing/linearizability.ts";
import type { RegisterInput, RegisterOutput } from "../../src/testing/register.ts";

/** One operation of the history. */
export type KvOperation = Operation<RegisterInput, RegisterOutput>;

/** What an operation came to, with the index of its entry when it is a write that was acknowledged. */
export interface KvResult {
  readonly outcome: OperationOutcome;
  readonly output?: RegisterOutput;
  readonly index?: number;
}

// Longer than the server takes for an answer, even after a halt.
const TIMEOUT_MS = 12_000;

/** Does an operation at a server and adds it to the history. */
export async function perform(
  history: KvOperation[],
  url: string,
  key: string,
  input: RegisterInput,
): Promise<KvResult> {
  const called = performance.now();
  const result = await request(url, key, input);
  const { outcome, output } = result;
  history.push({ key, input, called, returned: performance.now(), outcome, output, client: url });
  return result;
}

/** An answer that no fault explains: it fails the test. */
class UnexpectedAnswerError extends Error {}

async function request(url: string, key: string, input: RegisterInput): Promise<KvResult> {
  const path = `${url}/kv/${encodeURIComponent(key)}`;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    switch (input.type) {
      case "put":
        return await answer(await fetch(path, { method: "PUT", body: input.value, signal }), () => undefined);
      case "get":
        return await read(await fetch(path, { signal }));
      case "delete":
        return await answer(await fetch(path, { method: "DELETE", signal }), ({ deleted }) => deleted);
      case "cas": {
        const body = JSON.stringify({ expect: input.expect, value: input.value });
        return await answer(await fetch(`${path}/cas`, { method: "POST", body, signal }), ({ swapped }) => swapped);
      }
    }
  } catch (error) {
    if (error instanceof UnexpectedAnswerError) throw error;
    // Nobody listened, so nothing was asked. Any other failure may have come after the command was taken.
    const isRefused = /refused/i.test((error as Error).message);
    return { outcome: isRefused ? "failed" : "unknown" };
  }
}

interface WriteAnswer {
  readonly index: number;
  readonly deleted?: boolean;
  readonly swapped?: boolean;
}

async function answer(response: Response, outputOf: (body: WriteAnswer) => RegisterOutput): Promise<KvResult> {
  if (response.status !== 200) return await failure(response);
  const body = await response.json() as WriteAnswer;
  return { outcome: "ok", output: outputOf(body), index: body.index };
}

async function read(response: Response): Promise<KvResult> {
  if (response.status === 200) return { outcome: "ok", output: await response.text() };
  if (response.status !== 404) return await failure(response);
  await response.body?.cancel();
  return { outcome: "ok", output: null };
}

async function failure(response: Response): Promise<KvResult> {
  const { outcome, code, error } = await response.json() as { outcome: string; code: string; error: string };
  if (response.status !== 503 && response.status !== 504) {
    throw new UnexpectedAnswerError(`Answered ${response.status} ${code}: ${error}`);
  }
  const isRetryable = response.headers.has("retry-after");
  if (isRetryable !== (response.status === 503) || isRetryable !== (outcome === "not-applied")) {
    throw new UnexpectedAnswerError(`Answered ${response.status} with the outcome ${outcome}`);
  }
  return { outcome: outcome === "not-applied" ? "failed" : "unknown" };
}

/** A key as a listing tells of it. */
export interface ListedKey {
  readonly key: string;
  readonly index: number;
  readonly bytes: number;
}

/** Every key with that prefix that this server has applied. */
export async function listStale(url: string, prefix: string): Promise<ListedKey[]> {
  const keys: ListedKey[] = [];
  let after = "";
  while (true) {
    const query = new URLSearchParams({
      prefix,
      limit: "1000",
      consistency: "stale",
      ...after === "" ? {} : { after },
    });
    const response = await fetch(`${url}/kv?${query}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const page = await response.json() as { keys: ListedKey[]; next: string | null };
    keys.push(...page.keys);
    if (page.next === null) return keys;
    after = page.next;
  }
}
