/**
 * The last lines of a run that never ends, as another thread sees them while they are written.
 *
 * @module
 */

/** Bytes that are kept: some hundreds of events. */
const bytesMax = 2 ** 20;

/** As long as a line is ever shown. */
const lineMax = 600;

/** Where the count of all bytes is, before the bytes. */
const headBytes = 8;

/** A ring of lines in memory that threads share. */
export class LastLines {
  /** What to send to another thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #written: BigInt64Array;
  readonly #ring: Uint8Array;

  /** A new one, or another thread's. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(headBytes + bytesMax)) {
    this.buffer = buffer;
    this.#written = new BigInt64Array(buffer, 0, 1);
    this.#ring = new Uint8Array(buffer, headBytes);
  }

  /** How many bytes were written so far, also those that are not kept any more. */
  get written(): number {
    return Number(Atomics.load(this.#written, 0));
  }

  /** Adds a line. */
  write(line: string): void {
    const bytes = new TextEncoder().encode(`${line.slice(0, lineMax)}\n`);
    const at = this.written;
    for (let i = 0; i < bytes.length; i++) this.#ring[(at + i) % this.#ring.length] = bytes[i]!;
    Atomics.store(this.#written, 0, BigInt(at + bytes.length));
  }

  /** The lines of so many events, the oldest first: what comes of one is indented below it. To be asked when nobody writes. */
  of(events: number): readonly string[] {
    const { length } = this.#ring;
    const end = this.written;
    const from = Math.max(0, end - length);
    const bytes = Uint8Array.from({ length: end - from }, (_, i) => this.#ring[(from + i) % length]!);
    const lines = new TextDecoder().decode(bytes).split("\n").slice(0, -1);
    // The first one may be there in part only.
    if (from > 0) lines.shift();
    const begins = lines.flatMap((line, i) => line.startsWith(" ") ? [] : [i]);
    return lines.slice(begins.at(-events) ?? begins[0] ?? 0);
  }
}
