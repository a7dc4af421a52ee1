import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { adminApp, type AdminTarget } from "../../../adapters/hono/mod.ts";
import { MembershipError, NotLeaderError, StorageFullError } from "../../../src/errors.ts";
import { EventHub } from "../../../src/events.ts";
import { defaultOptions } from "../../../src/options.ts";
import { reloaded } from "../../../src/reload.ts";
import { test } from "../../harness.ts";
import { SnapshotJournal, type VirtualCluster, withCluster } from "../../virtual_cluster.ts";
import { drain } from "../../virtual_environment.ts";
import { fakeTarget, keptSnapshot } from "./fake_target.ts";

type Json = Record<string, unknown>;
type Document = { paths: Record<string, Record<string, { requestBody?: { required: boolean } }>>; security?: unknown };

async function ask(
  target: AdminTarget,
  method: string,
  path: string,
  body?: unknown,
  timeoutMs?: number,
): Promise<[number, Json]> {
  const app = adminApp(target, { insecure: true, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const response = await app.fetch(new Request(`http://127.0.0.1:1${path}`, { method, body: text as string | null }));
  return [response.status, await response.json()];
}

const documentOf = async () => (await ask(fakeTarget(), "GET", "/openapi.json"))[1] as unknown as Document;

const voters = ({ configuration }: AdminTarget) =>
  configuration.servers.map(({ id, suffrage }) => `${suffrage === "voter" ? "" : "~"}${id}`).join(" ");

const asked = (cluster: VirtualCluster, target: AdminTarget) => (method: string, path: string, body?: unknown) =>
  cluster.settled(ask(target, method, path, body), 60_000);

test("openapi.json describes every route, and every route that it describes is there", async () => {
  const { paths } = await documentOf();
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  );
  assertEquals(described.toSorted(), [
    ...["DELETE /servers/{id}", "GET /configuration", "GET /doctor", "GET /events", "GET /health", "GET /metrics"],
    ...["GET /openapi.json", "GET /snapshots", "GET /snapshots/{id}", "GET /stats", "GET /status", "PATCH /config"],
    ...["POST /barrier", "POST /drain", "POST /install-snapshot"],
    ...["POST /membership", "POST /servers", "POST /servers/{id}/demote", "POST /servers/{id}/promote"],
    ...["POST /snapshot", "POST /transfer", "POST /verify", "PUT /restore"],
  ]);
  const app = adminApp({ ...fakeTarget(), snapshots: () => Promise.resolve([keptSnapshot("a")]) }, { insecure: true });
  for (const [path, methods] of Object.entries(paths)) {
    const allowed = Object.keys(methods).map((method) => method.toUpperCase());
    for (const method of ["GET", "PUT", "POST", "PATCH", "DELETE"]) {
      const url = `http://127.0.0.1:1${path.replace("{id}", "a")}`;
      const response = await app.fetch(new Request(url, { method }));
      const label = `${method} ${path}`;
      assertEquals([label, response.status === 405], [label, !allowed.includes(method)]);
      assertEquals([label, response.status === 404], [label, false]);
      if (response.status === 405) {
        assertEquals(response.headers.get("allow")?.replace("GET, HEAD", "GET"), allowed.join(", "));
      }
      await response.body?.cancel();
    }
  }
});

test("openapi.json says what must be given, and whether a token", async () => {
  const { paths, security } = await documentOf();
  assertEquals(security, undefined);
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { requestBody }] of Object.entries(methods)) {
      if (requestBody?.required !== true) continue;
      const [status, { code }] = await ask(fakeTarget(), method.toUpperCase(), path, {});
      assertEquals([path, status, code], [path, 400, "bad-request"]);
    }
  }
  const guarded = adminApp(fakeTarget(), { token: "t", path: "/raft" });
  const request = new Request("http://127.0.0.1:1/raft/openapi.json", { headers: { authorization: "Bearer t" } });
  const document = await (await guarded.fetch(request)).json();
  assertEquals([document.security, document.servers], [[{ bearer: [] }], [{ url: "/raft" }]]);
});

test("PATCH config takes exactly the settings that can be reloaded", async () => {
  const { paths } = await documentOf();
  const { requestBody } = paths["/config"]!.patch as unknown as {
    requestBody: { content: { "application/json": { schema: { properties: Json } } } };
  };
  const settings = defaultOptions();
  const taken = Object.entries(settings).filter(([name, value]) => {
    try {
      return reloaded(settings, { [name]: value });
    } catch {
      return false;
    }
  });
  const described = Object.keys(requestBody.content["application/json"].schema.properties);
  assertEquals(described.toSorted(), taken.map(([name]) => name).toSorted());
});

test("bodies that are none, too large, or of the wrong fields are refused before anything is asked", async () => {
  const server = { id: "d", address: "d" };
  const cases: [unknown, number, string][] = [
    ["{", 400, "it must be JSON"],
    ["[]", 400, "a JSON object"],
    ["null", 400, "a JSON object"],
    ["\uD800", 400, "JSON"],
    [{ ...server, id: 1 }, 400, "'id' must be a string"],
    [{ id: "d" }, 400, "'address' must be a string"],
    [{ ...server, suffrage: "staging" }, 400, "'suffrage' must be one of voter, nonvoter"],
    [{ ...server, prevIndex: -1 }, 400, "'prevIndex' must be a whole number"],
    [{ ...server, prevIndex: "1" }, 400, "'prevIndex' must be a whole number"],
    [{ ...server, force: "yes" }, 400, "'force' must be a boolean"],
    [{ ...server, forced: true }, 400, 'the field "forced"'],
    [{ ...server, id: "d".repeat(64 * 1024) }, 413, "more than 65536 bytes"],
  ];
  for (const [body, expected, message] of cases) {
    const [status, problem] = await ask(fakeTarget(), "POST", "/servers", body);
    assertEquals([status, problem.outcome, problem.leader], [expected, "not-applied", null]);
    assertStringIncludes(problem.error as string, message);
  }
  for (const changes of [[1], [{ type: "add-voter", id: "d" }], [{ type: "remove-server", id: "d", address: "d" }]]) {
    assertEquals((await ask(fakeTarget(), "POST", "/membership", { changes }))[0], 400);
  }
  assertEquals((await ask(fakeTarget(), "DELETE", "/servers/a?force=yes"))[0], 400);
  assertEquals((await ask(fakeTarget(), "DELETE", "/servers/a?prevIndex=x"))[0], 400);
  // The last one would win, and changes that cross would not be seen.
  assertEquals((await ask(fakeTarget(), "DELETE", "/servers/a?prevIndex=9&prevIndex=1"))[0], 400);
  assertEquals((await ask(fakeTarget(), "PATCH", "/config", {}))[0], 400);
});

test("a body of the largest size that is taken is taken", async () => {
  const seen: string[] = [];
  const barrier = () => Promise.resolve(7);
  const target: AdminTarget = {
    ...fakeTarget(),
    barrier,
    addVoter: (id) => (seen.push(id), Promise.resolve({ index: 3 })),
  };
  const body = JSON.stringify({ id: "", address: "d" });
  const id = "d".repeat(64 * 1024 - body.length);
  assertEquals(await ask(target, "POST", "/servers", { id, address: "d" }), [200, { index: 3 }]);
  assertEquals(seen, [id]);
  assertEquals(await ask(target, "POST", "/barrier"), [200, { index: 7 }]);
});

test("errors say what became of the request and whom to ask", async () => {
  const leader = { id: "b", address: "b:1" };
  const failing = (error: unknown): AdminTarget => ({ ...fakeTarget(), leader, barrier: () => Promise.reject(error) });
  const cases: [unknown, number, Json][] = [
    [new NotLeaderError(), 503, { code: "not-leader", outcome: "not-applied", leader }],
    [new NotLeaderError({ id: "c", address: "c:1" }), 503, { leader: { id: "c", address: "c:1" } }],
    [new MembershipError("Cannot", "too-slow", "unknown"), 409, { reason: "too-slow", outcome: "unknown" }],
    [new StorageFullError("/secret"), 507, { code: "storage-full" }],
    [new TypeError("Cannot do that"), 400, { code: "bad-request", error: "Cannot do that" }],
    [new TypeError("x is not a function"), 500, { code: "internal" }],
    [new Error("Cannot open /secret"), 500, { code: "internal" }],
    [{ code: "own", outcome: "unknown" }, 500, { code: "internal" }],
    [undefined, 500, { code: "internal" }],
  ];
  for (const [error, expected, fields] of cases) {
    const [status, problem] = await ask(failing(error), "POST", "/barrier");
    assertEquals([String(error), status], [String(error), expected]);
    for (const [name, value] of Object.entries(fields)) assertEquals([name, problem[name]], [name, value]);
  }
});

test("a request that takes too long is answered with 504, and its waiting ends", async () => {
  let reason: unknown;
  const target: AdminTarget = {
    ...fakeTarget(),
    barrier: ({ signal } = {}) =>
      new Promise((_, reject) => signal!.addEventListener("abort", () => reject(reason = signal!.reason))),
  };
  const [status, problem] = await ask(target, "POST", "/barrier", undefined, 5);
  assertEquals([status, problem.code, problem.outcome], [504, "timeout", "unknown"]);
  assertEquals((reason as Error).name, "TimeoutError");
});

test("the servers of a running cluster are changed over HTTP, on any of them", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower] } = await cluster.elect();
    const { [cluster.ids.length - 1]: last } = cluster.ids;
    const request = asked(cluster, follower!);
    const { configuration: { index: prevIndex } } = leader;
    const stale = await request("POST", "/servers", { id: "x", address: "x", suffrage: "nonvoter", prevIndex: 900 });
    assertEquals([stale[0], stale[1].code], [409, "configuration-changed"]);
    const added = await request("POST", "/servers", { id: "x", address: "x", suffrage: "nonvoter", prevIndex });
    assertEquals([added, voters(leader)], [[200, { index: leader.configuration.index }], "a b c ~x"]);
    assertEquals((await request("DELETE", "/servers/x?force=false"))[0], 200);
    const victim = [last!, "a"].find((id) => id !== leader.id)!;
    assertEquals((await request("POST", `/servers/${victim}/demote`, {}))[0], 200);
    assertEquals(leader.configuration.servers.find(({ id }) => id === victim)!.suffrage, "nonvoter");
    assertEquals((await request("POST", `/servers/${victim}/promote`))[0], 200);
    assertEquals(voters(leader), "a b c");
    const unknown = await request("POST", "/servers/nobody/promote");
    assertEquals([unknown[0], unknown[1].code], [404, "no-such-server"]);
    const bad = await request("POST", "/servers", { id: "no such id", address: "x" });
    assertEquals([bad[0], bad[1].code], [400, "bad-request"]);
    const changes = [{ type: "add-nonvoter", id: "y", address: "y" }, { type: "demote-voter", id: victim }];
    assertEquals((await request("POST", "/membership", { changes }))[0], 200);
    const view = (await asked(cluster, leader)("GET", "/configuration"))[1];
    assertEquals([view.committed, (view.servers as unknown[]).length], [true, 4]);
  }));

test("leadership, snapshots and settings over HTTP", () =>
  withCluster(
    3,
    async (cluster) => {
      const { leader, followers: [follower, other] } = await cluster.elect();
      const request = asked(cluster, leader);
      assertEquals((await request("POST", "/verify"))[1], { leader: { id: leader.id, address: leader.id } });
      assertEquals((await asked(cluster, follower!)("POST", "/verify"))[0], 503);
      assertEquals((await request("POST", "/barrier"))[1], { index: leader.lastIndex });
      const [, snapshot] = await request("POST", "/snapshot");
      assertEquals([snapshot.index, typeof snapshot.bytes], [leader.appliedIndex, "number"]);
      const again = await request("POST", "/snapshot");
      assertEquals([again[0], again[1].code], [409, "nothing-new"]);
      assertEquals(await request("PATCH", "/config", { heartbeatMs: 40 }), [200, { reloaded: ["heartbeatMs"] }]);
      assertEquals((await request("PATCH", "/config", { heartbeatMs: 0 }))[0], 400);
      assertEquals((await request("PATCH", "/config", { preVote: 1 }))[0], 400);
      assertEquals((await request("GET", "/stats"))[1].state, "Leader");
      assertEquals((await request("GET", "/doctor"))[1].healthy, true);
      const moved = await request("POST", "/transfer", { to: follower!.id });
      assertEquals(moved, [200, { leader: { id: follower!.id, address: follower!.id } }]);
      const installed = await asked(cluster, other!)("POST", "/install-snapshot");
      assertEquals(installed, [200, { index: other!.appliedIndex }]);
      const refused = await request("POST", "/transfer", { to: "nobody" });
      assertEquals([refused[0], refused[1].code, refused[1].reason], [409, "transfer-failed", "no-target"]);
      assertEquals(await asked(cluster, follower!)("POST", "/drain"), [200, { drained: true }]);
      assertEquals(follower!.state, "shutdown");
      await cluster.leader([leader.id, other!.id]);
    },
    { snapshotThreshold: 2 ** 40 },
    () => new SnapshotJournal(),
  ));

/** Reads a stream until its text ends like this. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, end: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes(end)) {
    const { done, value } = await reader.read();
    if (done) return `${text}(end)`;
    text += decoder.decode(value, { stream: true });
  }
  return text;
}

test("GET events goes on after Last-Event-ID, filters, and says what was missed", async () => {
  const hub = new EventHub();
  const app = adminApp({ ...fakeTarget(), events: (options) => hub.subscribe(options) }, { insecure: true });
  const open = async (headers: Record<string, string> = {}, query = "") => {
    const response = await app.fetch(new Request(`http://127.0.0.1:1/events${query}`, { headers }));
    assertEquals([response.status, response.headers.get("content-type")], [200, "text/event-stream"]);
    return response.body!.getReader();
  };
  const first = await open();
  hub.emit({ type: "leader", leader: undefined, term: 3 });
  hub.emit({ type: "fatal", error: new Error("it broke") });
  const text = await readUntil(first, "it broke");
  assertStringIncludes(text, 'event: leader\ndata: {"type":"leader","leader":null,"term":3}\n\n');
  const [, id] = /id: (\w+-0)\n/.exec(text)!;
  await first.cancel();
  const again = await open({ "last-event-id": id! });
  const rest = await readUntil(again, "it broke");
  assertEquals(rest.includes("event: leader"), false);
  assertMatch(rest, /^: events\n\nid: \w+-1\nevent: fatal\ndata: .*it broke.*\n\n$/);
  await again.cancel();
  for (let i = 0; i < 1100; i++) hub.emit({ type: "log-compacted", firstIndex: i });
  hub.emit({ type: "removed", index: 9 });
  await drain();
  const late = await open({ "last-event-id": id! }, "?types=removed,leader");
  // Of 1103 events the last 1024 are kept, and one was seen before.
  assertMatch(
    await readUntil(late, "event: removed"),
    /^: events\n\nevent: missed\ndata: {"count":78}\n\nid: \w+-1102\n/,
  );
  await late.cancel();
  const stranger = await open({ "last-event-id": "other-5" }, "?types=removed");
  assertStringIncludes(await readUntil(stranger, "event: removed"), 'event: missed\ndata: {"count":null}\n\n');
  hub.close();
  assertEquals(await readUntil(stranger, "never"), "(end)");
});

test("GET events serves a bounded number of streams, and more when some have ended", async () => {
  const hub = new EventHub();
  const app = adminApp({ ...fakeTarget(), events: (options) => hub.subscribe(options) }, { insecure: true });
  const open = () => app.fetch(new Request("http://127.0.0.1:1/events"));
  const readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  for (let i = 0; i < 64; i++) {
    const reader = (await open()).body!.getReader();
    await reader.read();
    void reader.read();
    readers.push(reader);
  }
  const refused = await open();
  assertEquals([refused.status, (await refused.json()).code], [503, "overloaded"]);
  await readers[0]!.cancel();
  const taken = await open();
  assertEquals(taken.status, 200);
  await taken.body!.cancel();
  for (const reader of readers.slice(1)) await reader.cancel();
  hub.close();
});
