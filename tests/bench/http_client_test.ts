import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { AnswerParser } from "../../bench/http_answer.ts";
import { Client, expectOk } from "../../bench/http_client.ts";
import { test } from "../harness.ts";

const whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
const chunked =
  "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";

test("bench: answers with a length and in chunks, however they are cut", () => {
  for (const step of [1, 2, 7, 1000]) {
    const parser = new AnswerParser();
    const answers: unknown[] = [];
    // One request is under way at a time, so one answer never comes with the next.
    for (const part of [whole, chunked]) {
      for (let at = 0; at < part.length; at += step) {
        const answer = parser.take(part.slice(at, at + step));
        if (answer !== undefined) answers.push(answer);
      }
    }
    assertEquals(
      answers,
      [{ status: 200, body: "hello" }, { status: 404, body: "abc0123456789" }],
      `cut every ${step}`,
    );
    assertEquals(parser.isLast, false);
  }
});

test("bench: an empty answer, and one after which the connection is closed", () => {
  const parser = new AnswerParser();
  const answer = parser.take("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nConnection: close\r\n\r\n");
  assertEquals(answer, { status: 204, body: "" });
  assertEquals(parser.isLast, true);
});

test("bench: what is no answer is refused", () => {
  assertThrows(() => new AnswerParser().take("SSH-2.0-x\r\n\r\n"), Error, "Not an answer");
  assertThrows(() => new AnswerParser().take("HTTP/1.1 200 OK\r\nx: y\r\n\r\n"), Error, "does not say its length");
  const wrong = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n";
  assertThrows(() => new AnswerParser().take(wrong), Error, "A chunk");
});

test("bench: the client keeps connections, sends bodies and gives up in time", async () => {
  const hanging: (() => void)[] = [];
  const sockets = new Set<unknown>();
  const server = createServer((request, response) => {
    sockets.add(request.socket.remotePort);
    if (request.url === "/hang") return void hanging.push(() => response.end());
    let text = "";
    request.setEncoding("latin1").on("data", (chunk: string) => text += chunk);
    request.on("end", () => {
      response.statusCode = request.url === "/bad" ? 500 : 200;
      response.end(`${request.method} ${request.url} ${text}`);
    });
  });
  const port = await listen(server);
  const client = new Client();
  try {
    const body = new Uint8Array([65, 66]);
    assertEquals(await client.call("PUT", port, "/a", body), { status: 200, body: "PUT /a AB" });
    assertEquals(await client.call("GET", port, "/b"), { status: 200, body: "GET /b " });
    assertEquals(sockets.size, 1);
    const both = await Promise.all([client.call("GET", port, "/c"), client.call("GET", port, "/d")]);
    assertEquals(both.map((answer) => answer.body), ["GET /c ", "GET /d "]);
    await expectOk(client.call("GET", port, "/e"));
    assertEquals(sockets.size, 2);
    await assertRejects(() => expectOk(client.call("GET", port, "/bad")), Error, "Unexpected answer 500");
    await assertRejects(() => client.call("GET", port, "/hang", undefined, 20), Error, "timed out");
    assertEquals((await client.call("GET", port, "/f")).status, 200);
    const open = client.call("GET", port, "/hang");
    client.close();
    await assertRejects(() => open, Error, "the client was closed");
  } finally {
    client.close();
    hanging.forEach((end) => end());
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test("bench: a server that is not there", async () => {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  const client = new Client();
  await assertRejects(() => client.call("GET", port, "/"));
  client.close();
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}
