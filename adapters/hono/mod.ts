/**
 * The admin surface of a server over HTTP: status, health and metrics, for any host that speaks `fetch`.
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
export { adminApp, type AdminOptions, type AdminTarget, type FetchHandler } from "./admin.ts";
export { isCrossOriginWrite } from "./origin.ts";
