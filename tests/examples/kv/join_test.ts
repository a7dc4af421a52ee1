import { assertEquals, assertRejects } from "@std/assert";
import { joinCluster, JoinRefusedError } from "../../../examples/kv/join.ts";
import { test } from "../../harness.ts";

type Answer = Response | Error;

const refused = (status: number, body: unknown) => () => Response.json(body, { status });
const done = () => Response.json({ index: 7 });

/** Joins a member that gives these answers, one after the other; gives what was asked and logged. */
async function joined(answers: (() => Answer)[], over: { suffrage?: "voter" | "staging"; token?: string } = {}) {
  const { suffrage = "staging", token } = over;
  const [asked, logged]: [string[], string[]] = [[], []];
  const controller = new AbortController();
  await joinCluster({
    member: "http://m:1",
    raft: {
      id: "n4",
      configuration: { index: 1, committed: true, servers: [{ id: "n4", address: "n4:1", suffrage }] },
    },
    ...{ address: "n4:1", token, log: (line) => void logged.push(line), signal: controller.signal, pauseMs: 0 },
    send: (url, { method, headers, body }) => {
      const { authorization = "" } = headers as Record<string, string>;
      asked.push(`${method} ${url} ${body} ${authorization}`.trim());
      const answer = answers.shift()?.();
      if (answer === undefined) controller.abort();
      return answer instanceof Response ? Promise.resolve(answer) : Promise.reject(answer ?? new Error("none"));
    },
  });
  return { asked, logged };
}

test("joinCluster() asks until the server votes, and logs what is new", async () => {
  const away = () => new Error("ECONNREFUSED");
  const slow = refused(409, { error: "it is too slow", reason: "too-slow", outcome: "unknown" });
  const answers = [away, away, refused(503, { error: "no leader" }), slow, refused(504, "?"), done];
  const { asked, logged } = await joined(answers, { token: "t" });
  assertEquals(asked.length, 6);
  assertEquals(new Set(asked), new Set(['POST http://m:1/raft/servers {"id":"n4","address":"n4:1"} Bearer t']));
  assertEquals(logged, [
    "joining: asks http://m:1 to add n4",
    "joining: http://m:1 does not answer: ECONNREFUSED; asks again",
    "joining: no leader; asks again",
    "joining: it is too slow; asks again",
    "joining: http://m:1 answers with status 504; asks again",
    "joined: n4 votes",
  ]);
});

test("joinCluster() does not ask again when there is no use in it", async () => {
  for (const status of [400, 401, 403, 404, 413]) {
    await assertRejects(() => joined([refused(status, { error: "no" }), done]), JoinRefusedError, "http://m:1: no");
  }
  const invalid = refused(409, { error: "two servers with one address", reason: "invalid" });
  await assertRejects(() => joined([invalid, done]), JoinRefusedError, "two servers with one address");
});

test("joinCluster() asks nothing of anybody when the server votes already", async () => {
  assertEquals(await joined([done], { suffrage: "voter" }), { asked: [], logged: [] });
});

test("joinCluster() ends with its signal, and says no more", async () => {
  const { asked, logged } = await joined([]);
  assertEquals([asked.length, logged], [1, ["joining: asks http://m:1 to add n4"]]);
});
