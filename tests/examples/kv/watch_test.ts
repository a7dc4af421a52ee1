import { assertEquals } from "@std/assert";
import { kvApp } from "../../../examples/kv/http.ts";
import { KvMachine } from "../../../examples/kv/machine.ts";
import { watchResponse } from "../../../examples/kv/watch.ts";
import { test } from "../../harness.ts";
import { FakeServer } from "./fake_server.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function put(machine: KvMachine, key: string, value: string | Uint8Array): void {
  const command = { op: "put", key, value: typeof value === "string" ? bytes(value) : value } as const;
  machine.apply(command, { index: machine.index + 1, term: 1, timeMs: 0 });
}

function remove(machine: KvMachine, key: string): void {
  machine.apply({ op: "delete", key }, { index: machine.index + 1, term: 1, timeMs: 0 });
}

interface WatchSetup {
  readonly prefix?: string;
  readonly after?: number;
  readonly signal?: AbortSignal;
}

/** Reads events one by one. */
class Events {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest = "";

  constructor(machine: KvMachine, { prefix = "", after, signal }: WatchSetup = {}) {
    this.#reader = watchResponse(machine, { prefix, after, signal }).body!.getReader();
  }

  /** `id event data`, or undefined at the end. */
  async next(): Promise<string | undefined> {
    while (!this.#rest.includes("\n\n")) {
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#rest += new TextDecoder().decode(value);
    }
    const [event, ...rest] = this.#rest.split("\n\n");
    this.#rest = rest.join("\n\n");
    const fields = event!.split("\n").map((line) => /^(?:id|event|data): (.*)$/.exec(line)?.[1]);
    return fields.join(" ");
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

test("a watch tells from where it sees everything, and then every change", async () => {
  const machine = new KvMachine();
  put(machine, "a", "0");
  const events = new Events(machine);
  put(machine, "a", 'line\nbreak and "quotes"');
  remove(machine, "a");
  put(machine, "b", new Uint8Array([0xff, 0x00]));
  assertEquals(await events.next(), '1 ready {"index":1}');
  assertEquals(await events.next(), '2 put {"key":"a","index":2,"value":"line\\nbreak and \\"quotes\\""}');
  assertEquals(await events.next(), '3 delete {"key":"a","index":3}');
  assertEquals(await events.next(), '4 put {"key":"b","index":4,"value":{"base64":"/wA="}}');
  await events.cancel();
});

test("a watch tells only of keys with its prefix", async () => {
  const machine = new KvMachine();
  const events = new Events(machine, { prefix: "a/" });
  for (const key of ["a", "a/1", "b/1", "a/2"]) put(machine, key, "");
  assertEquals(await events.next(), '0 ready {"index":0}');
  assertEquals(await events.next(), '2 put {"key":"a/1","index":2,"value":""}');
  assertEquals(await events.next(), '4 put {"key":"a/2","index":4,"value":""}');
  await events.cancel();
});

test("a watch goes on where it was", async () => {
  const machine = new KvMachine();
  for (const key of ["a", "b", "c"]) put(machine, key, "");
  const events = new Events(machine, { after: 1 });
  put(machine, "d", "");
  assertEquals(await events.next(), '1 ready {"index":1}');
  for (const [index, key] of [[2, "b"], [3, "c"], [4, "d"]]) {
    assertEquals(await events.next(), `${index} put {"key":"${key}","index":${index},"value":""}`);
  }
  await events.cancel();
});

test("a watch that was away for too long is told to begin anew", async () => {
  const machine = new KvMachine();
  for (let i = 0; i < 5_000; i++) put(machine, "a", "");
  const events = new Events(machine, { after: 1 });
  put(machine, "b", "");
  assertEquals(await events.next(), '1 ready {"index":1}');
  assertEquals(await events.next(), '5000 reset {"index":5000}');
  assertEquals(await events.next(), '5001 put {"key":"b","index":5001,"value":""}');
  await events.cancel();
});

test("a watch that is too slow is cut off, and misses nothing when it comes back", async () => {
  const machine = new KvMachine();
  const events = new Events(machine);
  const value = "x".repeat(1024 * 1024);
  for (let i = 0; i < 6; i++) put(machine, "a", value);
  let last = 0;
  for (let event = await events.next(); event !== undefined; event = await events.next()) last = parseInt(event);
  assertEquals(last, 4);
  const again = new Events(machine, { after: last });
  assertEquals((await again.next())!.slice(0, 7), "4 ready");
  assertEquals((await again.next())!.slice(0, 5), "5 put");
  assertEquals((await again.next())!.slice(0, 5), "6 put");
  await again.cancel();
});

test("a watch ends when the server stops", async () => {
  const stop = new AbortController();
  const machine = new KvMachine();
  const events = new Events(machine, { signal: stop.signal });
  await events.next();
  stop.abort();
  assertEquals(await events.next(), undefined);
  put(machine, "a", "");
  const late = new Events(new KvMachine(), { signal: stop.signal });
  await late.next();
  assertEquals(await late.next(), undefined);
});

test("a watch whose client goes lets go of the machine", async () => {
  const machine = new KvMachine();
  let watchers = 0;
  const watch = machine.watch.bind(machine);
  machine.watch = (after, onChange) => {
    watchers++;
    const end = watch(after, onChange)!;
    return () => (watchers--, end());
  };
  const events = new Events(machine);
  await events.next();
  assertEquals(watchers, 1);
  await events.cancel();
  assertEquals(watchers, 0);
});

test("GET /watch takes its place from Last-Event-ID or after", async () => {
  const server = new FakeServer();
  const stop = new AbortController();
  const app = kvApp({ raft: server, machine: server.machine, signal: stop.signal });
  for (const key of ["a", "b", "c"]) put(server.machine, key, "");
  const firstLines = async (query: string, headers: Record<string, string>) => {
    const response = await app.fetch(new Request(`http://127.0.0.1/watch${query}`, { headers }));
    assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    const reader = response.body!.getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    return first.split("\n")[0];
  };
  assertEquals(await firstLines("", {}), "id: 3");
  assertEquals(await firstLines("?after=1", {}), "id: 1");
  assertEquals(await firstLines("?after=1&prefix=a", { "last-event-id": "2" }), "id: 2");
  stop.abort();
  for (const id of ["x", "-1", "1.5", "99999999999999999999"]) {
    const response = await app.fetch(new Request("http://127.0.0.1/watch", { headers: { "last-event-id": id } }));
    assertEquals([response.status, (await response.json()).code], [400, "bad-request"]);
  }
});

test("a watch that was cut off while it was told what it missed has nothing to end when the server stops", async () => {
  const machine = new KvMachine();
  for (let i = 0; i < 6; i++) put(machine, "a", "x".repeat(1024 * 1024));
  const { signal } = new AbortController();
  let listeners = 0;
  signal.addEventListener = () => void listeners++;
  const text = await watchResponse(machine, { prefix: "", after: 0, signal }).text();
  assertEquals(text.match(/^id: \d+$/gm), ["id: 0", "id: 1", "id: 2", "id: 3", "id: 4"]);
  assertEquals(listeners, 0);
});
