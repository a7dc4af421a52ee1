import { assertEquals } from "@std/assert";
import { adminApp, isCrossOriginWrite } from "../../../adapters/hono/mod.ts";
import { test } from "../../harness.ts";
import { fakeTarget } from "./fake_target.ts";

const URL_HERE = "http://127.0.0.1:8001/kv/a";

function requestWith(method: string, headers: Record<string, string>): Request {
  const request = new Request(URL_HERE, { method });
  // A browser sets these headers itself and lets nobody else, and `Request` may act like one.
  return Object.defineProperty(request, "headers", { value: new Headers(headers) });
}

test("isCrossOriginWrite() tells whose page sent a write", () => {
  const cases: [Record<string, string>, boolean][] = [
    [{}, false],
    [{ origin: "http://127.0.0.1:8001" }, false],
    [{ origin: "https://127.0.0.1:8001" }, false],
    [{ origin: "http://127.0.0.1:8002" }, true],
    [{ origin: "http://localhost:8001" }, true],
    [{ origin: "https://evil.example" }, true],
    [{ origin: "null" }, true],
    [{ origin: "nonsense" }, true],
    [{ origin: "" }, true],
    [{ "sec-fetch-site": "same-origin" }, false],
    [{ "sec-fetch-site": "none" }, false],
    [{ "sec-fetch-site": "same-site" }, true],
    [{ "sec-fetch-site": "cross-site" }, true],
    [{ "sec-fetch-site": "something new" }, true],
    [{ "sec-fetch-site": "cross-site", origin: "http://127.0.0.1:8001" }, true],
    [{ "sec-fetch-site": "same-origin", origin: "http://evil.example" }, true],
  ];
  for (const [headers, expected] of cases) {
    for (const method of ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"]) {
      assertEquals([headers, isCrossOriginWrite(requestWith(method, headers))], [headers, expected]);
    }
    for (const method of ["GET", "HEAD"]) assertEquals(isCrossOriginWrite(requestWith(method, headers)), false);
  }
});

test("isCrossOriginWrite() takes no page's word when the request does not say which host is asked", () => {
  for (const url of ["http://a b<>/status", "http://127.0.0.1:99999999/status", "/status"]) {
    const asked = (headers: Record<string, string>) => {
      return isCrossOriginWrite(Object.defineProperty(requestWith("POST", headers), "url", { value: url }));
    };
    assertEquals([asked({}), asked({ origin: "null" }), asked({ origin: "http://127.0.0.1" })], [false, true, true]);
  }
});

test("adminApp() refuses writes from pages of other origins", async () => {
  const app = adminApp(fakeTarget(), { insecure: true });
  const response = await app.fetch(requestWith("POST", { origin: "https://evil.example" }));
  assertEquals([response.status, (await response.json()).code], [403, "cross-origin"]);
});
