/**
 * What `@securecollc/raft` needs of Bun: TCP.
 *
 * @example
 * ```ts
 * import { tcp } from "@securecollc/raft/bun";
 *
 * const transport = tcp({ listen: "127.0.0.1:7001" });
 * ```
 *
 * @module
 */
export { tcp, type TcpOptions } from "./tcp.ts";
