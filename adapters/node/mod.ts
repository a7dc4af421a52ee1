/**
 * What `@securecollc/raft` needs of Node, in a form that Bun and Deno run as well: TCP.
 *
 * @example
 * ```ts
 * import { tcp } from "@securecollc/raft/node";
 *
 * const transport = tcp({ listen: "127.0.0.1:7001" });
 * ```
 *
 * @module
 */
export { tcp, type TcpOptions } from "./tcp.ts";
