/**
 * Changes as server-sent events. Each event's id is the index of its log entry, the same on every server, so a client
 * that reconnects, to any of them, goes on where it was.
 *
 * @module
 */
import type { LogIndex } from "@securecollc/raft";
import { toJson } from "./body.ts";
import type { Change, KvMachine } from "./machine.ts";

/** What to watch. */
export interface WatchOptions {
  /** Only keys that start with it. */
  readonly prefix: string;
  /** Begin after this index instead of now. */
  readonly after: LogIndex | undefined;
  /** Ends the stream when the server stops. A client that goes cancels it. */
  readonly signal?: AbortSignal | undefined;
}

// What may wait for a slow client. One that is slower is cut off and can come back where it was.
const QUEUE_BYTES_MAX = 4 * 1024 * 1024;

// A proxy or runtime may take a silent connection for a dead one, and a gone client shows when it is written to.
const KEEP_ALIVE_MS = 5_000;

const encoder = new TextEncoder();

/** A response that goes on until the client leaves or the server stops. */
export function watchResponse(machine: KvMachine, options: WatchOptions): Response {
  const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store" };
  return new Response(watchStream(machine, options), { headers });
}

function watchStream(machine: KvMachine, { prefix, after, signal }: WatchOptions): ReadableStream<Uint8Array> {
  let leave = () => {};
  const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    let isOpen = true;
    const send = (bytes: Uint8Array) => {
      if (!isOpen) return;
      controller.enqueue(bytes);
      if (controller.desiredSize! <= 0) close();
    };
    const onChange = (change: Change) => {
      if (isOpen && change.key.startsWith(prefix)) send(encodeChange(change));
    };
    const close = () => {
      leave();
      controller.close();
    };
    const keepAlive = setInterval(() => send(encoder.encode(":\n\n")), KEEP_ALIVE_MS);
    let unwatch: (() => void) | undefined;
    leave = () => {
      isOpen = false;
      leave = () => {};
      clearInterval(keepAlive);
      unwatch?.();
      signal?.removeEventListener("abort", close);
    };
    const { index } = machine;
    // Its id must not be beyond what the client has seen, or what it missed would stay missed if the stream broke here.
    send(encodeEvent("ready", after ?? index, { index: after ?? index }));
    unwatch = machine.watch(after, onChange);
    if (unwatch === undefined) {
      send(encodeEvent("reset", index, { index }));
      unwatch = machine.watch(undefined, onChange);
    }
    // What it missed may have been too much already.
    if (!isOpen) unwatch?.();
    else if (signal?.aborted) close();
    else signal?.addEventListener("abort", close, { once: true });
  };
  const strategy = new ByteLengthQueuingStrategy({ highWaterMark: QUEUE_BYTES_MAX });
  return new ReadableStream({ start, cancel: () => leave() }, strategy);
}

// A change is the same for all who watch.
const encoded = new WeakMap<Change, Uint8Array>();

function encodeChange(change: Change): Uint8Array {
  const known = encoded.get(change);
  if (known !== undefined) return known;
  const { key, index, value } = change;
  const bytes = value === undefined
    ? encodeEvent("delete", index, { key, index })
    : encodeEvent("put", index, { key, index, value: toJson(value) });
  encoded.set(change, bytes);
  return bytes;
}

// JSON has no line breaks, which would end the field.
function encodeEvent(event: string, id: LogIndex, data: unknown): Uint8Array {
  return encoder.encode(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
