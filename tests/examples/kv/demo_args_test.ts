import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../../examples/kv/args.ts";
import { DEMO_HELP, type DemoArgs, parseDemoArgs } from "../../../examples/kv/demo_args.ts";
import { test } from "../../harness.ts";

const DEFAULTS: DemoArgs = {
  nodes: 3,
  fresh: false,
  runtimes: ["deno", "deno", "deno"],
  httpPort: 8001,
  raftPort: 7001,
  data: "data/demo",
};

test("parseDemoArgs() without options starts three servers, with HTTP from port 8001, under data/demo", () => {
  assertEquals(parseDemoArgs([]), DEFAULTS);
});

test("parseDemoArgs() takes every option", () => {
  const line = "--nodes 2 --fresh --runtime node --http-port 9001 --raft-port 9101 --data /tmp/demo";
  assertEquals(parseDemoArgs(line.split(" ")), {
    nodes: 2,
    fresh: true,
    runtimes: ["node", "node"],
    httpPort: 9001,
    raftPort: 9101,
    data: "/tmp/demo",
  });
});

test("parseDemoArgs() gives mixed servers the three runtimes in turn", () => {
  const { runtimes } = parseDemoArgs(["--nodes", "5", "--runtime", "mixed"])!;
  assertEquals(runtimes, ["deno", "bun", "node", "deno", "bun"]);
});

test("parseDemoArgs() knows when help is asked for, and the help names every option", () => {
  assertEquals(parseDemoArgs(["--help"]), undefined);
  assertEquals(parseDemoArgs(["-h"]), undefined);
  for (const option of ["--nodes", "--fresh", "--runtime", "--http-port", "--raft-port", "--data", "--help"]) {
    assertStringIncludes(DEMO_HELP, `\n  ${option} `);
  }
});

test("parseDemoArgs() says what is wrong and what to do", () => {
  const cases: [string, string][] = [
    ["--nodes 0", 'Cannot use "0" for --nodes: it must be a whole number from 1 to 9'],
    ["--nodes 10", "whole number from 1 to 9"],
    ["--nodes 1.5", "whole number"],
    ["--runtime chrome", 'Cannot use "chrome" for --runtime: it is deno, bun, node or mixed'],
    ["--http-port 0", "whole number from 1 to 65532"],
    ["--raft-port 65533", "whole number from 1 to 65532"],
    ["--nods 3", "Cannot read the command line"],
    ["extra", "Cannot read the command line"],
  ];
  for (const [line, message] of cases) assertThrows(() => parseDemoArgs(line.split(" ")), UsageError, message);
  for (const line of ["--nodes 1", "--nodes 9", "--http-port 65532"]) parseDemoArgs(line.split(" "));
});
