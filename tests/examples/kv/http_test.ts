import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { kvApp, type KvAppOptions } from "../../../examples/kv/http.ts";
import {
  LeadershipLostError,
  NotLeaderError,
  OverloadedError,
  ResultLostError,
  ShutdownError,
  StorageError,
} from "../../../mod.ts";
import { test } from "../../harness.ts";
import { FakeServer } from "./fake_server.ts";

const ORIGIN = "http://127.0.0.1:8001";
const MIB = 1024 * 1024;

class Client {
  readonly server = new FakeServer();
  readonly #app: ReturnType<typeof kvApp>;

  constructor(options: Partial<KvAppOptions> = {}) {
    this.#app = kvApp({ raft: this.server, machine: this.server.machine, ...options });
  }

  async ask(method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
    // A stream needs `duplex`, which not all types know.
    const init = { method, body, headers, duplex: "half" } as RequestInit;
    return await this.#app.fetch(new Request(`${ORIGIN}${path}`, init));
  }

  async json(
    method: string,
    path: string,
    body?: BodyInit,
    headers?: Record<string, string>,
  ): Promise<[number, unknown]> {
    const response = await this.ask(method, path, body, headers);
    return [response.status, await response.json()];
  }

  /** Status and code of an error, after a look at its form. */
  async error(
    method: string,
    path: string,
    body?: BodyInit,
    headers?: Record<string, string>,
  ): Promise<[number, string]> {
    const response = await this.ask(method, path, body, headers);
    const error = await response.json();
    const { retryAfterMs, ...rest } = error;
    assertEquals(Object.keys(rest), ["error", "code", "outcome", "leader"]);
    assert(retryAfterMs === undefined || error.outcome === "not-applied");
    assertEquals(response.headers.get("retry-after"), response.status === 503 ? "1" : null);
    assertEquals(response.status === 504 || response.status === 500, error.outcome === "unknown");
    return [response.status, error.code];
  }
}

test("PUT answers with the index, GET with the bytes and the indexes", async () => {
  const client = new Client();
  assertEquals(await client.json("PUT", "/kv/a", "1"), [200, { index: 1 }]);
  const put = await client.ask("PUT", "/kv/b", "2");
  assertEquals([put.headers.get("raft-index"), await put.json()], ["2", { index: 2 }]);
  const got = await client.ask("GET", "/kv/a");
  assertEquals([got.status, await got.text()], [200, "1"]);
  assertEquals([got.headers.get("raft-index"), got.headers.get("raft-applied-index")], ["1", "2"]);
  assertEquals(got.headers.get("content-type"), "application/octet-stream");
});

test("PUT takes any bytes up to 1 MiB, with a length or without", async () => {
  const client = new Client();
  const all = Uint8Array.from({ length: MIB }, (_, i) => i * 31);
  for (const bytes of [new Uint8Array(), all.subarray(0, 256), all]) {
    // A request that is made here has no length of its own.
    const withLength = [bytes, { "content-length": String(bytes.length) }] as const;
    for (const [body, headers] of [withLength, [bytes], [new Blob([bytes]).stream()]] as const) {
      assertEquals((await client.ask("PUT", "/kv/a", body as BodyInit, headers)).status, 200);
      assertEquals(new Uint8Array(await (await client.ask("GET", "/kv/a")).arrayBuffer()), bytes);
    }
  }
});

test("PUT refuses a larger body, and buffers no more than the limit", async () => {
  const client = new Client();
  assertEquals(await client.error("PUT", "/kv/a", new Uint8Array(MIB + 1)), [413, "too-large"]);
  const announced = { "content-length": String(MIB + 1) };
  assertEquals(await client.error("PUT", "/kv/a", new ReadableStream(), announced), [413, "too-large"]);
  for (const untrue of ["3", "0", "5, 5", "104857600, 104857600"]) {
    const headers = { "content-length": untrue };
    assertEquals(await client.error("PUT", "/kv/a", new Uint8Array(MIB + 1), headers), [413, "too-large"]);
  }
  let pulled = 0;
  let isCancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024).fill(++pulled)),
    cancel: () => void (isCancelled = true),
  });
  assertEquals(await client.error("PUT", "/kv/a", endless), [413, "too-large"]);
  assertEquals([pulled < 20, isCancelled, client.server.commands.length], [true, true, 0]);
});

test("a key may hold anything that is escaped", async () => {
  const client = new Client();
  const keys = [
    "a/b",
    "/",
    "//x//",
    "%2F",
    "%",
    "a b",
    "ü€\u{1f600}",
    "?#&=+",
    "cas",
    "a/cas",
    "..a",
    "\0",
    "😀".repeat(256),
  ];
  for (const key of keys) {
    assertEquals((await client.ask("PUT", `/kv/${encodeURIComponent(key)}`, key)).status, 200);
    assertEquals(client.server.commands.at(-1)!.key, key);
    assertEquals(await (await client.ask("GET", `/kv/${encodeURIComponent(key)}`)).text(), key);
  }
  const cas = JSON.stringify({ expect: "a/b", value: "c" });
  assertEquals((await client.json("POST", "/kv/a%2Fb/cas", cas))[1], { index: keys.length + 1, swapped: true });
});

test("a key that can't be one is refused", async () => {
  const client = new Client();
  for (const key of ["%zz", "%", "a%ff", "x".repeat(1025), encodeURIComponent("é".repeat(513))]) {
    for (const [method, suffix] of [["PUT", ""], ["GET", ""], ["DELETE", ""], ["POST", "/cas"]] as const) {
      assertEquals(await client.error(method, `/kv/${key}${suffix}`), [400, "bad-request"]);
    }
  }
  assertEquals(client.server.commands, []);
});

test("GET of an absent key is 404, with the index at which it is", async () => {
  const client = new Client();
  await client.ask("PUT", "/kv/a", "1");
  const response = await client.ask("GET", "/kv/b");
  assertEquals([response.status, response.headers.get("raft-applied-index")], [404, "1"]);
  assertEquals(await response.json(), {
    error: 'Cannot find the key "b"',
    code: "no-such-key",
    leader: "b",
  });
});

test("GET is linearizable unless it is asked for something else", async () => {
  const client = new Client();
  for (const query of ["", "?consistency=linearizable", "?consistency=lease", "?consistency=stale"]) {
    await client.ask("GET", `/kv/a${query}`);
  }
  assertEquals(client.server.reads, ["linearizable", "linearizable", "lease", "stale"]);
  assertEquals(await client.error("GET", "/kv/a?consistency=eventual"), [400, "bad-request"]);
});

test("an option that a route does not have is refused, and nothing is done", async () => {
  const client = new Client();
  const wrong = [
    ["GET", "/kv/a?maxStalenessMs=5", "it takes consistency"],
    ["GET", "/kv?Limit=5", "it takes prefix, after, limit, consistency"],
    ["GET", "/watch?consistency=stale", "it takes prefix, after"],
    ["PUT", "/kv/a?ttl=5", "this route has none"],
    ["DELETE", "/kv/a?consistency=stale", "this route has none"],
    ["POST", "/kv/a/cas?expect=1", "this route has none"],
  ] as const;
  for (const [method, path, known] of wrong) {
    const response = await client.ask(method, path, method === "GET" || method === "DELETE" ? undefined : "1");
    const { error, outcome } = await response.json();
    assertEquals([response.status, outcome], [400, "not-applied"]);
    assertStringIncludes(error, `Cannot use the option "${path.split(/[?=]/)[1]}": ${known}`);
  }
  const twice = await client.ask("GET", "/kv/a?consistency=stale&consistency=linearizable");
  assertEquals([twice.status, (await twice.json()).error], [400, 'Cannot use the option "consistency" twice']);
  assertEquals([client.server.reads, client.server.commands], [[], []]);
});

test("DELETE says whether there was something", async () => {
  const client = new Client();
  await client.ask("PUT", "/kv/a", "1");
  assertEquals(await client.json("DELETE", "/kv/a"), [200, { index: 2, deleted: true }]);
  assertEquals(await client.json("DELETE", "/kv/a"), [200, { index: 3, deleted: false }]);
});

test("POST cas compares and sets strings, bytes and absence", async () => {
  const client = new Client();
  const cases: [unknown, unknown, boolean, string][] = [
    ["x", "1", false, "no-such-key"],
    [null, "1", true, "1"],
    [null, "2", false, "1"],
    [{ base64: "MQ==" }, { base64: "w7w=" }, true, "ü"],
    ["ü", { base64: "" }, true, ""],
    ["", "end", true, "end"],
  ];
  let index = 0;
  for (const [expect, value, swapped, after] of cases) {
    const body = JSON.stringify({ expect, value });
    assertEquals(await client.json("POST", "/kv/a/cas", body), [200, { index: ++index, swapped }]);
    assertStringIncludes(await (await client.ask("GET", "/kv/a")).text(), after);
  }
});

test("POST cas refuses what it can't read", async () => {
  const client = new Client();
  const bodies = [
    "",
    "x",
    "1",
    "null",
    "[]",
    "{}",
    '{"value":"1"}',
    '{"expect":"1"}',
    '{"expect":1,"value":"1"}',
    '{"expect":"1","value":null}',
    '{"expect":"1","value":{}}',
    '{"expect":"1","value":{"base64":1}}',
    '{"expect":"1","value":{"base64":"a"}}',
    '{"expect":"1","value":{"base64":"YQ"}}',
    '{"expect":"1","value":{"base64":"Y Q="}}',
    '{"expect":"1","value":["a"]}',
    '{"expect":"1","value":"1"',
  ];
  for (const body of bodies) {
    assertEquals([body, ...await client.error("POST", "/kv/a/cas", body)], [body, 400, "bad-request"]);
  }
  const invalid = new Uint8Array([0x22, 0xff, 0x22]);
  assertEquals(await client.error("POST", "/kv/a/cas", invalid), [400, "bad-request"]);
  const large = JSON.stringify({ expect: null, value: "x".repeat(MIB + 1) });
  assertEquals(await client.error("POST", "/kv/a/cas", large), [413, "too-large"]);
  assertEquals(await client.error("POST", "/kv/a/cas", new Uint8Array(3 * MIB + 1)), [413, "too-large"]);
  assertEquals(client.server.commands, []);
});

test("POST cas takes two values of the largest size", async () => {
  const client = new Client();
  const value = { base64: btoa("x".repeat(MIB)) };
  await client.ask("PUT", "/kv/a", "x".repeat(MIB));
  const [status, body] = await client.json("POST", "/kv/a/cas", JSON.stringify({ expect: value, value }));
  assertEquals([status, (body as { swapped: boolean }).swapped], [200, true]);
});

test("GET /kv lists keys in pages", async () => {
  const client = new Client();
  for (const key of ["b/1", "a", "b%2F2", "b%2F3"]) {
    await client.ask("PUT", `/kv/${encodeURIComponent(decodeURIComponent(key))}`, key);
  }
  assertEquals(await client.json("GET", "/kv?prefix=b/&limit=2"), [200, {
    index: 4,
    keys: [{ key: "b/1", index: 1, bytes: 3 }, { key: "b/2", index: 3, bytes: 5 }],
    next: "b/2",
  }]);
  assertEquals(await client.json("GET", "/kv?prefix=b/&limit=2&after=b/2&consistency=stale"), [200, {
    index: 4,
    keys: [{ key: "b/3", index: 4, bytes: 5 }],
    next: null,
  }]);
  assertEquals((await client.json("GET", "/kv"))[0], 200);
  for (const limit of ["0", "1001", "-1", "1.5", "x", "", "1e2"]) {
    assertEquals(await client.error("GET", `/kv?limit=${limit}`), [400, "bad-request"]);
  }
  assertEquals(await client.error("GET", "/kv?consistency=x"), [400, "bad-request"]);
});

const WRITES = [["PUT", "/kv/a", "1"], ["DELETE", "/kv/a"], [
  "POST",
  "/kv/a/cas",
  '{"expect":null,"value":"1"}',
]] as const;
const READS = [["GET", "/kv/a"], ["GET", "/kv"]] as const;

test("a write is 503 only when it is certainly not applied, and 504 when that is unknown", async () => {
  const cases: [Error, number, string][] = [
    [new NotLeaderError(), 503, "not-leader"],
    [new OverloadedError(1, 2), 503, "overloaded"],
    [new ShutdownError("not-applied"), 503, "shutdown"],
    [new ShutdownError("unknown"), 504, "shutdown"],
    [new LeadershipLostError("Lost"), 504, "leadership-lost"],
    [new LeadershipLostError("Lost", { outcome: "not-applied" }), 503, "leadership-lost"],
    [new StorageError("Disk", "write"), 504, "storage"],
    [new RangeError("Bug"), 500, "internal"],
    [new DOMException("Gone", "AbortError"), 500, "internal"],
  ];
  const client = new Client();
  for (const [failure, status, code] of cases) {
    client.server.failure = failure;
    for (const [method, path, body] of WRITES) assertEquals(await client.error(method, path, body), [status, code]);
  }
});

test("a write that was applied before, and whose result is lost, is 504 and says so", async () => {
  const client = new Client();
  client.server.failure = new ResultLostError();
  for (const [method, path, body] of WRITES) {
    const [status, { code, outcome }] = await client.json(method, path, body) as [number, Record<string, unknown>];
    assertEquals([status, code, outcome], [504, "result-lost", "applied"]);
  }
});

test("what is worth another try says when, as the library does", async () => {
  const client = new Client();
  for (
    const [failure, retryAfterMs] of [[new OverloadedError(1, 2), 50], [new StorageError("Disk", "write")]] as const
  ) {
    client.server.failure = failure;
    const [, body] = await client.json("PUT", "/kv/a", "");
    assertEquals((body as { retryAfterMs?: number }).retryAfterMs, retryAfterMs);
  }
});

test("a read that fails can always be tried again", async () => {
  const client = new Client();
  for (const failure of [new NotLeaderError(), new ShutdownError("unknown"), new LeadershipLostError("Lost")]) {
    client.server.failure = failure;
    for (const [method, path] of READS) assertEquals(await client.error(method, path), [503, failure.code]);
  }
});

test("an error names the leader: the error's own, else the one that is known", async () => {
  const client = new Client();
  client.server.failure = new NotLeaderError({ id: "c", address: undefined });
  assertEquals(((await client.json("PUT", "/kv/a", ""))[1] as { leader: string }).leader, "c");
  client.server.failure = new NotLeaderError();
  assertEquals(((await client.json("PUT", "/kv/a", ""))[1] as { leader: string }).leader, "b");
  const lost = Object.defineProperty(client.server, "leader", { value: undefined });
  assertEquals([lost.leader, ((await client.json("PUT", "/kv/a", ""))[1] as { leader: null }).leader], [
    undefined,
    null,
  ]);
});

test("a request whose time is up is 504 when it writes, 503 when it reads", async () => {
  const client = new Client({ timeoutMs: 5 });
  client.server.isStuck = true;
  for (const [method, path, body] of WRITES) assertEquals(await client.error(method, path, body), [504, "timeout"]);
  for (const [method, path] of READS) assertEquals(await client.error(method, path), [503, "timeout"]);
});

test("a body that does not come is 408, and nothing is proposed", async () => {
  const client = new Client({ timeoutMs: 5 });
  for (const path of ["/kv/a", "/kv/a/cas"]) {
    const method = path.endsWith("cas") ? "POST" : "PUT";
    const stalled = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(1)) });
    assertEquals(await client.error(method, path, stalled), [408, "body-timeout"]);
    const broken = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(new Error("reset")) });
    assertEquals(await client.error(method, path, broken), [408, "body-timeout"]);
  }
  assertEquals(client.server.commands, []);
});

test("other methods and paths are refused in JSON", async () => {
  const client = new Client();
  const methods: [string, string, string][] = [
    ["POST", "/kv", "GET, HEAD"],
    ["PUT", "/kv", "GET, HEAD"],
    ["POST", "/kv/a", "GET, HEAD, PUT, DELETE"],
    ["PATCH", "/kv/a", "GET, HEAD, PUT, DELETE"],
    ["GET", "/kv/a/cas", "POST"],
    ["PUT", "/kv/a/cas", "POST"],
    ["POST", "/watch", "GET"],
  ];
  for (const [method, path, allow] of methods) {
    assertEquals(await client.error(method, path), [405, "method-not-allowed"]);
    assertEquals((await client.ask(method, path)).headers.get("allow"), allow);
  }
  for (const path of ["/", "/kv/", "/kv/a/b", "/kv/a/cas/b", "/nothing", "/kv/a/"]) {
    assertEquals([path, ...await client.error("GET", path)], [path, 404, "not-found"]);
  }
});

test("POST cas refuses fields that it does not know, and changes nothing", async () => {
  const client = new Client();
  const body = JSON.stringify({ expect: null, value: "1", ttl: 5 });
  assertEquals(await client.error("POST", "/kv/a/cas", body), [400, "bad-request"]);
  assertEquals(client.server.commands, []);
});

test("HEAD is GET without the body", async () => {
  const client = new Client();
  await client.ask("PUT", "/kv/a", "1");
  const response = await client.ask("HEAD", "/kv/a");
  assertEquals([response.status, response.headers.get("raft-index"), await response.text()], [200, "1", ""]);
  assertEquals(response.headers.get("content-length"), "1");
  // Of a stream nobody would read the rest.
  const watch = await client.ask("HEAD", "/watch");
  assertEquals([watch.status, watch.headers.get("allow")], [405, "GET"]);
});

test("the admin surface is under /raft", async () => {
  const client = new Client();
  const [status, body] = await client.json("GET", "/raft/status");
  assertEquals([status, (body as { id: string }).id], [200, "a"]);
  assertEquals((await client.json("GET", "/raft/health"))[0], 200);
  assertStringIncludes(await (await client.ask("GET", "/raft/metrics")).text(), "raft_term 3");
});

test("answers carry headers that keep stored pages harmless", async () => {
  const client = new Client();
  await client.ask("PUT", "/kv/page", "<script>alert(1)</script>");
  const { headers, body } = await client.ask("GET", "/kv/page");
  await body?.cancel();
  assertEquals(headers.get("x-content-type-options"), "nosniff");
  assertStringIncludes(headers.get("content-security-policy")!, "sandbox");
  assertEquals(headers.get("cache-control"), "no-store");
});

test("with a token every route asks for it", async () => {
  const client = new Client({ token: "s3cret" });
  const routes = [
    ...[...WRITES, ...READS, ["GET", "/watch"], ["GET", "/raft/status"], ["GET", "/raft/health"], [
      "GET",
      "/raft/metrics",
    ]],
    ...[["GET", "/"], ["GET", "/nothing"], ["PATCH", "/kv/a"]],
  ];
  for (const [method, path, body] of routes) {
    for (const authorization of ["", "Bearer no", "s3cret", "Bearer s3cret x"]) {
      const headers: Record<string, string> = authorization === "" ? {} : { authorization };
      assertEquals([path, ...await client.error(method!, path!, body, headers)], [path, 401, "unauthorized"]);
    }
    const response = await client.ask(method!, path!, body, { authorization: "Bearer s3cret" });
    assertEquals([path, response.status === 401], [path, false]);
    await response.body?.cancel();
  }
});

test("without a token only this machine's names are answered for", async () => {
  const app = kvApp(Object.assign(new FakeServer(), { raft: new FakeServer() }));
  for (const host of ["evil.example:8001", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example"]) {
    const response = await app.fetch(new Request(`http://${host}/kv/a`));
    assertEquals([response.status, (await response.json()).code], [403, "wrong-host"]);
  }
  for (const host of ["127.0.0.1:8001", "localhost:8001", "[::1]:8001"]) {
    const response = await app.fetch(new Request(`http://${host}/kv/a`));
    assertEquals([response.status, (await response.json()).code], [404, "no-such-key"]);
  }
});

test("a Host header that is none makes a bad request, nothing that may have been applied", async () => {
  const server = new FakeServer();
  for (const token of [undefined, "s3cret"]) {
    const app = kvApp({ raft: server, machine: server.machine, token });
    for (const url of ["http://a b<>/kv/a", "http://127.0.0.1:99999999/kv/a"]) {
      const headers = { authorization: "Bearer s3cret" };
      // As Deno and Bun make it of what the client says.
      const request = Object.defineProperty(new Request(`${ORIGIN}/kv/a`, { method: "PUT", headers }), "url", {
        value: url,
      });
      const response = await app.fetch(request);
      const { code, outcome } = await response.json();
      assertEquals([response.status, code, outcome], [400, "bad-request", "not-applied"]);
    }
  }
  assertEquals(server.commands, []);
});

test("writes from pages of other origins are refused", async () => {
  const server = new FakeServer();
  const app = kvApp({ raft: server, machine: server.machine });
  for (const [method, path] of WRITES) {
    const request = new Request(`${ORIGIN}${path}`, { method });
    Object.defineProperty(request, "headers", { value: new Headers({ origin: "https://evil.example" }) });
    const response = await app.fetch(request);
    assertEquals([response.status, (await response.json()).code], [403, "cross-origin"]);
  }
  assertEquals(server.commands, []);
});
