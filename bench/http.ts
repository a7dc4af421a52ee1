/**
 * Stores behind HTTP, under the same load by the same client.
 *
 * @module
 */
import { type LoadResult, type LoadShape, runLoad } from "./load.ts";

/** A store that answers over HTTP. */
export interface HttpStore {
  /** Where to send requests: the server that leads. */
  leader(): Promise<{ readonly port: number }>;
  /** Writes a value of so many bytes. Rejects unless it was written. */
  put(port: number, key: string, bytes: number): Promise<void>;
  /** A linearizable read. */
  get(port: number, key: string): Promise<void>;
  /** Ends its processes. */
  stop(): Promise<void>;
}

/** Puts and gets, a result per shape. */
export interface HttpResults {
  readonly put: readonly LoadResult[];
  readonly get: readonly LoadResult[];
}

const keyCount = 1000;

/** Puts and gets of values over HTTP at the leader. Stops the store. */
export async function measureHttp(store: HttpStore, shapes: readonly LoadShape[], bytes: number): Promise<HttpResults> {
  try {
    const { port } = await store.leader();
    const put: LoadResult[] = [];
    const get: LoadResult[] = [];
    let n = 0;
    for (const shape of shapes) {
      put.push(await runLoad(() => store.put(port, `k${n++ % keyCount}`, bytes), shape));
      get.push(await runLoad(() => store.get(port, `k${n++ % keyCount}`), shape));
    }
    return { put, get };
  } finally {
    await store.stop();
  }
}

const raw = new Map<number, Uint8Array>();
const base64 = new Map<number, string>();

/** Values, made once: a client that makes each of them measures itself. */
export const values = {
  /** So many bytes. */
  raw(bytes: number): Uint8Array {
    return cached(raw, bytes, () => new Uint8Array(bytes).fill(65));
  },
  /** The same as text. */
  base64(bytes: number): string {
    return cached(base64, bytes, () => btoa("A".repeat(bytes)));
  },
};

function cached<T>(map: Map<number, T>, bytes: number, make: () => T): T {
  let value = map.get(bytes);
  if (value === undefined) map.set(bytes, value = make());
  return value;
}
