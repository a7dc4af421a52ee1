/**
 * How long nobody writes when the leader's process is killed, or halted.
 *
 * @module
 */
import { type Child, pause } from "./processes.ts";

/** One server. */
export interface Member {
  readonly id: string;
  readonly port: number;
  child: Child;
}

/** A cluster whose leader may be killed. */
export interface Killable {
  readonly members: readonly Member[];
  /** The server that leads, once one does. */
  leader(): Promise<Member>;
  /** Tries one write there: whether it was accepted. */
  accepts(member: Member): Promise<boolean>;
  /** Starts a killed server again. */
  restart(member: Member): void;
  /** Whether a server that was started again is part of the cluster. */
  isBack(member: Member): Promise<boolean>;
  /** Ends its processes. */
  stop(): Promise<void>;
}

const writeWithinMs = 20_000;
const tryEveryMs = 5;
/** As many as begin while one over HTTP waits for its answer, and may be given up. */
const openTriesMax = 200;
/** How long a try over HTTP may take. */
export const tryWithinMs: number = openTriesMax * tryEveryMs;
const triesForBack = 400;
/** After a server is back, so that trials do not lie in each other's shadow: what was promised before its start is over. */
const restMs = 1_000;

/** What becomes of a leader: its connections are closed, or stay open while it is silent. */
export type End = "SIGKILL" | "SIGSTOP";

/**
 * From that end of the leader to the first write that another server accepts, milliseconds, that many times. Stops the
 * cluster.
 */
export async function measureFailover(cluster: Killable, trials: number, end: End = "SIGKILL"): Promise<number[]> {
  try {
    const times: number[] = [];
    for (let trial = 0; trial < trials; trial++) {
      const leader = await cluster.leader();
      if (!await cluster.accepts(leader)) throw new Error("Cannot measure: the leader accepts no write");
      if (end === "SIGSTOP") leader.child.halt();
      else leader.child.kill();
      const from = performance.now();
      await firstWrite(cluster, cluster.members.filter((member) => member !== leader));
      times.push(performance.now() - from);
      leader.child.kill();
      await leader.child.gone;
      cluster.restart(leader);
      await untilBack(cluster, leader);
    }
    return times;
  } finally {
    await cluster.stop();
  }
}

/**
 * Tries on all until one says yes. A try may hang where a command waits for a leader, or was lost with the old one, so
 * new ones begin without waiting for those before.
 */
async function firstWrite(cluster: Killable, members: readonly Member[]): Promise<void> {
  const endsAt = performance.now() + writeWithinMs;
  let isOver = false;
  await Promise.any(members.map(async (member) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let open = 0;
    const attempt = async () => {
      open += 1;
      const accepted = await cluster.accepts(member).catch(() => false);
      open -= 1;
      if (!accepted) return;
      isOver = true;
      resolve();
    };
    while (!isOver && performance.now() < endsAt) {
      if (open < openTriesMax) void attempt();
      await Promise.race([promise, pause(tryEveryMs)]);
    }
    if (!isOver) throw new Error("Cannot measure: no write was accepted within 20 s");
  }));
}

async function untilBack(cluster: Killable, member: Member): Promise<void> {
  for (let tries = 0; tries < triesForBack; tries++) {
    if (await cluster.isBack(member)) return pause(restMs);
    await pause(25);
  }
  throw new Error("Cannot measure: a server that was started again did not come back within 10 s");
}
