/**
 * The StreamLayer port: what an adapter supplies so that {@linkcode networkTransport} can frame, dial and limit over it.
 *
 * @module
 */

/** One duplex stream of bytes to somewhere. */
export interface Stream {
  /**
   * Starts reading. Called once, in the turn in which the stream was handed over.
   *
   * @param onChunk Takes the bytes that come in, in order, never inside `write` or `close`. A chunk belongs to the
   * receiver: it is not written to again. Null is the end, with the reason when it was an error. Not called after
   * `close`.
   */
  start(onChunk: (chunk: Uint8Array | null, error?: string) => void): void;
  /**
   * Queues bytes, in order. The parts are not changed by the caller afterwards. Ignored after the end or `close`.
   */
  write(parts: readonly Uint8Array[]): void;
  /** Bytes that were written and that the system has not taken yet. */
  readonly queuedBytes: number;
  /** Ends the stream at once; what is queued may be lost. Idempotent. */
  close(): void;
  /** Where it leads, for logs and limits: `127.0.0.1:51234`. */
  readonly remoteAddress: string;
  /** The server id that the other side's certificate proves; undefined when nothing proves one. */
  readonly peerIdentity?: string | undefined;
}

/** Listens and dials. */
export interface StreamLayer {
  /**
   * Binds and listens. Rejects with an Error that says what to do.
   *
   * @returns The bound address, with the real port when 0 was asked for. `close` ends the listener, not the streams.
   */
  listen(onStream: (stream: Stream) => void): Promise<{ readonly address: string; close(): Promise<void> }>;
  /**
   * Dials `host:port`; names are resolved at every call. Rejects with an Error whose message says why
   * (`connection refused`, `timed out`); after the signal was aborted no stream is left open.
   */
  dial(address: string, options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<Stream>;
}
