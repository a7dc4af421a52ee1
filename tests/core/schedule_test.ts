import { assert, assertEquals } from "@std/assert";
import { nextRandom, type RandomState, seedRandom } from "../../src/core/random.ts";
import type { ServerId } from "../../src/types.ts";
import { test } from "../harness.ts";
import { Cluster } from "./cluster.ts";

const sizes = ["a b c", "a b c", "a b c d e", "a b", "a b c ~d", "a", "a b c d"];

/** One random schedule, played on a cluster of its own. */
class Schedule {
  readonly cluster: Cluster;
  readonly ids: ServerId[];
  readonly #random: RandomState;

  constructor(seed: number) {
    this.#random = seedRandom(seed);
    this.cluster = new Cluster({
      servers: sizes[this.below(sizes.length)]!,
      settings: {
        electionMinMs: 200,
        electionMaxMs: 400,
        leaseMs: 200,
        reconnectWaitMs: 20,
        preVote: this.below(4) > 0,
        appendEntriesMax: 3,
      },
      persistence: this.below(3) > 0 ? "delayed" : "immediate",
      sending: this.below(2) > 0 ? "delayed" : "immediate",
      seed,
    });
    this.ids = [...this.cluster.members.keys()];
  }

  below(max: number): number {
    return Math.floor(nextRandom(this.#random) / 2 ** 32 * max);
  }

  any<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }

  /** One random thing happens. */
  act(): void {
    const { cluster } = this;
    const id = this.any(this.ids);
    const dice = this.below(1000);
    if (dice < 500) this.#deliver();
    else if (dice < 650) cluster.persist(id, 1 + this.below(3));
    else if (dice < 750) cluster.send(id, this.below(20) > 0);
    else if (dice < 850) this.#time(this.below(50));
    else if (dice < 930) cluster.propose(this.any([...cluster.leaders, id]), 1 + this.below(3));
    else if (dice < 960) cluster.read(this.any([...cluster.leaders, id]));
    else if (dice < 970) this.#time(this.below(500));
    else if (dice < 978) cluster.restart(id);
    else if (dice < 984) cluster.step(id, { type: "clock-jumped" });
    else if (dice < 989) {
      const isClosedByPeer = this.below(2) > 0;
      cluster.step(id, { type: "peer-disconnected", peer: this.any(this.ids), isClosedByPeer });
    } else if (dice < 994) cluster.step(id, { type: "peer-connected", peer: this.any(this.ids) });
    else cluster.step(id, { type: "transfer-requested", to: this.below(2) > 0 ? this.any(this.ids) : undefined });
  }

  // Some packets come twice, some never, some out of order.
  #deliver(): void {
    const { network } = this.cluster;
    if (network.length === 0) return;
    const at = this.below(4) > 0 ? 0 : this.below(network.length);
    const packet = network[at]!;
    const dice = this.below(20);
    if (dice > 0) network.splice(at, 1);
    if (dice !== 1) this.cluster.hand(packet);
  }

  #time(ms: number): void {
    this.cluster.now += ms;
    for (const id of this.ids) {
      if (this.cluster.of(id).core.deadline <= this.cluster.now) this.cluster.tick(id);
    }
  }

  /** Nothing fails any more: soon there is one leader, and all have what it has. */
  heal(): void {
    const { cluster } = this;
    for (let i = 0; i < 200; i++) {
      cluster.settle();
      this.#time(25);
      const [leader] = cluster.leaders;
      if (i === 100 && leader !== undefined) cluster.propose(leader, 2);
    }
    cluster.settle();
  }
}

test("cluster: 300 random schedules break no invariant, and heal", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const schedule = new Schedule(seed);
    try {
      for (let i = 0; i < 250; i++) schedule.act();
      schedule.heal();
      assertHealed(schedule.cluster);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}, { timeoutMs: 60_000 });

function assertHealed(cluster: Cluster): void {
  const [leader] = cluster.leaders;
  assert(leader !== undefined, "there is no leader");
  const { core, log } = cluster.of(leader);
  assertEquals(core.state.commitIndex, log.length);
  for (const [peer, progress] of core.state.leading!.progress) {
    assertEquals({ ...progress.inFlight, sending: progress.sending }, { sending: undefined }, peer);
    assertEquals(progress.state, "replicate");
  }
  for (const member of cluster.members.values()) {
    assertEquals(member.log, log);
    assertEquals(member.core.state.commitIndex, log.length);
    assertEquals(member.core.state.withheld, []);
  }
}
