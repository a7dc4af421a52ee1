/**
 * The bytes of a snapshot: "KV" and a version, the index of the last command, then each key in order with its item.
 *
 * @module
 */
import type { LogIndex } from "@securecollc/raft";
import type { Item } from "./machine.ts";

const MAGIC = 0x4b_56_00_01;
const HEAD_BYTES = 12;
const ITEM_HEAD_BYTES = 16;

/** Items are gathered into pieces of at least this size. */
const PIECE_BYTES = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Encodes the items that `next` gives, piece by piece, as they are asked for; `onEnd` is called in any case. */
export function encodeItems(
  index: LogIndex,
  next: () => readonly [key: string, item: Item] | undefined,
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  const head = new Uint8Array(HEAD_BYTES);
  new DataView(head.buffer).setUint32(0, MAGIC);
  new DataView(head.buffer).setFloat64(4, index);
  let parts: Uint8Array[] = [head];
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      let bytes = 0;
      while (bytes < PIECE_BYTES) {
        const entry = next();
        if (entry === undefined) {
          if (parts.length > 0) controller.enqueue(joined(parts));
          controller.close();
          return onEnd();
        }
        const [head, key, value] = encodeItem(entry[0], entry[1]);
        parts.push(head, key, value);
        bytes += head.length + key.length + value.length;
      }
      controller.enqueue(joined(parts));
      parts = [];
    },
    cancel: onEnd,
  }, { highWaterMark: 0 });
}

function encodeItem(key: string, { value, index }: Item): [Uint8Array, Uint8Array, Uint8Array] {
  const bytes = encoder.encode(key);
  const head = new Uint8Array(ITEM_HEAD_BYTES);
  const view = new DataView(head.buffer);
  view.setUint32(0, bytes.length);
  view.setUint32(4, value.length);
  view.setFloat64(8, index);
  return [head, bytes, value];
}

/** Decodes a snapshot as it comes in. */
export async function decodeItems(
  stream: ReadableStream<Uint8Array>,
  onItem: (key: string, item: Item) => void,
): Promise<LogIndex> {
  const bytes = new Bytes(stream);
  const head = await bytes.take(HEAD_BYTES);
  if (head === undefined || viewOf(head).getUint32(0) !== MAGIC) throw new Error("This is no snapshot of keys");
  const index = viewOf(head).getFloat64(4);
  for (;;) {
    const itemHead = await bytes.take(ITEM_HEAD_BYTES);
    if (itemHead === undefined) return index;
    const view = viewOf(itemHead);
    const key = await bytes.take(view.getUint32(0));
    const value = await bytes.take(view.getUint32(4));
    if (key === undefined || value === undefined) throw new Error("The snapshot of keys is cut off");
    onItem(decoder.decode(key), { value: value.slice(), index: view.getFloat64(8) });
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Exact numbers of bytes out of a stream of pieces. */
class Bytes {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next bytes; undefined at the end. */
  async take(count: number): Promise<Uint8Array | undefined> {
    while (this.#piece.length < count || (count > 0 && this.#piece.length === 0)) {
      const { done, value } = await this.#reader.read();
      if (done) {
        if (this.#piece.length > 0) throw new Error("The snapshot of keys is cut off");
        return undefined;
      }
      this.#piece = this.#piece.length === 0 ? value : joined([this.#piece, value]);
    }
    const taken = this.#piece.subarray(0, count);
    this.#piece = this.#piece.subarray(count);
    return taken;
  }
}
