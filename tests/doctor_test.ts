import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { diagnose } from "../src/doctor.ts";
import type { RaftEvent } from "../src/events.ts";
import type { ConfigurationView, RaftStatus, ServerStatus } from "../src/status.ts";
import { TroubleLog } from "../src/troubles.ts";
import { test } from "./harness.ts";
import { withCluster } from "./virtual_cluster.ts";

const healthy: RaftStatus = {
  ...{ id: "n1", clusterId: "c", role: "follower", term: 4, leader: "n2", votedFor: undefined },
  ...{ commitIndex: 88, appliedIndex: 88, firstIndex: 1, lastIndex: 88, durableIndex: 88, damaged: [] },
  ...{ configurationIndex: 80, isRemoved: false, lastContactMs: 10, servers: [] },
};

type Event = readonly [at: number, event: RaftEvent];

interface Case {
  readonly status?: Partial<RaftStatus>;
  /** Over a voter that is connected; by default three of them. */
  readonly servers?: readonly (Partial<ServerStatus> & { readonly id: string })[];
  readonly configuration?: Partial<ConfigurationView>;
  readonly events?: readonly Event[];
}

const three = [{ id: "n1" }, { id: "n2" }, { id: "n3" }] as const;
const leads = { role: "leader", leader: "n1" } as const;
const up = (...peers: string[]): Event[] =>
  peers.map((peer): Event => [0, { type: "peer-connected", peer, address: `${peer}:1` }]);
const led: Event = [0, { type: "leader", leader: { id: "n2", address: "n2:1" }, term: 4 }];
const lost: Event = [6_000, { type: "leader", leader: undefined, term: 5 }];
const gone = (
  peer: string,
  at: number,
  reason = "ECONNREFUSED",
): Event => [at, { type: "peer-disconnected", peer, reason }];
const GB = 1e9;

/** At 20 s after the start. */
function diagnosed({ status, servers = three, configuration, events = [] }: Case) {
  const log = new TroubleLog(0);
  for (const [at, event] of [...up("n2", "n3"), led, ...events]) log.note(event, at);
  const all = servers.map((server): ServerStatus => ({
    ...{ address: `${server.id}:1`, suffrage: "voter", connected: true },
    ...server,
  }));
  const view = { index: 80, committed: true, servers: all, ...configuration };
  return diagnose({ ...healthy, ...status, servers: all }, view, log.at(20_000));
}

const cases: Record<string, readonly [Case, summary: string, findings: string]> = {
  "nothing": [{}, "healthy: n1 follows n2 in term 4, 3 servers", ""],
  "nothing on a leader": [{ status: leads }, "healthy: n1 leads in term 4, 3 servers", ""],
  "shut down": [{ status: { role: "shutdown", leader: undefined } }, "n1 is shut down", "critical shutdown n1"],
  "removed": [
    { status: { isRemoved: true, leader: undefined }, servers: [{ id: "n2" }, { id: "n3" }] },
    "n1 was removed from the cluster",
    "critical removed n1 @80",
  ],
  "of no cluster": [
    { status: { leader: undefined }, servers: [] },
    "n1 knows of no cluster",
    "critical no-configuration n1",
  ],
  "an election": [{ status: { leader: undefined }, events: [lost] }, "no leader", "critical no-leader n1"],
  "one of three away": [
    { servers: [{ id: "n1" }, { id: "n2" }, { id: "n3", connected: false }], events: [gone("n3", 19_150)] },
    "n3 unreachable for 850 ms (ECONNREFUSED); 2 of 3 voters left",
    "warning unreachable n3, warning quorum-at-risk n3",
  ],
  "one of five away leaves one to spare": [
    {
      servers: [...three, { id: "n5" }, { id: "n4", connected: false }],
      events: [gone("n4", 5_000, "closed by peer")],
    },
    "n4 unreachable for 15 s (closed by peer)",
    "warning unreachable n4",
  ],
  "two of five away": [
    { servers: [...three, { id: "n4", connected: false }, { id: "n5", connected: false }] },
    "n4 unreachable for 20 s, n5 unreachable for 20 s; 3 of 5 voters left",
    "warning unreachable n4, warning unreachable n5, warning quorum-at-risk n4 n5",
  ],
  "a nonvoter away is no vote lost": [
    { servers: [...three, { id: "n4", connected: false, suffrage: "nonvoter" }] },
    "n4 unreachable for 20 s",
    "warning unreachable n4",
  ],
  "everything at once": [
    {
      status: { leader: undefined, role: "follower" },
      servers: [{ id: "n1", matchIndex: 90 }, { id: "n2", connected: false, matchIndex: 90 }, {
        id: "n3",
        matchIndex: 5,
      }],
      configuration: { index: 88, committed: false },
      events: [
        lost,
        gone("n2", 6_000),
        [7_000, { type: "server-distrusted", server: "n3", reason: "replaced" }],
        [8_000, {
          ...{ type: "snapshot-progress", direction: "sending", peer: "n3", index: 80 },
          ...{ bytes: 1.2 * GB, total: 3 * GB },
        }],
      ],
    },
    "no leader: n2 unreachable for 14 s (ECONNREFUSED), n3 came back with an empty disk and is catching up " +
    "(1.2 of 3.0 GB); 1 of 3 voters left; a change at index 88 waits for n3",
    "critical no-leader n1, warning unreachable n2, warning distrusted n3, critical quorum-lost n2 n3, " +
    "info change-pending n3 @88",
  ],
  "an older copy of a disk, without a snapshot": [
    {
      status: leads,
      servers: [{ id: "n1" }, { id: "n2", matchIndex: 88 }, { id: "n3", matchIndex: 40, lag: 48 }],
      events: [[1, { type: "server-distrusted", server: "n3", reason: "older" }]],
    },
    "n3 came back with an older copy of its disk and is catching up (40 of 88 entries); 2 of 3 voters left",
    "warning distrusted n3, warning quorum-at-risk n3",
  ],
  "a server that was re-admitted": [
    {
      status: leads,
      events: [
        [1, { type: "server-distrusted", server: "n3", reason: "older" }],
        [2, { type: "server-readmitted", server: "n3" }],
      ],
    },
    "healthy: n1 leads in term 4, 3 servers",
    "",
  ],
  "a machine unlike the others'": [
    { events: [[1, { type: "state-diverged", peer: "n3", index: 20, agreedIndex: 10 }]] },
    "the machine of n3 differs from that of n1 at entry 20 (the same at 10)",
    "warning state-diverged n3 @20",
  ],
  "this server's machine unlike all others'": [
    {
      events: [
        [1, { type: "state-diverged", peer: "n3", index: 20, agreedIndex: 10 }],
        [2, { type: "state-diverged", peer: "n2", index: 30, agreedIndex: 0 }],
      ],
    },
    "the machine of n1 differs from those of n2, n3 at entry 20",
    "warning state-diverged n1 @20",
  ],
  "of two machines nobody knows which is right": [
    {
      servers: [{ id: "n1" }, { id: "n2" }],
      events: [[1, { type: "state-diverged", peer: "n2", index: 20, agreedIndex: 10 }]],
    },
    "the machine of n2 differs from that of n1 at entry 20 (the same at 10)",
    "warning state-diverged n2 @20",
  ],
  "a machine that is like the others again": [
    {
      events: [
        [1, { type: "state-diverged", peer: "n3", index: 20, agreedIndex: 10 }],
        [2, { type: "state-agrees", peer: "n3", index: 30 }],
      ],
    },
    "healthy: n1 follows n2 in term 4, 3 servers",
    "",
  ],
  "a silent one": [
    { status: leads, events: [[10_000, { type: "heartbeat-failed", peer: "n2", lastContactMs: 500 }]] },
    "n2 is connected but has not answered for 11 s; 2 of 3 voters left",
    "warning silent n2, warning quorum-at-risk n2",
  ],
  "one that was silent": [
    {
      status: leads,
      events: [
        [10_000, { type: "heartbeat-failed", peer: "n2", lastContactMs: 500 }],
        [10_100, { type: "heartbeat-resumed", peer: "n2", lastContactMs: 5 }],
      ],
    },
    "healthy: n1 leads in term 4, 3 servers",
    "",
  ],
  "a staging one": [
    { status: leads, servers: [...three, { id: "n4", suffrage: "staging", matchIndex: 8, lag: 80 }] },
    "n4 is catching up (8 of 88 entries)",
    "info catching-up n4",
  ],
  "a snapshot that comes": [
    {
      events: [[9, {
        ...{ type: "snapshot-progress", direction: "receiving", peer: "n2", index: 80, bytes: 12, total: 999 },
      }]],
    },
    "this server is being sent a snapshot by n2 (12 of 999 bytes)",
    "info catching-up n2",
  ],
  "a lag of as many entries as may be": [
    { status: leads, servers: [...three, { id: "n4", matchIndex: 88, lag: 10_000 }] },
    "healthy: n1 leads in term 4, 4 servers",
    "",
  ],
  "one entry more": [
    { status: leads, servers: [...three, { id: "n4", matchIndex: 88, lag: 10_001 }] },
    "n4 is 10001 entries behind",
    "warning lagging n4",
  ],
  "a change that just began": [
    { configuration: { index: 88, committed: false } },
    "a change at index 88 is not committed yet",
    "info change-pending  @88",
  ],
  "a joint configuration, of whose old half most are away": [
    {
      servers: [...three, { id: "n4", connected: false, suffrage: "nonvoter" }, {
        ...{ id: "n5", connected: false, suffrage: "nonvoter" },
      }],
      configuration: { index: 88, outgoing: ["n1", "n4", "n5"] },
    },
    "n4 unreachable for 20 s, n5 unreachable for 20 s; 1 of 3 voters left; " +
    "a change of several servers at index 88 waits for n4, n5",
    "warning unreachable n4, warning unreachable n5, critical quorum-lost n4 n5, info change-pending n4 n5 @88",
  ],
  "a damaged disk": [
    { status: { damaged: [{ from: 7, end: 9, isTermKnown: true }, { from: 20, end: 21, isTermKnown: true }] } },
    "3 entries of n1 from index 7 on are damaged on disk",
    "warning disk-damaged n1 @7",
  ],
  "a slow machine": [
    { status: { commitIndex: 20_089, appliedIndex: 88 } },
    "the machine of n1 is 20001 entries behind",
    "warning machine-behind n1",
  ],
  "a snapshot that failed": [
    {
      events: [[19_000, { type: "snapshot-failed", operation: "take", peer: undefined, reason: "disk full" }]],
    },
    "a snapshot could not be done (take) 1 s ago: disk full",
    "warning snapshot-failed n1",
  ],
  "a snapshot that failed, and the next one": [
    {
      events: [
        [19_000, { type: "snapshot-failed", operation: "take", peer: undefined, reason: "disk full" }],
        [19_500, { type: "snapshot-taken", index: 1, term: 1, bytes: 1 }],
      ],
    },
    "healthy: n1 follows n2 in term 4, 3 servers",
    "",
  ],
};

for (const [name, [given, summary, findings]] of Object.entries(cases)) {
  test(`diagnose(): ${name}`, () => {
    const diagnosis = diagnosed(given);
    assertEquals(diagnosis.summary, summary);
    const texts = diagnosis.findings.map(({ severity, code, servers, index }) =>
      `${severity} ${code} ${servers.join(" ")}${index === undefined ? "" : ` @${index}`}`
    );
    assertEquals(texts.join(", "), findings);
    assertEquals(diagnosis.healthy, diagnosis.findings.every(({ severity }) => severity === "info"));
    for (const { action } of diagnosis.findings) assert(action.length > 10);
  });
}

test("diagnose() says how many have to come back, and for how long each trouble lasts", () => {
  const away = [{ id: "n1" }, { id: "n2", connected: false }, { id: "n3", connected: false }];
  const { findings } = diagnosed({ status: { leader: undefined }, servers: away, events: [lost, gone("n3", 12_000)] });
  assertEquals(findings.map(({ forMs }) => forMs), [14_000, 20_000, 8_000, undefined]);
  assertStringIncludes(findings.at(-1)!.action, "bring back 1 of n2, n3;");
});

test("TroubleLog remembers a bounded number of peers, the latest", () => {
  const log = new TroubleLog(0);
  for (let i = 0; i <= 64; i++) {
    log.note({ type: "peer-trouble", peer: `p${i}`, kind: "dial-failed", reason: "no" }, i);
  }
  assertEquals([log.at(100).of("p0").reason, log.at(100).of("p1").reason, log.at(100).of("p64").reason], [
    ...[undefined, "no", "no"],
  ]);
});

test("Raft.doctor() sees a cluster fall apart and come back", () =>
  withCluster(3, async (cluster) => {
    const { leader, followers: [follower, other] } = await cluster.elect();
    await cluster.environment.advance(500);
    assertEquals(leader.doctor().summary, `healthy: ${leader.id} leads in term ${leader.currentTerm}, 3 servers`);
    await cluster.settled(other!.shutdown());
    await cluster.environment.advance(1_000);
    assertEquals([leader.doctor().healthy, leader.doctor().findings.map(({ code }) => code)], [
      false,
      ["unreachable", "quorum-at-risk"],
    ]);
    await cluster.settled(follower!.shutdown());
    await cluster.environment.advance(10_000);
    const { findings, summary } = leader.doctor();
    assertEquals(findings.map(({ code }) => code), ["no-leader", "unreachable", "unreachable", "quorum-lost"]);
    assertStringIncludes(summary, "no leader: ");
    assertStringIncludes(summary, "; 1 of 3 voters left");
    await cluster.start(follower!.id);
    await cluster.start(other!.id);
    await cluster.leader();
    await cluster.environment.advance(3_000);
    for (const id of cluster.ids) assertEquals([id, cluster.raft(id).doctor().findings], [id, []]);
    await cluster.settled(cluster.raft("a").shutdown());
    assertEquals(cluster.raft("a").doctor().summary, "a is shut down");
  }));
