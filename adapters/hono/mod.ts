/**
 * The admin surface of a server over HTTP: what it does, and what operators do with it, for any host that speaks `fetch`.
 *
 * @example
 * ```ts ignore
 * import { adminApp } from "@securecollc/raft/hono";
 *
 * app.mount("/raft", adminApp(raft, { token: "…" }).fetch); // in a Hono app
 * Deno.serve({ port: 9001 }, adminApp(raft, { token: "…" }).fetch); // or by itself
 * ```
 *
 * @module
 */
export { adminApp, type AdminOptions, type FetchHandler } from "./admin.ts";
export type { AdminTarget } from "./target.ts";
export { isCrossOriginWrite } from "./origin.ts";
