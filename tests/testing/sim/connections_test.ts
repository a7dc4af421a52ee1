import { assertEquals } from "@std/assert";
import type { Message } from "../../../src/message.ts";
import { ChannelObserver } from "../../../src/testing/sim/channel_marks.ts";
import { IDLE_TIME } from "../../../src/testing/sim/connections.ts";
import type { NetworkBehaviour } from "../../../src/testing/sim/lines.ts";
import { Network } from "../../../src/testing/sim/network.ts";
import { Port } from "../../../src/testing/sim/queue.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import { Trace } from "../../../src/testing/sim/trace.ts";
import { World } from "../../../src/testing/sim/world.ts";
import type { Channel, TransportLink } from "../../../src/transport/transport.ts";
import { encodeChanges } from "../../../src/wire/change_codec.ts";
import { crc32c } from "../../../src/wire/crc32c.ts";
import { decodeMessage, encodeMessage } from "../../../src/wire/message_codec.ts";
import { append } from "../../core/states.ts";
import { test } from "../../harness.ts";
import { calmNetwork } from "./calm_network.ts";

const quiet: NetworkBehaviour = {
  ...calmNetwork,
  delayShape: "fixed",
  bulk: { refuse: 0, refuseDial: 0, bytesPerMs: 0 },
};

/** Two servers that want to be connected, and what each is told. */
class Pair {
  readonly network: Network;
  readonly links: TransportLink[] = [];
  readonly told: string[] = [];
  readonly marks = new ChannelObserver();
  readonly #world = new World(new Trace(), () => {});

  private constructor(behaviour: NetworkBehaviour) {
    this.network = new Network(this.#world, Random.seeded(1), ["h0:1", "h1:1"], behaviour, {
      onSend() {},
      onUnreadable: (_from, error) => this.told.push(error.message),
      onArrive: (...args) => this.marks.onArrive(...args),
      onEnd: (...args) => this.marks.onEnd(...args),
    });
  }

  static async of(change: Partial<NetworkBehaviour> = {}): Promise<Pair> {
    const pair = new Pair({ ...quiet, ...change });
    for (const server of [0, 1]) {
      const say = (what: string) => pair.told.push(`s${server} ${what}`);
      const local = { group: 0, serverId: `s${server}`, clusterId: () => "c", incarnation: `i${server}`, starts: 1 };
      const transport = await pair.network.transport(server).open({});
      pair.links[server] = transport.attach(local, {
        onFrame: ({ serverId }, channel, frame) => {
          say(`gets ${decodeMessage(frame).message.type} of ${serverId} by ${channel}`);
        },
        onConnect: ({ serverId }, channel) => say(`has ${channel} to ${serverId}`),
        onDisconnect: (peer, channel, reason) => say(`loses ${channel} to ${peer}: ${reason}`),
        onTrouble() {},
      });
    }
    pair.links[0]!.setPeers([{ id: "s1", address: "h1:1" }]);
    await pair.pass(5000);
    return pair;
  }

  /** Such a pair whose bulk connection is up, too. */
  static async connected(change: Partial<NetworkBehaviour> = {}): Promise<Pair> {
    const pair = await Pair.of(change);
    pair.send(snapshot);
    await pair.pass(5000);
    pair.taken();
    return pair;
  }

  /** Server 0 sends, a snapshot's bytes by the channel for them. */
  send(message: Message, bytes: Uint8Array = new Uint8Array(20)): boolean {
    const isLong = message.type === "snapshot-chunk";
    const parts = isLong ? [...encodeMessage({ ...message, checksum: crc32c(bytes) }), bytes] : encodeMessage(message);
    return this.links[0]!.send("s1", "h1:1", isLong ? "bulk" : "consensus", parts);
  }

  /** What was told since the last time. */
  taken(): string[] {
    return this.told.splice(0);
  }

  async pass(time: number): Promise<void> {
    let isOver = false;
    this.#world.schedule(-1, Port.phase, time, "enough", () => isOver = true);
    await this.#world.run(() => isOver);
  }

  now(): number {
    return this.#world.time;
  }
}

const snapshot: Message = { type: "snapshot-chunk", term: 1, id: 7, offset: 0, checksum: 0 };
const request: Message = {
  ...{ type: "snapshot-request", term: 1, id: 7, index: 3, lastTerm: 1, configuration: { servers: [] } },
  ...{ configurationIndex: 1, timeMs: 0, bytes: 20, checksum: 0 },
};
const heartbeat = append({ term: 1 });
const [gotSnapshot, gotHeartbeat] = [
  "s1 gets snapshot-chunk of s0 by bulk",
  "s1 gets append-request of s0 by consensus",
];

test("sim connections: what is long has a connection of its own, dialled when there is something to send", async () => {
  const pair = await Pair.of();
  assertEquals(pair.taken(), ["s1 has consensus to s0", "s0 has consensus to s1"]);
  assertEquals([pair.send(heartbeat), pair.send(snapshot)], [true, false]);
  await pair.pass(5000);
  assertEquals(pair.taken().sort(), [gotHeartbeat, "s1 has bulk to s0", "s0 has bulk to s1"].sort());
  assertEquals(pair.send(snapshot), true);
  await pair.pass(5000);
  assertEquals(pair.taken(), [gotSnapshot]);
});

test("sim connections: everything travels together where a server is old, or a transport knows one connection only", async () => {
  for (const change of [{ oldServers: [1] }, { oldServers: [0] }, { bulk: undefined }]) {
    const pair = await Pair.of(change as Partial<NetworkBehaviour>);
    pair.taken();
    assertEquals(pair.send(snapshot), true);
    await pair.pass(5000);
    assertEquals(pair.taken(), ["s1 gets snapshot-chunk of s0 by consensus"]);
  }
});

test("sim connections: a reset ends one or both, and only the one for messages is dialled again by itself", async () => {
  const lost = (channel: Channel) =>
    ["s0", "s1"].map((id, i) => `${id} loses ${channel} to s${1 - i}: connection reset`);
  const had = (channel: Channel) => [`s0 has ${channel} to s1`, `s1 has ${channel} to s0`];
  const expected = {
    bulk: lost("bulk"),
    consensus: [...lost("consensus"), ...had("consensus")],
    both: [...lost("bulk"), ...lost("consensus"), ...had("consensus")],
  };
  for (const channel of ["bulk", "consensus", "both"] as const) {
    const pair = await Pair.connected();
    pair.network.reset(0, 1, channel === "both" ? undefined : channel);
    await pair.pass(20_000);
    assertEquals(pair.taken().sort(), expected[channel].sort(), channel);
  }
});

test("sim connections: a cut strikes both channels, until it is mended", async () => {
  const pair = await Pair.connected();
  pair.network.cut(0, 1);
  assertEquals([pair.send(heartbeat), pair.send(snapshot)], [true, true]);
  await pair.pass(50_000);
  assertEquals(pair.taken(), []);
  pair.network.mend(0, 1);
  pair.send(heartbeat);
  pair.send(snapshot);
  await pair.pass(5000);
  assertEquals(pair.taken().sort(), [gotHeartbeat, gotSnapshot].sort());
  pair.network.cut(1, 0);
  await pair.pass(quiet.silence + 1);
  const lost = pair.taken().filter((what) => what.includes("loses"));
  assertEquals(lost.map((what) => what.split(" ")[2]), ["consensus", "consensus", "bulk", "bulk"]);
});

test("sim connections: what is held up on one channel is overtaken by the other", async () => {
  for (const channel of ["bulk", "consensus"] as const) {
    const pair = await Pair.connected();
    pair.network.clog(0, 1, pair.now() + 30_000, channel);
    for (const message of channel === "bulk" ? [snapshot, heartbeat] : [heartbeat, snapshot]) pair.send(message);
    await pair.pass(20_000);
    assertEquals(pair.taken(), [channel === "bulk" ? gotHeartbeat : gotSnapshot]);
    await pair.pass(20_000);
    assertEquals(pair.taken(), [channel === "bulk" ? gotSnapshot : gotHeartbeat]);
  }
  const pair = await Pair.connected();
  pair.network.clog(0, 1, pair.now() + 30_000);
  for (const message of [heartbeat, snapshot]) pair.send(message);
  await pair.pass(20_000);
  assertEquals(pair.taken(), []);
});

test("sim connections: a queue that is full of what is long takes messages, and the other way round", async () => {
  const narrow = { refuse: 0, refuseDial: 0, bytesPerMs: 10 };
  const bulk = await Pair.connected({ bulk: narrow });
  const long = new Uint8Array(2000);
  assertEquals([bulk.send(snapshot, long), bulk.send(snapshot, long), bulk.send(heartbeat)], [true, false, true]);
  await bulk.pass(5000);
  assertEquals(bulk.taken(), [gotHeartbeat]);
  await bulk.pass(300_000);
  assertEquals(bulk.taken(), [gotSnapshot]);
  const consensus = await Pair.connected({ bytesPerMs: 1, queueBytesMax: 100 });
  while (consensus.send(heartbeat));
  assertEquals(consensus.send(snapshot), true);
});

test("sim connections: refusals and dials in vain are of one channel", async () => {
  const full = await Pair.connected({ bulk: { refuse: 1, refuseDial: 0, bytesPerMs: 0 } });
  assertEquals([full.send(heartbeat), full.send(snapshot)], [true, false]);
  const deaf = await Pair.connected({ bulk: { refuse: 0, refuseDial: 1, bytesPerMs: 0 } });
  assertEquals([deaf.send(heartbeat), deaf.send(snapshot)], [true, false]);
  await deaf.pass(50_000);
  assertEquals(deaf.taken(), [gotHeartbeat]);
  const busy = await Pair.connected({ refuse: 1 });
  assertEquals([busy.send(heartbeat), busy.send(snapshot)], [false, true]);
  full.network.calm();
  assertEquals(full.send(snapshot), true);
});

test("sim connections: one for what is long is closed when nothing travels over it, the other never", async () => {
  const pair = await Pair.connected();
  await pair.pass(IDLE_TIME / 2);
  pair.send(snapshot);
  await pair.pass(IDLE_TIME - quiet.silence);
  assertEquals(pair.taken(), [gotSnapshot]);
  await pair.pass(2 * quiet.silence);
  assertEquals(pair.taken().map((what) => what.split(":")[0]).sort(), ["s0 loses bulk to s1", "s1 loses bulk to s0"]);
  await pair.pass(2 * IDLE_TIME);
  assertEquals(pair.taken(), []);
});

test("sim connections: peers lose both to who dies", async () => {
  const pair = await Pair.connected();
  pair.network.detach(0, true);
  await pair.pass(quiet.silence + 1);
  assertEquals(pair.taken(), ["consensus", "bulk"].map((channel) => `s1 loses ${channel} to s0: no answer for long`));
});

test("sim connections: healing ends what is stuck, and nothing else", async () => {
  const pair = await Pair.connected();
  pair.network.clog(0, 1, pair.now() + 900_000, "bulk");
  pair.network.healAmong([0, 1]);
  assertEquals(pair.taken().map((what) => what.split(":")[0]), ["s0 loses bulk to s1", "s1 loses bulk to s0"]);
  assertEquals([pair.send(heartbeat), pair.send(snapshot)], [true, false]);
});

test("channel marks: what overtakes what", () => {
  const observer = new ChannelObserver();
  const entries = append({ term: 1, terms: [1] });
  observer.onArrive(0, 1, snapshot, "bulk", 50);
  observer.onArrive(0, 1, entries, "consensus", 50);
  // Others' are no matter, nor is what has no entries.
  observer.onArrive(2, 1, entries, "consensus", 10);
  observer.onArrive(0, 1, heartbeat, "consensus", 10);
  assertEquals([observer.hits["snapshot-overtook-append"], observer.hits["append-overtook-snapshot"]], [0, 0]);
  observer.onArrive(0, 1, entries, "consensus", 49);
  assertEquals([observer.hits["snapshot-overtook-append"], observer.hits["append-overtook-snapshot"]], [1, 0]);
  observer.onArrive(0, 1, snapshot, "bulk", 49);
  assertEquals([observer.hits["snapshot-overtook-append"], observer.hits["append-overtook-snapshot"]], [1, 1]);
});

test("channel marks: a reset counts in the middle of a snapshot, once", () => {
  const observer = new ChannelObserver();
  const counts = () => [observer.hits["bulk-reset-in-snapshot"], observer.hits["snapshot-went-on-after-reset"]];
  const reset = (channel: Channel, reason = "connection reset") => {
    observer.onEnd(0, 1, channel, reason);
    observer.onEnd(1, 0, channel, reason);
  };
  const done: Message = { type: "snapshot-response", term: 1, id: 7, status: "done", offset: 0 };
  reset("bulk");
  observer.onArrive(0, 1, { ...request, id: 7 }, "bulk", 1);
  reset("consensus");
  reset("bulk", "closed as it was idle");
  assertEquals(counts(), [0, 0]);
  reset("bulk");
  reset("bulk");
  assertEquals(counts(), [1, 0]);
  observer.onArrive(0, 1, snapshot, "bulk", 2);
  observer.onArrive(0, 1, snapshot, "bulk", 3);
  assertEquals(counts(), [1, 1]);
  observer.onArrive(1, 0, { ...done, id: 6 }, "consensus", 4);
  reset("bulk");
  assertEquals(counts(), [2, 1]);
  observer.onArrive(0, 1, snapshot, "bulk", 5);
  observer.onArrive(1, 0, done, "consensus", 6);
  reset("bulk");
  assertEquals(counts(), [2, 2]);
});

test("sim connections: what a user asks for is never doubled", async () => {
  const pair = await Pair.of({ duplicate: 1 });
  pair.taken();
  const change: Message = { type: "change-request", term: 1, id: 1, prevIndex: undefined, force: false, count: 1 };
  const frame = encodeMessage(change, [encodeChanges([{ type: "remove-server", id: "s1" }])]);
  assertEquals([pair.send(heartbeat), pair.links[0]!.send("s1", "h1:1", "consensus", frame)], [true, true]);
  await pair.pass(5000);
  const gets = (type: string) => pair.told.filter((it) => it.startsWith(`s1 gets ${type} `)).length;
  assertEquals([gets("append-request"), gets("change-request")], [2, 1]);
});
