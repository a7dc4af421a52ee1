/**
 * What a restore says to the log: above all that it is over, however it ends, so that nobody keeps its parts and snapshots are
 * taken again.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import type { ProposalEntry, ProposalResult } from "../src/driver/proposal.ts";
import { LeadershipLostError, NoSnapshotsError, OverloadedError, ProtocolError } from "../src/errors.ts";
import { restoreThroughLog } from "../src/restorer.ts";
import { concatenate } from "../src/wire/bytes.ts";
import { crc32c } from "../src/wire/crc32c.ts";
import { decodeRestoreEntry } from "../src/wire/restore_codec.ts";
import { encodeSnapshot } from "../src/wire/snapshot.ts";
import { test } from "./harness.ts";
import { SnapshotJournal, type VirtualCluster, watch, withCluster } from "./virtual_cluster.ts";

/** A snapshot whose machine has so many bytes, and its identity. */
async function snapshotOf(bytes: number) {
  const servers = [{ id: "x", address: "x:1", suffrage: "voter" }] as const;
  const origin = { index: 7, term: 3, configuration: { servers }, configurationIndex: 1, timeMs: 0 };
  const pieces: Uint8Array[] = [];
  for await (const piece of encodeSnapshot({ origin, user: new Blob([new Uint8Array(bytes)]).stream() })) {
    pieces.push(piece);
  }
  const whole = concatenate(pieces);
  return { meta: { index: 7, term: 3, bytes: whole.length, checksum: crc32c(whole) >>> 0 }, whole };
}

// --- what is said ---

const overloaded = new OverloadedError(1, 1);
const lost = new LeadershipLostError("gone", { outcome: "unknown", leader: undefined });

/** A log that takes all but the one that is named, and tells what it was asked to take, and what it is owed. */
async function restored(of: { refused?: string; error?: unknown; isDamaged?: boolean }) {
  const { meta, whole } = await snapshotOf(100);
  const said: string[] = [];
  const nameOf = ({ payload }: ProposalEntry) => {
    const { kind, sequence, id } = decodeRestoreEntry(payload)!;
    return `${kind} ${sequence} of ${id}`;
  };
  const propose = (entry: ProposalEntry): Promise<ProposalResult> => {
    const name = nameOf(entry);
    said.push(name);
    if (name === of.refused) return Promise.reject(of.error);
    return Promise.resolve({ index: said.length, term: 1, applied: { ok: true, value: true } });
  };
  const owe = (entry: ProposalEntry) => void said.push(`owed: ${nameOf(entry)}`);
  const host = { propose, owe, id: 9, commandBytesMax: 81, stopped: new AbortController().signal };
  const given = of.isDamaged === true ? { ...meta, checksum: meta.checksum ^ 1 } : meta;
  const stream = new Blob([whole as Uint8Array<ArrayBuffer>]).stream();
  return { said, done: restoreThroughLog(host, given, stream, undefined) };
}

test("a restore that succeeds owes the log nothing", async () => {
  const { said, done } = await restored({});
  assertEquals(await done, said.length);
  assertEquals([said[0], said.at(-1)], ["part 0 of 9", `end ${said.length - 1} of 9`]);
});

test("a restore of which something is wrong, or refused, owes the log its end", async () => {
  const whole = await restored({});
  await whole.done;
  const end = whole.said.at(-1)!;
  const damaged = await restored({ isDamaged: true });
  await assertRejects(() => damaged.done, ProtocolError);
  assertEquals(damaged.said.slice(-1), ["owed: given-up 0 of 9"]);
  for (const refused of ["part 1 of 9", end]) {
    const { said, done } = await restored({ refused, error: overloaded });
    await assertRejects(() => done, OverloadedError);
    assertEquals([said.includes(refused), said.slice(-1)], [true, ["owed: given-up 0 of 9"]]);
  }
});

test("a restore whose first part is in no log, or another leader's, owes nothing", async () => {
  for (const error of [overloaded, lost]) {
    const { said, done } = await restored({ refused: "part 0 of 9", error });
    await assertRejects(() => done, Error);
    assertEquals(said.filter((it) => it.startsWith("owed")), []);
  }
});

// --- what comes of it ---

/** A machine that may take its time for each command. */
class Slow extends SnapshotJournal {
  ms = 0;
  readonly #cluster: VirtualCluster;

  constructor(cluster: VirtualCluster) {
    super();
    this.#cluster = cluster;
  }

  override apply(command: unknown, context: { readonly index: number }): unknown {
    if (this.ms === 0) return super.apply(command, context);
    return new Promise((resolve) => {
      this.#cluster.environment.setTimeout(() => resolve(super.apply(command, context)), this.ms);
    });
  }
}

/** A cluster in which parts of a restore are in the log, and whose stream gives nothing any more. */
function withHalted(
  size: number,
  body: (cluster: VirtualCluster, giveUp: () => Promise<void>) => Promise<void>,
  leaderWaitMs = 1_000,
): Promise<void> {
  return withCluster(
    size,
    async (cluster) => {
      const leader = await cluster.leader();
      await cluster.settled(leader.apply("first"));
      const { meta, whole } = await snapshotOf(300_000);
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(whole.slice(0, -1_000)),
      });
      const caller = new AbortController();
      const restored = watch(leader.restore(meta, stream, { signal: caller.signal }));
      await cluster.environment.until(() => leader.lastIndex >= 3);
      await cluster.settled(leader.barrier());
      assertEquals((await cluster.outcome(leader.snapshot())).error instanceof NoSnapshotsError, true);
      await body(cluster, async () => {
        caller.abort(new Error("enough"));
        assertEquals((await restored).error, caller.signal.reason);
      });
      await cluster.settled(leader.barrier());
      await cluster.converged();
      for (const id of cluster.ids) await cluster.settled(cluster.raft(id).snapshot());
    },
    { commandBytesMax: 400_000, leaderWaitMs },
    (id, cluster) => {
      const machine = new Slow(cluster);
      cluster.machines.set(id, machine);
      return machine;
    },
  );
}

test("Raft.restore() that fails keeps nobody from taking snapshots, however much is in flight then", () =>
  withHalted(3, async (cluster, giveUp) => {
    const leader = await cluster.leader();
    const { term } = leader.status;
    leader.reloadConfig({ inFlightCountMax: 1 });
    const others = ["in flight", "waits"].map((it) => watch(leader.apply(it, { enqueueTimeoutMs: 10_000 })));
    await giveUp();
    assertEquals(leader.metrics().proposalsPending <= 1, true);
    for (const other of others) assertEquals((await cluster.settled(other)).error, undefined);
    assertEquals([leader.state, leader.status.term], ["leader", term]);
  }));

test("Raft.restore() that fails during a drain keeps nobody from taking snapshots when the drain is given up", () =>
  withHalted(1, async (cluster, giveUp) => {
    const leader = await cluster.leader();
    (cluster.machine("a") as Slow).ms = 100;
    const last = watch(leader.apply("last"));
    const operator = new AbortController();
    const drained = watch(leader.drain({ signal: operator.signal }));
    await giveUp();
    operator.abort(new Error("go on"));
    assertEquals((await cluster.settled(drained)).error, operator.signal.reason);
    assertEquals((await cluster.settled(last)).error, undefined);
  }));

test("Raft.restore() that fails while its leader hands over in vain keeps nobody from taking snapshots", () =>
  withHalted(3, async (cluster, giveUp) => {
    const leader = await cluster.leader();
    const { term } = leader.status;
    await cluster.converged();
    const other = cluster.ids.find((id) => id !== leader.id)!;
    cluster.isolate(other);
    const transferred = watch(leader.transferLeadership(other));
    await cluster.environment.advance(1);
    await giveUp();
    assertEquals((await cluster.settled(transferred)).text, "transfer-failed unknown");
    assertEquals([leader.state, leader.status.term], ["leader", term]);
    cluster.heal();
  }, 10));
