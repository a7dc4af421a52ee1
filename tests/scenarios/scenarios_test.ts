import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { test } from "../harness.ts";
import { readScript, scriptNames } from "./files.ts";
import { run } from "./run.ts";
import { check, record, ScriptFailure } from "./script.ts";

for (const name of scriptNames()) {
  test(`scenario: ${name.replaceAll("_", " ")}`, () => check(name, readScript(name)));
}

test("scenario: there are at least 70", () => assertEquals(scriptNames().length >= 70, true));

function failureOf(text: string): string {
  return assertThrows(() => check("it", text), ScriptFailure).message;
}

test("script: an unknown command is told with its line and all that there are", () => {
  const message = failureOf("# Why.\nservers 3\n\nexplode a\n");
  assertStringIncludes(message, 'it:4: explode a: "explode" is no command; there are');
  for (const name of ["servers", "quietly", "campaign", "deliver"]) assertStringIncludes(message, `\n  ${name} <`);
});

for (
  const [line, complaint] of [
    ["campaign z", 'there is no server "z", only a b c'],
    ["deliver a->b", "no message is under way from a to b; under way: nothing"],
    ["deliver a", "no link like a->b: a"],
    ["tick soon", "no number: soon"],
    ["persist a", '"a" has no write to persist'],
    ["restart a", '"a" is not down'],
    ["partition a | b", '"c" is on no side'],
    ["expect a leader", "not so: leader; a follower"],
    ["expect leaders a", "leaders: none"],
    ["inject b->a sing", "no message: sing"],
    ["inject b->a vote volume=3", "vote has no volume, only term last transfer"],
    ["campaign", "usage: campaign <server>"],
    ["change a exchange=b", "no change: exchange=b"],
    ["change a add", "no change: add"],
    ["connect a b disk.b", "no disk: disk.b"],
    ["servers 3 colour=red", '"colour=red" is no option of servers'],
  ] as const
) {
  test(`script: "${line}" is refused`, () => assertStringIncludes(failureOf(`servers 3\n${line}\n`), complaint));
}

test("script: a script begins with servers", () => assertStringIncludes(failureOf("show all"), "begins with servers"));

test("script: what happened otherwise is told with its line", () => {
  const text = record("it", "servers 3 pre-vote=off\ncampaign a\nshow a\n");
  check("it", text);
  const message = failureOf(text.replace("a candidate term=2", "a candidate term=3"));
  assertStringIncludes(message, "expected\n    a candidate term=3");
  assertStringIncludes(message, "but this happened\n    a candidate term=2");
});

// b claims entry 2, which it never had, so that a believes in a majority.
const forged = "inject b->a append-response term=2 sequence=1 match=2\n";

test("script: a broken invariant fails it", () => {
  const won = "servers 3 slow=a pre-vote=off\ncampaign a\npersist a\ndeliver a->b vote\ndeliver b->a vote-response\n";
  check("it", record("it", `${won}persist a\n`));
  // b is in term 2, and its disk lacks what it claims.
  assertStringIncludes(failureOf(`${won}persist a\n${forged}`), 'L6: "b" lost what it acknowledged');
});

test("script: so does one that shows only in what the majority's disks hold", () => {
  const won = "servers 3 slow=a pre-vote=off\ncampaign a\npersist a\ndeliver a->c vote\ndeliver c->a vote-response\n";
  check("it", record("it", `${won}persist a\n`));
  // b has not even heard of term 2.
  assertStringIncludes(failureOf(`${won}persist a\n${forged}`), 'C2: "a" commits entry 2 that few have');
});

function ran(...args: string[]): { readonly status: number; readonly said: string } {
  const lines: string[] = [];
  const status = run(args, (line) => lines.push(line));
  return { status, said: lines.join("\n") };
}

test("scenarios: those named are run", () => {
  const [first = ""] = scriptNames();
  assertEquals(ran(first), { status: 0, said: "1 scenarios passed, 0 failed" });
  assertEquals(ran(`tests/scenarios/${first}.txt`).status, 0);
});

test("scenarios: an unknown one is told with all that there are", () => {
  const { status, said } = ran("a_tale");
  assertEquals(status, 2);
  assertStringIncludes(said, 'there is no scenario "a_tale"; there are\n');
  for (const name of scriptNames()) assertStringIncludes(said, `\n  ${name}`);
});

test("scenarios: an unknown option is told with the commands", () => {
  const { status, said } = ran("--overwrite");
  assertEquals(status, 2);
  assertStringIncludes(said, 'unknown option "--overwrite"');
  assertStringIncludes(said, "campaign <server>");
  assertEquals(ran("--help").status, 0);
});
