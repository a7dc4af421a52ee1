/**
 * Options of a transport over streams, and their defaults.
 *
 * @module
 */
import { checkFunction, checkNumber, checkWhole, TIMER_MS_MAX } from "../checks.ts";
import type { ServerAddress } from "../types.ts";
import { checkClock, type Clock, systemClock } from "./clock.ts";
import type { AddressResolver } from "./resolver.ts";

/** Options of every transport over streams. Times are milliseconds. */
export interface NetworkOptions {
  /**
   * Where the others can dial this server, when that isn't where it listens.
   *
   * @default The address it listens at; one that stands for all interfaces is refused.
   */
  readonly advertise?: ServerAddress;
  /**
   * Where a server is to be dialled, asked before every dial: for servers whose addresses change while their ids stay.
   * With undefined, an error (which is logged), or nothing within `dialTimeoutMs`, it is where the configuration says.
   *
   * @default Where the configuration says.
   */
  readonly resolveAddress?: AddressResolver;
  /**
   * Longest frame that is taken from a peer, in bytes. A server whose `commandBytesMax` or `appendBytesMax` doesn't fit
   * does not start with it.
   *
   * @default {8388608}
   */
  readonly frameBytesMax?: number;
  /**
   * Bytes that wait to be sent to one peer on one channel; what would exceed them is not taken.
   *
   * @default {16777216}
   */
  readonly sendQueueBytesMax?: number;
  /**
   * How long a dial may take.
   *
   * @default {3000}
   */
  readonly dialTimeoutMs?: number;
  /**
   * How long a handshake may take.
   *
   * @default {3000}
   */
  readonly handshakeTimeoutMs?: number;
  /**
   * Incoming connections that have not shaken hands; more are closed at once.
   *
   * @default {64}
   */
  readonly handshakesMax?: number;
  /**
   * The same from one host.
   *
   * @default {16}
   */
  readonly handshakesPerHostMax?: number;
  /**
   * Established connections with servers that are not among the peers. An empty server knows no peers.
   *
   * @default {64}
   */
  readonly strangersMax?: number;
  /**
   * Wait after the first failed dial, which doubles with each further one.
   *
   * @default {50}
   */
  readonly redialMinMs?: number;
  /**
   * Longest wait between dials.
   *
   * @default {2000}
   */
  readonly redialMaxMs?: number;
  /**
   * After so long without sending, a ping shows the peer that we live.
   *
   * @default {1000}
   */
  readonly pingMs?: number;
  /**
   * After so long without a byte from a peer, its connection is given up.
   *
   * @default {4000}
   */
  readonly silenceMs?: number;
  /**
   * After so long without data, a bulk connection, or one to a server that is no peer, is closed.
   *
   * @default {60000}
   */
  readonly idleMs?: number;
  /**
   * Time and timers.
   *
   * @default The runtime's.
   */
  readonly clock?: Clock;
  /**
   * Numbers in [0, 1), for waits and for telling connections apart.
   *
   * @default {Math.random}
   */
  readonly random?: () => number;
}

/** The same with defaults; `advertise` is about listening alone. */
export type NetworkSettings =
  & Required<Omit<NetworkOptions, "advertise" | "resolveAddress">>
  & Pick<NetworkOptions, "resolveAddress">;

const WHAT = "make a transport";

const DEFAULTS: NetworkSettings = {
  frameBytesMax: 8 * 2 ** 20,
  sendQueueBytesMax: 16 * 2 ** 20,
  dialTimeoutMs: 3_000,
  handshakeTimeoutMs: 3_000,
  handshakesMax: 64,
  handshakesPerHostMax: 16,
  strangersMax: 64,
  redialMinMs: 50,
  redialMaxMs: 2_000,
  pingMs: 1_000,
  silenceMs: 4_000,
  idleMs: 60_000,
  clock: systemClock,
  random: Math.random,
};

/**
 * The options, with defaults, each checked.
 *
 * @throws {RangeError} When a number is out of its bounds; names the option, the bounds and the current value.
 * @throws {TypeError} When another one is not what it must be.
 */
export function settingsOf(options: NetworkOptions): NetworkSettings {
  // An option that is present but undefined means its default.
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const settings: NetworkSettings = { ...DEFAULTS, ...Object.fromEntries(given) };
  for (const [name, value] of Object.entries(settings)) {
    if (name.endsWith("Ms")) checkNumber(WHAT, name, value, TIMER_MS_MAX);
    else if (name.endsWith("Max")) checkWhole(WHAT, name, value);
  }
  checkFunction(WHAT, "random", settings.random);
  checkFunction(WHAT, "resolveAddress", settings.resolveAddress);
  checkClock(WHAT, settings.clock);
  return settings;
}
