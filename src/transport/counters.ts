/**
 * What a transport counts, for metrics.
 *
 * @module
 */

/** Counts since the transport was opened. */
export interface TransportCounters {
  /** Frames that were taken by `send`. */
  readonly framesSent: number;
  /** Frames that were handed to a handler. */
  readonly framesReceived: number;
  /** Bytes given to streams, headers and pings included. */
  readonly bytesSent: number;
  /** Bytes that came out of streams. */
  readonly bytesReceived: number;
  /** Frames that `send` did not take because there was no connection. */
  readonly framesUnconnected: number;
  /** Frames that `send` did not take because the queue was full. */
  readonly framesRejected: number;
  /** Dials that reached nobody. */
  readonly dialsFailed: number;
  /** Handshakes that either side refused. */
  readonly handshakesRefused: number;
  /** Connections closed because the other side broke the protocol. */
  readonly protocolErrors: number;
  /** Incoming connections closed at once because too many were waiting for their handshake. */
  readonly connectionsRefused: number;
}

/** The same, to be counted up. */
export type MutableCounters = { -readonly [Name in keyof TransportCounters]: number };

/** All counts at zero. */
export function newCounters(): MutableCounters {
  return {
    framesSent: 0,
    framesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    framesUnconnected: 0,
    framesRejected: 0,
    dialsFailed: 0,
    handshakesRefused: 0,
    protocolErrors: 0,
    connectionsRefused: 0,
  };
}
