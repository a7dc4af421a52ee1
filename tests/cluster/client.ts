/**
 * A client of the key-value server that writes down what it learns, and what it does not.
 *
 * @module
 */
import type { Operation, OperationOutcome } from "../../src/testing/linearizability.ts";
import type { RegisterInput, RegisterOutput } from "../../src/testing/register.ts";
import { type HttpAnswer, sendOnce } from "./http_client.ts";
import { pause } from "./until.ts";

/** One operation of the history. */
export type KvOperation = Operation<RegisterInput, RegisterOutput>;

/** What an operation came to, with the index of its entry when it is a write that was acknowledged. */
export interface KvResult {
  readonly outcome: OperationOutcome;
  readonly output?: RegisterOutput;
  readonly index?: number;
  /** Why it is not `ok`: for whoever looks into a failed test. */
  readonly detail?: string;
  /** Of a write that was sent until it was done: how often. */
  readonly attempts?: number;
}

/** What a read must have seen. */
export type Consistency = "linearizable" | "lease" | "stale";

/** How something is asked for. */
export interface RequestOptions {
  readonly consistency?: Consistency | undefined;
  readonly idempotencyKey?: string | undefined;
}

// Longer than the server takes for an answer, even after a halt.
const TIMEOUT_MS = 12_000;
// Longer than any fault lasts, and every election after it.
const PERSISTENCE_MS = 60_000;

/** Does operations at servers and writes them down. */
export class KvClient {
  /** Every operation that was done. */
  readonly history: KvOperation[] = [];

  /** Does one operation and adds it to the history. */
  async perform(url: string, key: string, input: RegisterInput, consistency?: Consistency): Promise<KvResult> {
    const called = performance.now();
    const result = await requested(url, key, input, { consistency });
    this.#note(url, key, input, called, result);
    return result;
  }

  /**
   * Sends a write under one `Idempotency-Key` again and again, to one server after the other, until one of them says that it
   * is done: one operation of the history, from its first request to that answer.
   */
  async persist(urls: readonly string[], key: string, input: RegisterInput, idempotencyKey: string): Promise<KvResult> {
    const called = performance.now();
    for (let attempt = 0;; attempt++) {
      const url = urls[attempt % urls.length]!;
      const result = await requested(url, key, input, { idempotencyKey });
      if (result.outcome === "ok") {
        this.#note(url, key, input, called, result);
        return { ...result, attempts: attempt + 1 };
      }
      if (performance.now() - called > PERSISTENCE_MS) {
        throw new Error(`Nobody took ${key} for ${PERSISTENCE_MS} ms: ${result.detail}`);
      }
      await pause(50);
    }
  }

  #note(client: string, key: string, input: RegisterInput, called: number, { outcome, output }: KvResult): void {
    this.history.push({ key, input, called, returned: performance.now(), outcome, output, client });
  }
}

/** Does one operation, which is in no history. */
export async function requested(
  url: string,
  key: string,
  input: RegisterInput,
  { consistency = "linearizable", idempotencyKey }: RequestOptions = {},
): Promise<KvResult> {
  const query = consistency === "linearizable" ? "" : `?consistency=${consistency}`;
  const headers: Record<string, string> = idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
  let answer: HttpAnswer;
  try {
    answer = await send(`${url}/kv/${encodeURIComponent(key)}${query}`, input, headers);
  } catch (error) {
    // When nobody listened nothing was asked. Any other failure may have come after the command was taken.
    const { message, code } = error as Error & { code?: string };
    return { outcome: code === "ECONNREFUSED" ? "failed" : "unknown", detail: message };
  }
  return input.type === "get" ? readResult(answer) : writeResult(answer);
}

function send(path: string, input: RegisterInput, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
  switch (input.type) {
    case "put":
      return sendOnce("PUT", path, input.value, TIMEOUT_MS, headers);
    case "get":
      return sendOnce("GET", path, undefined, TIMEOUT_MS, headers);
    case "delete":
      return sendOnce("DELETE", path, undefined, TIMEOUT_MS, headers);
    case "cas": {
      const { expect, value } = input;
      return sendOnce("POST", `${path}/cas`, JSON.stringify({ expect, value }), TIMEOUT_MS, headers);
    }
  }
}

function writeResult(answer: HttpAnswer): KvResult {
  if (answer.status !== 200) return failure(answer);
  const body = JSON.parse(answer.text) as { index: number; deleted?: boolean; swapped?: boolean };
  return { outcome: "ok", output: body.deleted ?? body.swapped, index: body.index };
}

function readResult(answer: HttpAnswer): KvResult {
  if (answer.status === 200) return { outcome: "ok", output: answer.text };
  return answer.status === 404 ? { outcome: "ok", output: null } : failure(answer);
}

/** Throws when no fault explains the answer. */
function failure({ status, headers, text }: HttpAnswer): KvResult {
  const { outcome, code, error } = JSON.parse(text) as { outcome: string; code: string; error: string };
  const detail = `${status} ${code}: ${error}`;
  const isRetryable = "retry-after" in headers;
  if (status === 503 && isRetryable && outcome === "not-applied") return { outcome: "failed", detail };
  if (status === 504 && !isRetryable && outcome === "unknown") return { outcome: "unknown", detail };
  throw new Error(`Answered ${detail}, retry-after ${isRetryable}, outcome ${outcome}`);
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
