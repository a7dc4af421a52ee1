/**
 * A machine that holds something else than the others begins anew: `installSnapshot`.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { NoSnapshotsError } from "../src/errors.ts";
import type { RaftOptions } from "../src/options.ts";
import type { Raft } from "../src/raft.ts";
import { test } from "./harness.ts";
import { Journal, SnapshotJournal, type VirtualCluster, watch, withCluster } from "./virtual_cluster.ts";

/** Takes the command "odd" for another one when it is odd; its snapshots may take their time. */
class Odd extends SnapshotJournal {
  isOdd: boolean = false;
  /** Set while nobody gets to the end of its snapshots. */
  isStuck: boolean = false;

  override apply(command: unknown, context: { readonly index: number }): unknown {
    return super.apply(command === "odd" && this.isOdd ? "other" : command, context);
  }

  override snapshot(): ReadableStream<Uint8Array> {
    return this.isStuck ? new ReadableStream({ pull: () => new Promise(() => {}) }) : super.snapshot();
  }

  hash(): string {
    return JSON.stringify(this.values);
  }
}

interface Scene {
  readonly cluster: VirtualCluster;
  readonly leader: Raft<unknown, unknown>;
  /** Its machine holds "other" where the others hold "odd". */
  readonly odd: Raft<unknown, unknown>;
  readonly third: Raft<unknown, unknown>;
  machine(raft: Raft<unknown, unknown>): Odd;
}

const manual = { snapshotThreshold: 2 ** 40, hashEvery: 4 };

async function withOdd(
  body: (scene: Scene) => Promise<void>,
  over: Partial<RaftOptions<unknown, unknown>> = {},
): Promise<void> {
  const machines = new Map<string, Odd>();
  await withCluster(
    3,
    async (cluster) => {
      const { leader, followers: [odd, third] } = await cluster.elect();
      const machine = ({ id }: Raft<unknown, unknown>) => machines.get(id)!;
      machine(odd!).isOdd = true;
      for (const command of ["one", "odd", "two"]) await cluster.settled(leader.apply(command));
      await cluster.converged();
      assertEquals(machine(odd!).values, ["one", "other", "two"]);
      await body({ cluster, leader, odd: odd!, third: third!, machine });
    },
    { ...manual, ...over },
    (id) => {
      machines.set(id, new Odd());
      return machines.get(id)!;
    },
  );
}

test("Raft.installSnapshot() gives the machine what the others hold; log, term and vote stay as they are", () =>
  withOdd(async ({ cluster, leader, odd, third, machine }) => {
    // One of its own, which it would start from.
    await cluster.settled(odd.snapshot());
    const { firstIndex, lastIndex, term, votedFor } = odd.status;
    const { index } = await cluster.settled(odd.installSnapshot());
    assertEquals(machine(odd).values, ["one", "odd", "two"]);
    assertEquals(machine(odd).restores, 1);
    // The leader had nothing that it did not have, so there is one entry more.
    assertEquals([index, odd.appliedIndex, odd.lastIndex], [lastIndex + 1, lastIndex + 1, lastIndex + 1]);
    const { status } = odd;
    assertEquals([status.firstIndex, status.term, status.votedFor], [firstIndex, term, votedFor]);
    await cluster.settled(leader.apply("three"));
    await cluster.converged();
    assertEquals([odd, third].map((raft) => machine(raft).values), [machine(leader).values, machine(leader).values]);
  }));

test("Raft.doctor() names it, and has nothing to say once it is done", () =>
  withOdd(async ({ cluster, leader, odd }) => {
    while (leader.lastIndex < 8) await cluster.settled(leader.apply("x"));
    const finding = () => leader.doctor().findings.find(({ code }) => code === "state-diverged");
    await cluster.environment.until(() => finding() !== undefined);
    const { servers, action } = finding()!;
    assertEquals([servers, action.includes("installSnapshot")], [[odd.id], true]);
    await cluster.settled(odd.installSnapshot());
    while (leader.lastIndex < 16) await cluster.settled(leader.apply("x"));
    await cluster.environment.until(() => finding() === undefined);
  }));

test("Raft.installSnapshot(): a start after it is from that snapshot, not from its own", () =>
  withOdd(async ({ cluster, odd }) => {
    await cluster.settled(odd.snapshot());
    const { index } = await cluster.settled(odd.installSnapshot());
    await cluster.settled(odd.shutdown());
    const again = await cluster.start(odd.id, manual);
    assertEquals([again.appliedIndex >= index, (await again.snapshots())[0]!.meta.index], [true, index]);
    await cluster.leader();
    await cluster.converged();
    // Whatever is odd about it, it was not given the command again.
    assertEquals(await cluster.settled(again.read(() => 1)), 1);
  }));

test("Raft.installSnapshot() brings the sessions, too: what was applied once before is not applied again", () =>
  withOdd(async ({ cluster, leader, odd, machine }) => {
    const session = await cluster.settled(leader.session());
    const first = await cluster.settled(leader.apply("keyed", { key: "k" }));
    await cluster.settled(session.apply("of a session"));
    await cluster.settled(odd.installSnapshot());
    assertEquals(await cluster.settled(odd.apply("keyed", { key: "k" })), first);
    await cluster.settled(session.apply("another"));
    await cluster.converged();
    const wanted = ["one", "odd", "two", "keyed", "of a session", "another"];
    assertEquals([odd, leader].map((raft) => machine(raft).values), [wanted, wanted]);
    await cluster.settled(session.close());
  }));

test("Raft.installSnapshot() on a leader hands over first", () =>
  withOdd(async ({ cluster, leader, odd, machine }) => {
    await cluster.settled(leader.transferLeadership(odd.id));
    await cluster.leader();
    assertEquals(odd.state, "leader");
    await cluster.settled(odd.installSnapshot());
    assertEquals([odd.state, machine(odd).values], ["follower", ["one", "odd", "two"]]);
  }));

test("Raft.installSnapshot(): meanwhile the server votes and acknowledges, applies nothing, and answers stale reads", () =>
  withOdd(async ({ cluster, leader, odd, third, machine }) => {
    machine(leader).isStuck = true;
    const installing = watch(odd.installSnapshot());
    await cluster.environment.advance(100);
    // Only with it is there a majority.
    cluster.isolate(third.id);
    const applied = odd.appliedIndex;
    await cluster.settled(leader.apply("three"));
    const linearizable = watch(odd.read(() => machine(odd).values.at(-1)));
    await cluster.environment.advance(200);
    assertEquals([odd.appliedIndex, odd.commitIndex], [applied, leader.commitIndex]);
    assertEquals(await cluster.settled(odd.read(() => machine(odd).values, { consistency: "stale" })), [
      ...["one", "other", "two"],
    ]);
    // It can't be given up by a snapshot of its own.
    const own = watch(odd.snapshot());
    await cluster.settled(leader.shutdown());
    assertEquals((await installing).text, "leadership-lost not-applied");
    cluster.heal();
    await cluster.leader([odd.id, third.id]);
    // It goes on as it was.
    assertEquals((await cluster.settled(linearizable)).value, "three");
    await cluster.settled(own);
    await cluster.environment.until(() => third.appliedIndex === odd.lastIndex);
    await cluster.settled(odd.installSnapshot());
    assertEquals(machine(odd).values, ["one", "odd", "two", "three"]);
  }));

test("Raft.installSnapshot() asked for twice is done once; a signal ends the waiting alone", () =>
  withOdd(async ({ cluster, odd, machine }) => {
    const giveUp = new AbortController();
    const both = [watch(odd.installSnapshot({ signal: giveUp.signal })), watch(odd.installSnapshot())];
    giveUp.abort(new Error("enough"));
    assertEquals((await cluster.settled(both[0]!)).text, "Error: enough");
    const { index } = (await cluster.settled(both[1]!)).value as { index: number };
    assertEquals([machine(odd).restores, index], [1, odd.appliedIndex]);
    await assertRejects(() => odd.installSnapshot({ signal: giveUp.signal }), Error, "enough");
  }));

test("Raft.installSnapshot(): a command that waits here for its result is told that nobody knows it", () =>
  withOdd(async ({ cluster, leader, odd, machine }) => {
    machine(leader).isStuck = true;
    const installing = watch(odd.installSnapshot());
    await cluster.environment.advance(100);
    const own = watch(odd.apply("mine"));
    await cluster.environment.advance(100);
    machine(leader).isStuck = false;
    // The stuck one is given up with the leader; the next leader's has the command.
    await cluster.settled(leader.shutdown());
    assertEquals((await installing).text, "leadership-lost not-applied");
    const { text } = await cluster.settled(own);
    assert(text === "4" || text.endsWith(" unknown"), text);
  }));

test("Raft.installSnapshot() of a server whose leader can't send one goes on as it was", () =>
  withOdd(async ({ cluster, leader, odd, machine }) => {
    machine(leader).snapshot = () => {
      throw new Error("my own");
    };
    const { error } = await cluster.outcome(odd.installSnapshot());
    assert(error instanceof NoSnapshotsError && error.message.includes(`"${leader.id}" could not send one`));
    await cluster.settled(leader.apply("three"));
    await cluster.converged();
    assertEquals(machine(odd).values, ["one", "other", "two", "three"]);
  }));

test("Raft.installSnapshot() has the snapshot that the leader is just taking", () =>
  withOdd(async ({ cluster, leader, odd, machine }) => {
    const { environment } = cluster;
    const whole = machine(leader);
    machine(leader).snapshot = () => {
      let isFirst = true;
      const reader = SnapshotJournal.prototype.snapshot.call(whole).getReader();
      return new ReadableStream({
        async pull(controller) {
          if (isFirst) await new Promise<void>((resolve) => environment.setTimeout(resolve, 400));
          isFirst = false;
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        },
      });
    };
    const installed = watch(odd.installSnapshot());
    await environment.advance(20);
    const taken = watch(leader.snapshot());
    assertEquals([(await cluster.outcome(taken)).error, (await cluster.outcome(installed)).error], [
      undefined,
      undefined,
    ]);
    assertEquals(machine(odd).values, ["one", "odd", "two"]);
  }));

test("Raft.installSnapshot() is refused where nothing can come of it", async () => {
  await withCluster(
    1,
    async (cluster) => {
      const alone = await cluster.leader();
      assertEquals((await cluster.outcome(alone.installSnapshot())).text, "no-snapshots not-applied");
    },
    manual,
    () => new SnapshotJournal(),
  );
  await withCluster(
    3,
    async (cluster) => {
      const { leader, followers: [one] } = await cluster.elect();
      for (const raft of [one!, leader]) {
        assertEquals((await cluster.outcome(raft.installSnapshot())).text, "no-snapshots not-applied");
      }
      assertEquals(leader.state, "leader");
    },
    {},
    () => new Journal(),
  );
  await withOdd(async ({ cluster, odd }) => {
    cluster.isolate(odd.id);
    await cluster.environment.until(() => odd.leader === undefined);
    assertEquals((await cluster.outcome(odd.installSnapshot())).text, "not-leader not-applied");
    const ending = watch(odd.installSnapshot());
    await cluster.settled(odd.shutdown());
    assert((await ending).text.startsWith("shutdown"));
    await assertRejects(() => odd.installSnapshot(), Error, "shut down");
  });
});

test("Raft.shutdown() answers who waits for a snapshot", () =>
  withOdd(async ({ cluster, leader, odd, machine }) => {
    machine(leader).isStuck = true;
    const installing = watch(odd.installSnapshot());
    await cluster.environment.advance(100);
    await cluster.settled(odd.shutdown());
    assertEquals((await installing).text, "shutdown unknown");
  }));
