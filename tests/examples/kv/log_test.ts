import { assertEquals } from "@std/assert";
import { logEvents, loggerOf } from "../../../examples/kv/log.ts";
import { test } from "../../harness.ts";
import { VirtualCluster } from "../../virtual_cluster.ts";

for (const isVerbose of [false, true]) {
  test(`a failed dial is logged once, and so is a connection${isVerbose ? ", also when all lines are asked for" : ""}`, async () => {
    const cluster = new VirtualCluster(3);
    const lines: string[] = [];
    const log = (line: string) => void lines.push(line);
    const about = (what: string) => lines.filter((line) => line.includes(what));
    const raft = await cluster.start("a", { logger: loggerOf(log, isVerbose) });
    const logged = logEvents(log, raft.events());
    await cluster.environment.advance(1_000);
    assertEquals(about("dial-failed").map((line) => line.slice(0, 32)), [
      "warning: a: dial-failed (b at b)",
      "warning: a: dial-failed (c at c)",
    ]);
    await cluster.start("b");
    await cluster.environment.advance(1_000);
    assertEquals(about("connected"), ["peer b connected at b"]);
    await cluster.stopAll();
    await logged;
  });
}
