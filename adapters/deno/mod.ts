/**
 * What `@securecollc/raft` needs of Deno: TCP.
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
