/**
 * Tells requests that a page of another origin makes a browser send.
 *
 * @module
 */

/**
 * Whether a request would change something and comes, by its `Origin` or `Sec-Fetch-Site`, from a page of another
 * origin. A browser sends such a request without asking its user, so a server that only listens on loopback, or relies
 * on cookies, must refuse it. Programs send neither header.
 */
export function isCrossOriginWrite(request: Request): boolean {
  if (request.method === "GET" || request.method === "HEAD") return false;
  const site = request.headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = request.headers.get("origin");
  if (origin === null) return false;
  const host = hostOf(request.url);
  return host === undefined || hostOf(origin) !== host;
}

// An opaque origin is "null": nobody's host. Nor is a URL that was made of a Host header with nonsense in it.
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
