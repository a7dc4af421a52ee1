/**
 * The StreamLayer port: what an adapter supplies so that src/transport can frame, dial and limit over it.
 *
 * @module
 */

/** One duplex byte stream to somewhere. */
export interface Stream {
  /**
   * Bytes that came in. Called for each chunk, in order; the chunk belongs to the receiver. Set once, before the
   * first turn ends; null means the end of the stream, with the error's text when there was one.
   */
  start(onChunk: (chunk: Uint8Array | null, error?: string) => void): void;
  /**
   * Queues bytes in order. Returns false when the stream's own buffer is above its mark: `onDrain` is called once it
   * is below again. Parts are not changed by the caller afterwards. Ignored after close.
   */
  write(parts: readonly Uint8Array[]): boolean;
  /** Called when a full buffer has emptied. */
  onDrain: (() => void) | undefined;
  /** Bytes queued and not yet handed to the system. */
  readonly queuedBytes: number;
  /** Ends the stream at once; idempotent. */
  close(): void;
  /** Stops and restarts `onChunk`, for back-pressure. */
  pause(): void;
  resume(): void;
  /** For logs. */
  readonly remoteAddress: string;
  /** The identity proved by the peer's certificate, when there is one. */
  readonly peerIdentity?: string | undefined;
}

/** Listens and dials. */
export interface StreamLayer {
  /** Binds; the returned address has the real port when 0 was asked for. */
  listen(onStream: (stream: Stream) => void): Promise<{ readonly address: string; close(): Promise<void> }>;
  /** Dials `host:port`. Rejects with an Error whose message says why (`ECONNREFUSED`, `timed out`). */
  dial(address: string, options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<Stream>;
}
