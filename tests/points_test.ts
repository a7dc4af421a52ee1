import { assertEquals } from "@std/assert";
import { readdir, readFile } from "node:fs/promises";
import { systemEnvironment } from "../src/driver/environment.ts";
import { type Point, POINTS } from "../src/points.ts";
import { test } from "./harness.ts";
import { VirtualCluster } from "./virtual_cluster.ts";

/** All production code, by file. */
async function sources(): Promise<ReadonlyMap<string, string>> {
  const root = new URL("../", import.meta.url);
  const found = new Map<string, string>();
  for (const folder of ["src", "adapters"]) {
    for (const name of await readdir(new URL(folder, root), { recursive: true })) {
      const file = `${folder}/${name.replaceAll("\\", "/")}`;
      if (!name.endsWith(".ts") || file.startsWith("src/testing/")) continue;
      found.set(file, await readFile(new URL(file, root), "utf8"));
    }
  }
  return found;
}

test("points: in production nobody says yes at one", async () => {
  assertEquals("buggify" in systemEnvironment, false);
  // Driver and core hand on what they are given; nobody but the simulator makes one.
  const makers = [...await sources()].flatMap(([file, text]) => {
    const values = [...text.matchAll(/buggify(?::| =) (?!Buggify)([^\s,;]+)/g)].map(([, value]) => value!);
    return values.filter((value) => !/^(?:this\.#|environment\.)?buggify$/.test(value)).map((value) =>
      `${file}: ${value}`
    );
  });
  assertEquals(makers, []);
});

test("points: each is asked about in one place", async () => {
  const texts = [...await sources()].filter(([file]) => file !== "src/points.ts").map(([, text]) => text).join("");
  const asked = [...texts.matchAll(/buggify(?:\?\.)?\("([^"]*)"\)/g)].map(([, point]) => point!);
  assertEquals(asked.sort(), [...POINTS].sort());
});

test("points: a cluster keeps its promises when what is unusual is done each time", async () => {
  const cluster = new VirtualCluster(3);
  const { environment } = cluster;
  const asked = new Set<Point>();
  environment.buggify = (point) => asked.add(point).has(point);
  await cluster.startAll();
  const leader = await cluster.leader();
  const stores = [...cluster.stores.values()];
  // The first is being written when the others come.
  for (const store of stores) store.slowWrites = true;
  const calls: Promise<unknown>[] = [];
  for (let i = 0; i < 20; i++) {
    calls.push(leader.apply(i));
    await environment.advance(1);
  }
  for (const store of stores) {
    store.slowWrites = false;
    for (const write of store.writing) write.resolve();
  }
  await cluster.settled(Promise.all(calls));
  await cluster.converged();
  for (const id of cluster.ids) assertEquals(cluster.machine(id).values, calls.map((_, i) => i));
  // Nothing gathers callers here, so that no turn can be early.
  assertEquals([...asked].sort(), POINTS.filter((point) => point !== "early-turn").sort());
  await cluster.stopAll();
  assertEquals([cluster.errors, environment.timerCount], [[], 0]);
});
