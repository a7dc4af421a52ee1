/**
 * What happened, as a hash that tells two runs apart and, on request, as the last events in words.
 *
 * @module
 */

/** Events that are told. */
const eventsMax = 50;

/** A running hash of 64 bits over numbers, and the last events in words. */
export class Trace {
  #high = 0x6a09e667 | 0;
  #low = 0xbb67ae85 | 0;
  /** The lines of each event, the first of which names it. */
  #events: string[][] | undefined;

  readonly #onLine: ((line: string) => void) | undefined;

  /**
   * Keeps text only when asked to: it costs more than the run itself.
   *
   * @param onLine Told of every line as soon as there is one.
   */
  constructor(keepsLines = false, onLine?: (line: string) => void) {
    this.#onLine = onLine;
    this.#events = keepsLines ? [] : undefined;
  }

  /** Whether {@linkcode Trace.say} keeps anything. */
  get keepsLines(): boolean {
    return this.#events !== undefined;
  }

  /** Adds a safe integer. */
  add(value: number): void {
    const mixed = Math.imul(this.#low ^ (value | 0) ^ Math.imul((value / 2 ** 32) | 0, 0x27d4eb2f), 0x85ebca6b);
    this.#low = (this.#high ^ (mixed >>> 15)) + mixed | 0;
    this.#high = Math.imul(this.#high ^ (mixed << 7 | mixed >>> 25), 0xc2b2ae35) + value | 0;
  }

  /** Adds text. */
  addText(text: string): void {
    let hash = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    this.add(hash);
  }

  /** An event begins; the oldest goes. */
  begin(line: () => string): void {
    if (this.#events === undefined) return;
    const first = line();
    this.#onLine?.(first);
    this.#events.push([first]);
    if (this.#events.length > eventsMax * 40) this.#events.splice(0, eventsMax * 20);
  }

  /** Keeps a line about what comes of the event. */
  say(line: () => string): void {
    const event = this.#events?.at(-1);
    if (event === undefined) return;
    const next = line();
    this.#onLine?.(next);
    event.push(next);
  }

  /** The last events, the oldest first. */
  lines(count: number = eventsMax): readonly string[] {
    return this.#events?.slice(-count).flat() ?? [];
  }

  /** 16 hexadecimal digits over all that was added. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }
}
