import { assertEquals, assertThrows } from "@std/assert";
import { readConfigJson, readEitherJson, readPeersJson } from "../src/peers_json.ts";
import { test } from "./harness.ts";

test("readPeersJson() takes addresses for voters whose ids they are, sorted", () => {
  const servers = [
    { id: "10.0.0.1_7001", address: "10.0.0.1:7001", suffrage: "voter" },
    { id: "___1__7001", address: "[::1]:7001", suffrage: "voter" },
  ];
  assertEquals(readPeersJson(' ["[::1]:7001", "10.0.0.1:7001"]\n'), { servers } as ReturnType<typeof readPeersJson>);
});

test("readConfigJson() takes ids, addresses and who does not vote, and skips what it does not know", () => {
  const text = `[
    { "id": "b", "address": "10.0.0.2:7001", "non_voter": true },
    { "id": "a", "address": "10.0.0.1:7001", "non_voter": false, "comment": "the one that is left" },
    { "id": "c", "address": "10.0.0.3:7001" }
  ]`;
  assertEquals(readConfigJson(text).servers.map(({ id, suffrage }) => [id, suffrage]), [
    ["a", "voter"],
    ["b", "nonvoter"],
    ["c", "voter"],
  ]);
});

test("readEitherJson() tells the two formats apart", () => {
  assertEquals(readEitherJson('["a:1"]').servers[0]!.id, "a_1");
  assertEquals(readEitherJson('[{ "id": "a", "address": "a:1" }]').servers[0]!.id, "a");
});

test("readPeersJson() and readConfigJson() refuse what is no list of servers", () => {
  const server = (fields: object) => JSON.stringify([{ id: "a", address: "a:1", ...fields }]);
  const cases: [(text: string) => unknown, string, string][] = [
    [readPeersJson, "", "JSON"],
    [readPeersJson, "[", "JSON"],
    [readPeersJson, "{}", "it is no list"],
    [readPeersJson, "null", "it has no voter"],
    [readPeersJson, "[]", "it has no voter"],
    [readPeersJson, '["a:1", 2]', "element 2 is no address"],
    [readPeersJson, '["a:1", "a:1"]', 'two servers have the id "a_1"'],
    [readPeersJson, '[""]', "the id"],
    [readConfigJson, "null", "it has no voter"],
    [readConfigJson, '["a:1"]', "element 1 is no object"],
    [readConfigJson, "[null]", "element 1 is no object"],
    [readConfigJson, server({ id: 1 }), 'element 1 has no "id"'],
    [readConfigJson, server({ address: null }), 'element 1 has no "address"'],
    [readConfigJson, server({ non_voter: "yes" }), '"non_voter" of element 1'],
    [readConfigJson, server({ non_voter: true }), "it has no voter"],
    [readConfigJson, server({ id: "a/b" }), "the id"],
    [readEitherJson, '[{ "id": "a", "address": "a:1" }, "b:1"]', "element 1 is no address"],
  ];
  for (const [read, text, message] of cases) assertThrows(() => read(text), TypeError, message);
});
