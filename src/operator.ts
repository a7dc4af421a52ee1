/**
 * What operators do with a running server: other servers, another leader, a proof of leadership.
 *
 * @module
 */
import { checkBoolean, checkObject, checkOptions, checkWhole, nameOf, signalOf } from "./checks.ts";
import type { Calls } from "./driver/calls.ts";
import type { Environment } from "./driver/environment.ts";
import type { Snapshots } from "./driver/snapshots.ts";
import type { LeaderHint } from "./errors.ts";
import type { ChangeOptions, WaitOptions } from "./raft.ts";
import type { ConfigurationChange, LogIndex, ServerAddress, ServerId } from "./types.ts";
import { Waiter } from "./waiter.ts";
import { problemOfChanges } from "./wire/change_codec.ts";
import { problemOfId } from "./wire/configuration.ts";

/**
 * The id that `addPeer` gives to a server it knows by its address alone: what no id may hold becomes `_`.
 *
 * @throws {TypeError} When it is no text.
 */
export function peerId(address: ServerAddress): ServerId {
  if (typeof address !== "string") {
    throw new TypeError(`Cannot change the servers as a peer's address must be text, not ${nameOf(address)}`);
  }
  return address.replace(/[^A-Za-z0-9._-]/g, "_");
}

/** One server's. */
export class Operator {
  readonly #calls: Calls;
  readonly #snapshots: Pick<Snapshots<never, never>, "install">;
  readonly #environment: Environment;

  /** Takes what waits for answers, and the clock. */
  constructor(calls: Calls, snapshots: Pick<Snapshots<never, never>, "install">, environment: Environment) {
    this.#calls = calls;
    this.#snapshots = snapshots;
    this.#environment = environment;
  }

  /** See {@linkcode Raft.addVoter} and {@linkcode Raft.addNonvoter}. */
  add(
    type: "add-voter" | "add-nonvoter",
    id: ServerId,
    address: ServerAddress,
    options?: ChangeOptions & { readonly priority?: number },
  ): Promise<{ readonly index: LogIndex }> {
    return this.change([{ type, id, address, priority: options?.priority }], options);
  }

  /** See {@linkcode Raft.changeMembership}. */
  async change(
    changes: readonly ConfigurationChange[],
    options: ChangeOptions = {},
  ): Promise<{ readonly index: LogIndex }> {
    checkOptions("change the servers", options);
    const { prevIndex, force = false } = options;
    checkBoolean("change the servers", "force", force);
    if (!Array.isArray(changes)) {
      throw new TypeError(`Cannot change the servers as the changes must be an array, not ${nameOf(changes)}`);
    }
    for (const change of changes) checkObject("change the servers", "each change", change);
    // What was checked is what is made, whatever getters give.
    const copy = changes.map((change) => ({ ...change }));
    const problem = problemOfChanges(copy);
    if (problem !== undefined) throw new TypeError(`Cannot change the servers: ${problem}`);
    checkWhole("change the servers", "prevIndex", prevIndex);
    const index = await this.#call<LogIndex>(options, (waiter) => {
      this.#calls.administration.change(Object.assign(waiter, { changes: copy, prevIndex, force }));
    });
    return { index };
  }

  /** See {@linkcode Raft.transferLeadership}. */
  transfer(to: ServerId | undefined, options?: WaitOptions): Promise<LeaderHint> {
    const problem = to === undefined ? undefined : problemOfId(to);
    // Its leader would take the message that names it for damaged.
    if (problem !== undefined) return Promise.reject(new TypeError(`Cannot hand leadership over: ${problem}`));
    return this.#call(options, (waiter) => this.#calls.administration.transfer(Object.assign(waiter, { to })));
  }

  /** See {@linkcode Raft.verifyLeader}. */
  verify(options?: WaitOptions): Promise<void> {
    return this.#call(options, (waiter) => this.#calls.verify(waiter));
  }

  /** See {@linkcode Raft.installSnapshot}; this server follows somebody by now. */
  async install(options?: WaitOptions): Promise<{ readonly index: LogIndex }> {
    return { index: await this.#call<LogIndex>(options, (waiter) => this.#snapshots.install(waiter)) };
  }

  #call<T>(options: WaitOptions | undefined, start: (waiter: Waiter<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const signal = signalOf("ask the leader", options);
      signal?.throwIfAborted();
      start(new Waiter(this.#environment.now(), signal, resolve, reject));
    });
  }
}
