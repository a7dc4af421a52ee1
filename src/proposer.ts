/**
 * Callers' commands on their way into the log.
 *
 * @module
 */
import { checkNumber, nameOf, signalOf, TIMER_MS_MAX } from "./checks.ts";
import type { Calls } from "./driver/calls.ts";
import type { Environment } from "./driver/environment.ts";
import { Proposal, type ProposalEntry, type ProposalResult } from "./driver/proposal.ts";
import { namingLeader } from "./errors.ts";
import type { Codec } from "./machine.ts";
import type { ApplyOptions } from "./raft.ts";
import { EntryType } from "./types.ts";
import { RecordFlag } from "./wire/record.ts";

/** What a proposer needs of its server. */
export interface ProposerHost<Command> {
  readonly calls: Calls;
  readonly codec: Codec<Command>;
  /** In force now; see {@linkcode RaftSettings}. */
  readonly settings: { readonly commandBytesMax: number; readonly enqueueTimeoutMs: number };
  readonly environment: Environment;
  /** Throws what a caller of a server that is shut down gets. */
  throwIfShutdown(): void;
}

/** One server's. */
export class Proposer<Command> {
  readonly #host: ProposerHost<Command>;

  /** Takes what it needs. */
  constructor(host: ProposerHost<Command>) {
    this.#host = host;
  }

  /**
   * A command as the entry that it becomes.
   *
   * @throws {TypeError} The codec gave no bytes, or the extensions are none.
   * @throws {RangeError} It is too large, or they are.
   */
  encode(command: Command, extensions?: Uint8Array): ProposalEntry {
    const { codec, settings: { commandBytesMax } } = this.#host;
    const raw = command instanceof Uint8Array;
    const payload: unknown = raw ? command : codec.encode(command);
    if (!(payload instanceof Uint8Array)) {
      throw new TypeError(
        `Cannot apply the command as the codec must encode it to a Uint8Array, not ${nameOf(payload)}`,
      );
    }
    if (payload.length > commandBytesMax) {
      throw new RangeError(
        `Cannot apply a command of ${payload.length} bytes as 'commandBytesMax' is ${commandBytesMax}: send it in parts`,
      );
    }
    checkExtensions(extensions);
    return { type: EntryType.command, flags: raw ? RecordFlag.raw : 0, payload, extensions };
  }

  /**
   * Resolves with what `resultOf` makes of the entry's result, once it is applied on this server.
   *
   * @param options A key in them is not looked at: it is part of the entry.
   * @param caller See {@linkcode Proposal.caller}.
   * @throws {TypeError} The options, or the signal in them, are none.
   * @throws {RangeError} `enqueueTimeoutMs` is no time.
   */
  propose<T>(
    encode: () => ProposalEntry,
    resultOf: (result: ProposalResult) => T,
    options: ApplyOptions = {},
    caller?: number,
  ): Promise<T> {
    const { calls } = this.#host;
    return new Promise((resolve, reject) => {
      const signal = signalOf("apply the command", options);
      const { enqueueTimeoutMs = this.#host.settings.enqueueTimeoutMs } = options;
      checkNumber("apply the command", "enqueueTimeoutMs", enqueueTimeoutMs, TIMER_MS_MAX);
      // The codec is the user's code, and may end the signal or the server.
      const entry = encode();
      signal?.throwIfAborted();
      this.#host.throwIfShutdown();
      const onAbort = signal === undefined ? undefined : () => proposal.reject(signal.reason);
      const proposal = new Proposal(entry, calls.arrivalTime(), (result) => {
        if (onAbort !== undefined) signal!.removeEventListener("abort", onAbort);
        try {
          resolve(resultOf(result));
        } catch (error) {
          reject(error);
        }
      }, (error) => {
        if (onAbort !== undefined) signal!.removeEventListener("abort", onAbort);
        reject(namingLeader(error, calls.leader));
      }, { caller, enqueueTimeoutMs });
      if (onAbort !== undefined) signal!.addEventListener("abort", onAbort, { once: true });
      calls.propose(proposal);
    });
  }

  /**
   * Has an entry follow that ends what is in the log: as long as this server leads nothing is in its way, not even a drain,
   * which may be given up.
   */
  owe(entry: ProposalEntry): void {
    const { calls } = this.#host;
    calls.propose(new Proposal(entry, calls.arrivalTime(), () => {}, () => {}, { isOwed: true }));
  }
}

/** The most bytes of an entry's extensions. */
const extensionBytesMax = 65_536;

function checkExtensions(extensions: Uint8Array | undefined): void {
  if (extensions === undefined) return;
  if (!(extensions instanceof Uint8Array)) {
    throw new TypeError(`Cannot apply the command as 'extensions' must be a Uint8Array, not ${nameOf(extensions)}`);
  }
  if (extensions.length <= extensionBytesMax) return;
  throw new RangeError(
    `Cannot apply the command as 'extensions' must have at most ${extensionBytesMax} bytes, not ${extensions.length}`,
  );
}
