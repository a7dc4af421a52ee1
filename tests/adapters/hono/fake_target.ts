import type { AdminTarget } from "../../../adapters/hono/mod.ts";

type Status = AdminTarget["status"];
type Metrics = ReturnType<AdminTarget["metrics"]>;

/** A server that says what it is told to. */
export function fakeTarget(status: Partial<Status> = {}, metrics: Partial<Metrics> = {}): AdminTarget {
  const unused = (): never => {
    throw new Error("nobody expects this call");
  };
  return {
    status: { ...STATUS, ...status },
    metrics: () => ({ ...METRICS, ...metrics }),
    leader: undefined,
    configuration: { index: 1, committed: true, servers: STATUS.servers },
    ...{
      stats: unused,
      doctor: unused,
      events: unused,
      reloadConfig: unused,
      snapshot: unused,
      snapshots: unused,
      restore: unused,
      installSnapshot: unused,
    },
    ...{ addVoter: unused, addNonvoter: unused, demoteVoter: unused, removeServer: unused, changeMembership: unused },
    ...{ transferLeadership: unused, verifyLeader: unused, barrier: unused, drain: unused },
  };
}

const STATUS: Status = {
  id: "a",
  clusterId: "test",
  role: "follower",
  term: 3,
  leader: "b",
  votedFor: "b",
  commitIndex: 41,
  appliedIndex: 40,
  firstIndex: 1,
  lastIndex: 42,
  durableIndex: 42,
  damaged: [],
  configurationIndex: 1,
  isRemoved: false,
  lastContactMs: 12,
  servers: [
    { id: "a", address: "127.0.0.1:7001", suffrage: "voter", connected: true },
    { id: "b", address: "127.0.0.1:7002", suffrage: "voter", connected: true },
  ],
};

const METRICS: Metrics = {
  role: "follower",
  term: 3,
  hasLeader: true,
  lastIndex: 42,
  commitIndex: 41,
  appliedIndex: 40,
  elections: 1,
  leaderChanges: 2,
  proposals: 30,
  proposalsFailed: 4,
  proposalsPending: 5,
  proposalsPendingBytes: 600,
  reads: 7,
  protocolErrors: 8,
  sendsDropped: 9,
  syncMs: { boundsMs: [0.05, 0.1, 0.2], counts: [1, 2, 0, 3], sumMs: 12.5, count: 6 },
  commitMs: { boundsMs: [0.05, 0.1, 0.2], counts: [0, 0, 0, 0], sumMs: 0, count: 0 },
  stagesMs: {
    appended: { boundsMs: [0.1], counts: [3, 1], sumMs: 0.5, count: 4 },
    durable: { boundsMs: [0.1], counts: [1, 3], sumMs: 4, count: 4 },
    replicated: { boundsMs: [0.1], counts: [0, 4], sumMs: 6, count: 4 },
    committed: { boundsMs: [0.1], counts: [0, 4], sumMs: 7, count: 4 },
    applied: { boundsMs: [0.1], counts: [0, 4], sumMs: 8, count: 4 },
    answered: { boundsMs: [0.1], counts: [0, 3], sumMs: 9, count: 3 },
  },
  peers: [],
};

type Kept = Awaited<ReturnType<AdminTarget["snapshots"]>>[number];

/** A snapshot with that name whose stream gives single bytes. */
export function keptSnapshot(id: string, { bytes = 1 }: { readonly bytes?: number } = {}): Kept {
  const about = { index: 7, term: 2, timeMs: 5, configurationIndex: 1, configuration: { servers: [] } };
  const open = () => {
    let at = 0;
    return new ReadableStream<Uint8Array>({
      pull: (controller) => at++ < bytes ? controller.enqueue(new Uint8Array(1)) : controller.close(),
    }, { highWaterMark: 0 });
  };
  return { meta: { id, version: 1, bytes, checksum: 9, ...about }, open };
}
