import { assertThrows } from "@std/assert";
import { test } from "../harness.ts";
import type { KvOperation } from "./client.ts";
import { checkCounts, checkHistory, checkOnce } from "./judgement.ts";

const put = (value: string, called: number, returned: number): KvOperation => ({
  ...{ key: "k", input: { type: "put", value }, called, returned, outcome: "ok", client: "n1" },
});
const get = (output: string | null, called: number, returned: number): KvOperation => ({
  ...{ key: "k", input: { type: "get" }, called, returned, outcome: "ok", output, client: "n2" },
});

test("cluster judgement: a read that saw what was overwritten before it was asked is refused", () => {
  const history = [put("a", 0, 1), put("b", 2, 3), get("b", 4, 5)];
  checkHistory(history);
  // By an old lease, say.
  assertThrows(() => checkHistory([...history, get("a", 6, 7)]), Error, "The history of k has the verdict violation");
});

test("cluster judgement: a write that was repeated shows where another one lay between", () => {
  // One operation, from its first request to its answer, that was applied at both ends.
  const history = [put("a", 0, 9), put("b", 2, 3), get("b", 4, 5)];
  checkHistory([...history, get("b", 6, 7)]);
  assertThrows(() => checkHistory([get("a", 1, 1.5), ...history, get("a", 6, 7)]), Error, "violation");
});

test("cluster judgement: a count that went wrong, or was refused to its only writer, is told", () => {
  const counts = [{ key: "count/0", value: 2, refused: 0 }, { key: "count/1", value: 0, refused: 0 }];
  checkCounts(counts, "n1", new Map<string, unknown>([["count/0", "2"], ["count/1", null]]));
  const wrong = new Map<string, unknown>([["count/0", "3"], ["count/1", null]]);
  assertThrows(() => checkCounts(counts, "n1", wrong), Error, "count/0 is 3 on n1, not 2");
  const refused = [{ key: "count/0", value: 2, refused: 1 }];
  assertThrows(() => checkCounts(refused, "n1", new Map([["count/0", "2"]])), Error, "not what its only writer");
});

test("cluster judgement: a command that was applied again after its answer is told, and one that is lost", () => {
  const writes = [{ key: "once/0/0", index: 7 }];
  // What was acknowledged may have been applied at an earlier attempt.
  checkOnce(writes, "n1", new Map([["once/0/0", 5]]));
  checkOnce(writes, "n1", new Map([["once/0/0", 7]]));
  assertThrows(() => checkOnce(writes, "n1", new Map([["once/0/0", 8]])), Error, "applied again at 8 on n1");
  assertThrows(() => checkOnce(writes, "n1", new Map()), Error, "lost on n1");
});
