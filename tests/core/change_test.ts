import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { isSame, left, problemOf, promoted, serversAfter, towards } from "../../src/core/change.ts";
import { allVoters, majority, voterSets } from "../../src/core/quorum.ts";
import {
  type Configuration,
  type ConfigurationChange,
  type Server,
  type ServerId,
  SERVERS_MAX,
} from "../../src/types.ts";
import { test } from "../harness.ts";
import { configuration } from "./states.ts";

const { servers } = configuration("a b ~n +s");

/** `a b ~n +s`, the way {@linkcode configuration} reads it. */
function textOf(servers: readonly Server[]): string {
  const marks = { voter: "", nonvoter: "~", staging: "+" };
  return servers.map(({ id, suffrage, address, priority }) =>
    `${marks[suffrage]}${id}${address === `${id}:1` ? "" : `@${address}`}${
      priority === undefined ? "" : `!${priority}`
    }`
  ).join(" ");
}

function change(type: ConfigurationChange["type"], id: ServerId, address = `${id}:1`): ConfigurationChange {
  return type === "add-voter" || type === "add-nonvoter" ? { type, id, address } : { type, id };
}

const rows: readonly (readonly [ConfigurationChange["type"], ServerId, string, string])[] = [
  // type, id, not ready, ready
  ["add-voter", "x", "a b ~n +s +x", "a b ~n +s x"],
  ["add-voter", "a", "a b ~n +s", "a b ~n +s"],
  ["add-voter", "n", "a b +n +s", "a b n +s"],
  ["add-voter", "s", "a b ~n +s", "a b ~n s"],
  ["add-nonvoter", "x", "a b ~n +s ~x", "a b ~n +s ~x"],
  ["add-nonvoter", "a", "a b ~n +s", "a b ~n +s"],
  ["add-nonvoter", "n", "a b ~n +s", "a b ~n +s"],
  ["add-nonvoter", "s", "a b ~n ~s", "a b ~n ~s"],
  ["demote-voter", "x", "a b ~n +s", "a b ~n +s"],
  ["demote-voter", "a", "~a b ~n +s", "~a b ~n +s"],
  ["demote-voter", "n", "a b ~n +s", "a b ~n +s"],
  ["demote-voter", "s", "a b ~n ~s", "a b ~n ~s"],
  ["remove-server", "x", "a b ~n +s", "a b ~n +s"],
  ["remove-server", "a", "b ~n +s", "b ~n +s"],
  ["remove-server", "n", "a b +s", "a b +s"],
  ["remove-server", "s", "a b ~n", "a b ~n"],
];

test("change: every kind of it on a stranger, a voter, a nonvoter and a staging server", () => {
  for (const [type, id, waiting, ready] of rows) {
    const one = [change(type, id)];
    assertEquals([type, id, textOf(serversAfter(servers, one, new Set()))], [type, id, waiting]);
    assertEquals([type, id, textOf(serversAfter(servers, one, new Set([id])))], [type, id, ready]);
    // Whatever else it holds, as when a server is spread into it.
    const more = [{ address: `${id}:1`, suffrage: "voter", ...change(type, id) }] as const;
    assertEquals([type, id, textOf(serversAfter(servers, more, new Set()))], [type, id, waiting]);
  }
});

test("change: a new address and priority are taken, an old priority stays", () => {
  const first = serversAfter(servers, [{ type: "add-voter", id: "a", address: "a:2", priority: 5 }], new Set());
  assertEquals(textOf(first), "a@a:2!5 b ~n +s");
  assertEquals(textOf(serversAfter(first, [change("add-nonvoter", "a", "a:3")], new Set())), "a@a:3!5 b ~n +s");
});

test("change: several come true in their order", () => {
  const both = [change("remove-server", "a"), change("add-nonvoter", "a")];
  assertEquals(textOf(serversAfter(servers, both, new Set())), "~a b ~n +s");
  assertEquals(textOf(serversAfter(servers, [...both].reverse(), new Set())), "b ~n +s");
});

test("change: a promotion makes one server a voter and leaves the others", () => {
  assertEquals(textOf(promoted(servers, "s")), "a b ~n s");
});

test("change: one voter more or less is made at once, two are joint with those before", () => {
  const outgoing = (after: string) => towards(configuration("a b c"), configuration(after).servers).outgoing;
  for (const after of ["a b", "a b c d", "a b c ~d +e", "a b ~c", "a b c"]) assertEquals(outgoing(after), undefined);
  for (const after of ["a b d", "a", "a b c d e", "d e f", "a b ~c d"]) assertEquals(outgoing(after), ["a", "b", "c"]);
});

test("change: no voter, too many servers, or two with one address, are refused; one voter is enough", () => {
  assertEquals(problemOf(configuration("~a +b").servers), "it would leave no voter");
  assertEquals(problemOf(configuration("a ~b").servers), undefined);
  const twice = [...servers, { id: "x", address: "a:1", suffrage: "nonvoter" as const }];
  assertEquals(problemOf(twice), '"a" and "x" would have the same address a:1');
  const many = Array.from({ length: SERVERS_MAX + 1 }, (_, i): Server => {
    return { id: `${i}`, address: `${i}`, suffrage: "voter" };
  });
  assertEquals(problemOf(many), "there would be 1001 servers, more than 1000");
  assertEquals(problemOf(many.slice(1)), undefined);
});

test("change: servers are the same when nothing about any differs", () => {
  const [first, ...rest] = servers;
  assertEquals(isSame(servers, structuredClone(servers)), true);
  for (const other of [{ address: "z:1" }, { suffrage: "nonvoter" }, { priority: 1 }, { id: "aa" }] as const) {
    assertEquals(isSame(servers, [{ ...first!, ...other }, ...rest]), false);
  }
  assertEquals(isSame(servers, rest), false);
});

/** Every smallest set of servers that can decide, by force. */
function quorums(configuration: Configuration): ReadonlySet<ServerId>[] {
  const voters = allVoters(configuration);
  const sets = voterSets(configuration);
  return Array.from({ length: 2 ** voters.length }, (_, bits) => new Set(voters.filter((_, i) => bits >> i & 1)))
    .filter((some) => sets.every((set) => set.filter((id) => some.has(id)).length >= majority(set.length)));
}

test("change: whatever follows whatever, any quorum of the one meets any of the other (M3, BM02)", () => {
  const ids = ["a", "b", "c", "d", "e", "f"];
  const anyChange = fc.tuple(
    fc.constantFrom("add-voter", "add-nonvoter", "demote-voter", "remove-server"),
    fc.constantFrom(...ids),
  ).map(([type, id]) => change(type as ConfigurationChange["type"], id));
  let joint = 0;
  fc.assert(
    fc.property(fc.subarray(ids, { minLength: 1 }), fc.array(anyChange, { maxLength: 6 }), (voters, changes) => {
      const current = configuration(voters.join(" "));
      const after = serversAfter(current.servers, changes, new Set(ids));
      if (problemOf(after) !== undefined) return;
      const next = towards(current, after);
      const steps = next.outgoing === undefined ? [current, next] : [current, next, left(next)];
      joint += steps.length - 2;
      for (let i = 1; i < steps.length; i++) {
        const later = quorums(steps[i]!);
        for (const before of quorums(steps[i - 1]!)) {
          const apart = later.find((some) => ![...some].some((id) => before.has(id)));
          assertEquals(apart, undefined);
        }
      }
    }),
    { numRuns: 300, seed: 1 },
  );
  assertEquals(joint > 50, true);
});

test("change: a voter that goes is reached until the joint configuration is left, others go at once", () => {
  const current = configuration("a b c ~n +s");
  const next = towards(current, configuration("a d").servers);
  assertEquals(next, configuration("a -b -c d / a b c"));
  assertEquals(left(next), configuration("a d"));
});
