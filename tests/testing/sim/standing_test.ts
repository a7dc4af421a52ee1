import { assertEquals } from "@std/assert";
import type { SimServer } from "../../../src/testing/sim/server.ts";
import { isDamaged } from "../../../src/testing/sim/standing.ts";
import { test } from "../../harness.ts";

test("a server is damaged as long as its disk is, its core knows of entries it can't read, or some are being written anew", () => {
  const entries = [{ from: 3, end: 4 }];
  const server = (onDisk: boolean, damaged: unknown[], repairing: unknown[]) =>
    ({ life: { core: { damaged, repairing } }, storage: { faults: { isDamaged: onDisk } } }) as unknown as SimServer;
  assertEquals(isDamaged(server(false, [], [])), false);
  assertEquals(isDamaged(server(true, [], [])), true);
  assertEquals(isDamaged(server(false, entries, [])), true);
  assertEquals(isDamaged(server(false, [], entries)), true);
  const down = { life: undefined, storage: { faults: undefined } } as unknown as SimServer;
  assertEquals(isDamaged(down), false);
});
