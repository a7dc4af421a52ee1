import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Hono } from "hono";
import { adminApp, type AdminOptions, type AdminTarget } from "../../../adapters/hono/mod.ts";
import { test } from "../../harness.ts";
import { fakeTarget } from "./fake_target.ts";

const OPEN: AdminOptions = { insecure: true };

async function ask(
  target: AdminTarget,
  path: string,
  init: RequestInit = {},
  options: AdminOptions = OPEN,
): Promise<Response> {
  return await adminApp(target, options).fetch(new Request(`http://127.0.0.1:8001${path}`, init));
}

async function askJson(target: AdminTarget, path: string, options?: AdminOptions): Promise<[number, unknown]> {
  const response = await ask(target, path, {}, options);
  return [response.status, await response.json()];
}

test("adminApp() refuses to serve everybody by accident", () => {
  for (const options of [{}, { insecure: false }]) {
    assertThrows(() => adminApp(fakeTarget(), options), TypeError, "pass 'token'");
  }
});

test("adminApp() refuses a token that nobody could send", () => {
  for (const token of ["", " ", "two words", "ü", "=", "a=b", "line\nbreak"]) {
    assertThrows(() => adminApp(fakeTarget(), { token }), TypeError, "Cannot use the token");
  }
});

test("GET status tells what the server is doing", async () => {
  const target = fakeTarget();
  const [status, body] = await askJson(target, "/status");
  assertEquals(status, 200);
  assertEquals(body, JSON.parse(JSON.stringify(target.status)));
});

test("GET status says null for what is not known", async () => {
  const target = fakeTarget({ leader: undefined, votedFor: undefined, lastContactMs: undefined });
  const body = (await askJson(target, "/status"))[1] as Record<string, unknown>;
  assertEquals([body.leader, body.votedFor, body.lastContactMs], [null, null, null]);
});

test("GET health is 200 with a leader and a recent contact", async () => {
  const expected = { healthy: true, reasons: [], id: "a", role: "follower", leader: "b" };
  assertEquals(await askJson(fakeTarget({ lastContactMs: 1000 }), "/health"), [200, expected]);
  assertEquals((await askJson(fakeTarget({ role: "leader", leader: "a", lastContactMs: 0 }), "/health"))[0], 200);
});

test("GET health is 503 with each reason", async () => {
  const cases: [Parameters<typeof fakeTarget>[0], string[]][] = [
    [{ leader: undefined }, ["no leader is known"]],
    [{ lastContactMs: 1000.7 }, ["the last contact with a leader was 1001 ms ago: at most 1000 is fine"]],
    [{ lastContactMs: undefined }, ["there was no contact with a leader yet"]],
    [{ role: "shutdown" }, ["the server is shut down"]],
    [{ leader: undefined, lastContactMs: undefined }, [
      "no leader is known",
      "there was no contact with a leader yet",
    ]],
  ];
  for (const [status, reasons] of cases) {
    const target = fakeTarget(status);
    const { id, role, leader = null } = target.status;
    assertEquals(await askJson(target, "/health"), [503, { healthy: false, reasons, id, role, leader }]);
  }
});

test("GET health takes another limit for the last contact", async () => {
  const target = fakeTarget({ lastContactMs: 50 });
  assertEquals((await askJson(target, "/health", { insecure: true, contactMaxMs: 49 }))[0], 503);
  assertEquals((await askJson(target, "/health", { insecure: true, contactMaxMs: 50 }))[0], 200);
});

test("GET metrics is Prometheus text", async () => {
  const response = await ask(fakeTarget(), "/metrics");
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assertStringIncludes(await response.text(), "# TYPE raft_term gauge\nraft_term 3\n");
});

test("adminApp() answers HEAD like GET, without a body", async () => {
  const response = await ask(fakeTarget(), "/health", { method: "HEAD" });
  assertEquals([response.status, await response.text()], [200, ""]);
});

test("adminApp() answers JSON to what it does not know", async () => {
  for (const path of ["/", "", "/statu", "/status/", "/status/x", "/..%2fstatus", "/%zz"]) {
    const [status, body] = await askJson(fakeTarget(), path);
    assertEquals([path, status, (body as { code: string }).code], [path, 404, "not-found"]);
  }
});

test("adminApp() answers 405 to other methods", async () => {
  for (const path of ["/status", "/health", "/metrics"]) {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const response = await ask(fakeTarget(), path, { method });
      assertEquals([response.status, response.headers.get("allow")], [405, "GET, HEAD"]);
      assertEquals((await response.json()).code, "method-not-allowed");
    }
  }
});

test("adminApp() with a token asks for it on every route", async () => {
  const options = { token: "s3cret-token" };
  const wrong: (string | undefined)[] = [
    undefined,
    "",
    "Bearer",
    "Bearer ",
    "Bearer s3cret",
    "Bearer s3cret-tokenx",
    "Bearer S3CRET-TOKEN",
    "Basic s3cret-token",
    "s3cret-token",
    "Bearer s3cret token",
  ];
  for (const path of ["/status", "/health", "/metrics", "/unknown", "/"]) {
    for (const authorization of wrong) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const response = await ask(fakeTarget(), path, { headers }, options);
      assertEquals([path, authorization, response.status], [path, authorization, 401]);
      assertEquals((await response.json()).code, "unauthorized");
      assertStringIncludes(response.headers.get("www-authenticate") ?? "", "Bearer");
      assertEquals(response.headers.get("x-content-type-options"), "nosniff");
    }
  }
});

test("adminApp() with a token lets in who sends it", async () => {
  const options = { token: "s3cret-token" };
  for (const path of ["/status", "/health", "/metrics"]) {
    const response = await ask(fakeTarget(), path, { headers: { authorization: "Bearer s3cret-token" } }, options);
    assertEquals(response.status, 200);
    await response.body?.cancel();
  }
});

test("adminApp() sets secure headers on all answers", async () => {
  for (const [path, method] of [["/status", "GET"], ["/nothing", "GET"], ["/metrics", "POST"]] as const) {
    const { headers, body } = await ask(fakeTarget(), path, { method });
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("x-frame-options"), "SAMEORIGIN");
    assertEquals(headers.get("cache-control"), "no-store");
    await body?.cancel();
  }
});

test("adminApp() says nothing about an error inside", async () => {
  const broken: AdminTarget = {
    ...fakeTarget(),
    metrics() {
      throw new Error("a secret path");
    },
  };
  const [status, body] = await askJson(broken, "/metrics");
  assertEquals(status, 500);
  assertEquals(body, { error: "Cannot answer as something went wrong in the server", code: "internal" });
});

test("adminApp() can be mounted under a path, with or without a token", async () => {
  const app = new Hono();
  app.mount("/raft", adminApp(fakeTarget(), OPEN).fetch);
  app.mount("/guarded", adminApp(fakeTarget(), { token: "t" }).fetch);
  assertEquals((await (await app.request("/raft/status")).json()).id, "a");
  const refused = await app.request("/guarded/status");
  assertEquals([refused.status, (await refused.json()).code], [401, "unauthorized"]);
  const answer = await app.request("/guarded/status", { headers: { authorization: "Bearer t" } });
  assertEquals((await answer.json()).id, "a");
});
