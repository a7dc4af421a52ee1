/**
 * What `@securecollc/raft` needs of Deno: TCP, and stores in Deno KV.
 *
 * @example
 * ```ts
 * import { tcp } from "@securecollc/raft/deno";
 *
 * const transport = tcp({ listen: "127.0.0.1:7001" });
 * ```
 *
 * @module
 */
export { tcp, type TcpOptions } from "./tcp.ts";
export { kvSnapshotStore, kvStore, type KvStoreOptions } from "./kv.ts";
export type { Kv, KvAtomic, KvEntry, KvKey } from "../../src/store/kv/kv.ts";
