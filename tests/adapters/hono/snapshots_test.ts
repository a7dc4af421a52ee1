import { assertEquals } from "@std/assert";
import { adminApp } from "../../../adapters/hono/mod.ts";
import { NoSnapshotsError } from "../../../src/errors.ts";
import { crc32c } from "../../../src/wire/crc32c.ts";
import { openSnapshot } from "../../../src/wire/snapshot_reader.ts";
import { test } from "../../harness.ts";
import { SnapshotJournal, withCluster } from "../../virtual_cluster.ts";
import { fakeTarget, keptSnapshot } from "./fake_target.ts";

const at = (path: string, method = "GET") => new Request(`http://127.0.0.1:1${path}`, { method });

test("GET snapshots lists what the server keeps; GET snapshots/:id gives bytes that restore its state", () =>
  withCluster(
    1,
    async (cluster) => {
      const raft = await cluster.leader();
      const app = adminApp(raft, { insecure: true });
      const ask = async (path: string, method?: string) => await app.fetch(at(path, method));
      assertEquals(await (await ask("/snapshots")).json(), { snapshots: [] });
      for (const command of ["one", "two"]) await cluster.settled(raft.apply(command));
      const taken = await (await cluster.settled(ask("/snapshot", "POST"))).json();
      assertEquals([taken.index, taken.configurationIndex > 0, taken.timeMs > 0], [raft.appliedIndex, true, true]);
      assertEquals(await (await ask("/snapshots")).json(), { snapshots: [taken] });
      const response = await ask(`/snapshots/${taken.id}`);
      assertEquals(
        ["content-type", "content-length", "raft-index", "raft-checksum"].map((name) => response.headers.get(name)),
        ["application/octet-stream", `${taken.bytes}`, `${taken.index}`, `${taken.checksum}`],
      );
      const bytes = new Uint8Array(await response.arrayBuffer());
      assertEquals([bytes.length, crc32c(bytes)], [taken.bytes, taken.checksum]);
      const { user } = await openSnapshot((offset, max) => Promise.resolve(bytes.slice(offset, offset + max)));
      const copy = new SnapshotJournal();
      await copy.restore(user);
      assertEquals(copy.values, ["one", "two"]);
    },
    { snapshotThreshold: 2 ** 40 },
    () => new SnapshotJournal(),
  ));

test("GET snapshots/:id of one that is not there is answered with 404, whatever its name", async () => {
  const target = { ...fakeTarget(), snapshots: () => Promise.resolve([keptSnapshot("here")]) };
  const app = adminApp(target, { insecure: true });
  for (const id of ["gone", "..%2Fhere", "%2e%2e", "here%00"]) {
    const response = await app.fetch(at(`/snapshots/${id}`));
    assertEquals([id, response.status], [id, 404]);
    await response.body?.cancel();
  }
  const { code, outcome } = await (await app.fetch(at("/snapshots/gone"))).json();
  assertEquals([code, outcome], ["snapshot-not-found", "not-applied"]);
});

test("GET snapshots of a server without a place for them says so", async () => {
  const snapshots = () => Promise.reject(new NoSnapshotsError("it has no store for them"));
  const response = await adminApp({ ...fakeTarget(), snapshots }, { insecure: true }).fetch(at("/snapshots"));
  assertEquals([response.status, (await response.json()).code], [501, "no-snapshots"]);
});

test("GET snapshots/:id sends a bounded number at a time; one that ends, fails or is given up makes room", async () => {
  const target = { ...fakeTarget(), snapshots: () => Promise.resolve([keptSnapshot("s", { bytes: 6 })]) };
  const app = adminApp(target, { insecure: true });
  const open = async () => await app.fetch(at("/snapshots/s"));
  // An answer to HEAD is never read, so it counts for nothing.
  for (let i = 0; i < 20; i++) assertEquals((await app.fetch(at("/snapshots/s", "HEAD"))).status, 200);
  const readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  for (let i = 0; i < 8; i++) {
    const reader = (await open()).body!.getReader();
    assertEquals((await reader.read()).value?.length, 1);
    readers.push(reader);
  }
  const refused = await open();
  assertEquals([refused.status, (await refused.json()).code], [503, "overloaded"]);
  await readers[0]!.cancel();
  while (!(await readers[1]!.read()).done);
  for (let i = 0; i < 2; i++) {
    const reader = (await open()).body!.getReader();
    await reader.read();
    readers.push(reader);
  }
  assertEquals((await open()).status, 503);
  for (const reader of readers) await reader.cancel();
  const failing = { ...keptSnapshot("s"), open: () => new ReadableStream({ pull: () => Promise.reject("gone") }) };
  const broken = adminApp({ ...fakeTarget(), snapshots: () => Promise.resolve([failing]) }, { insecure: true });
  for (let i = 0; i < 20; i++) {
    const error = await (await broken.fetch(at("/snapshots/s"))).arrayBuffer().catch((error) => error);
    assertEquals(error, "gone");
  }
});
