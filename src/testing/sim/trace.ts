/**
 * What happened, as a hash that tells two runs apart and, on request, as the last lines of text.
 *
 * @module
 */

/** Lines kept. */
const linesMax = 50;

/** A running hash of 64 bits over numbers, and the last lines. */
export class Trace {
  #high = 0x6a09e667 | 0;
  #low = 0xbb67ae85 | 0;
  #lines: string[] | undefined;

  /** Keeps text only when asked to: it costs more than the run itself. */
  constructor(keepsLines = false) {
    this.#lines = keepsLines ? [] : undefined;
  }

  /** Whether {@linkcode Trace.say} keeps anything. */
  get keepsLines(): boolean {
    return this.#lines !== undefined;
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

  /** Keeps a line; the oldest goes. */
  say(line: () => string): void {
    if (this.#lines === undefined) return;
    this.#lines.push(line());
    if (this.#lines.length > linesMax * 40) this.#lines.splice(0, linesMax * 20);
  }

  /** The last lines, the oldest first. */
  lines(count: number = linesMax): readonly string[] {
    return this.#lines?.slice(-count) ?? [];
  }

  /** 16 hexadecimal digits over all that was added. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }
}
