/**
 * Who may come in: programs with the token; without one, whoever is on this machine, but no page of another origin.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { isCrossOriginWrite } from "@securecollc/raft/hono";
import { isLoopback } from "./address.ts";
import { badRequest, HttpError } from "./answers.ts";

/** Refuses what may not come in, and adds the headers that keep stored values harmless in a browser. */
export function guard(token: string | undefined): MiddlewareHandler {
  const checkToken = token === undefined ? undefined : bearerAuth({ token });
  return async (c, next) => {
    // Runtimes make it of the Host header, whatever that holds.
    const url = URL.parse(c.req.url);
    if (url === null) throw badRequest("Cannot tell which host is asked: the Host header must be one");
    if (checkToken === undefined) checkHost(url);
    else await checkToken(c, () => Promise.resolve()).catch(refuseToken);
    if (isCrossOriginWrite(c.req.raw)) {
      throw new HttpError(403, "cross-origin", "Cannot take a write from a page of another origin");
    }
    await next();
    // Not by c.header(), which makes a new response each time.
    const { headers } = c.res;
    headers.set("x-content-type-options", "nosniff");
    headers.set("content-security-policy", "default-src 'none'; sandbox; frame-ancestors 'none'");
    headers.set("cross-origin-resource-policy", "same-origin");
    headers.set("cache-control", "no-store");
  };
}

function refuseToken(): never {
  const message = "Cannot let you in: send the header 'Authorization: Bearer <token>'";
  throw new HttpError(401, "unauthorized", message, { headers: { "www-authenticate": "Bearer" } });
}

/**
 * Without a token only loopback is listened on. A page can still reach it by a name of its own that it lets point
 * there, and is then of the same origin: so the name must be one of this machine's.
 */
function checkHost({ hostname }: URL): void {
  if (isLoopback(hostname)) return;
  throw new HttpError(403, "wrong-host", `Cannot answer for the host "${hostname}" without --token: use 127.0.0.1`);
}
