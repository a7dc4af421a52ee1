/**
 * A member of a cluster of processes that lives in the test's own: its sessions outlive the death of all others.
 *
 * @module
 */
import { tcp } from "../../adapters/node/mod.ts";
import { type Command, KvMachine, type Result } from "../../examples/kv/machine.ts";
import { createRaft, memoryStore, type Raft, type Session } from "../../mod.ts";
import type { Count } from "./judgement.ts";
import { asked } from "./members.ts";
import type { Cluster } from "./process.ts";
import type { Route } from "./proxy.ts";
import { until } from "./until.ts";

const encoder = new TextEncoder();

/** A server without a vote. */
export class SessionMember {
  readonly #raft: Raft<Command, Result>;

  private constructor(raft: Raft<Command, Result>) {
    this.#raft = raft;
  }

  /** Starts it and waits until it has the log. */
  static async join({ servers }: Cluster, { id, port, target }: Route): Promise<SessionMember> {
    const address = `127.0.0.1:${port}`;
    const raft = await createRaft<Command, Result>({
      id,
      machine: new KvMachine(),
      store: memoryStore(),
      transport: tcp({ listen: `127.0.0.1:${target}`, advertise: address }),
    });
    try {
      await until(`${id} to be a member`, async () => {
        const answer = await asked("POST", servers[0]!, "servers", { id, address, suffrage: "nonvoter" });
        return answer?.status === 200;
      });
      await raft.wait({ leader: true });
    } catch (error) {
      await raft.shutdown();
      throw error;
    }
    return new SessionMember(raft);
  }

  /** See {@linkcode Raft.session}. */
  session(): Promise<Session<Command, Result>> {
    return this.#raft.session();
  }

  /** Whoever waits is told. */
  leave(): Promise<void> {
    return this.#raft.shutdown();
  }
}

/**
 * Counts by one. The session sends a command again by itself until it knows what became of it; were one applied twice, or not at
 * all, it or the next one would find another number.
 */
export async function countOnce(session: Session<Command, Result>, count: Count): Promise<void> {
  const { key, value } = count;
  const expect = value === 0 ? null : encoder.encode(String(value));
  const isSwapped = await session.apply({ op: "cas", key, expect, value: encoder.encode(String(value + 1)) });
  if (isSwapped) count.value++;
  else count.refused++;
}
