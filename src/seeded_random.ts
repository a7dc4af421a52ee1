/**
 * Chance that is the same on every server: seeded by the entry.
 *
 * @module
 */
import { crc32c } from "./wire/crc32c.ts";

/** sfc32 over 32-bit integers, the same on every engine. */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Takes what the entry is known by. */
  constructor(index: number, term: number, timeMs: number) {
    this.#a = fold(index);
    this.#b = fold(term);
    this.#c = fold(timeMs);
    for (let i = 0; i < 12; i++) this.#next32();
  }

  /** A number from 0 (inclusive) to 1 (exclusive), of 53 bits. */
  next(): number {
    return ((this.#next32() >>> 5) * 2 ** 26 + (this.#next32() >>> 6)) / 2 ** 53;
  }

  /** A UUID of version 4. */
  uuid(): string {
    const hex = Array.from({ length: 4 }, () => this.#next32().toString(16).padStart(8, "0")).join("");
    const variant = (8 + (this.#next32() & 3)).toString(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${
      hex.slice(20)
    }`;
  }

  #next32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result | 0;
    return result >>> 0;
  }
}

function fold(value: number): number {
  return (value | 0) ^ Math.imul(Math.floor(value / 2 ** 32) | 0, 0x9e3779b9);
}

/** A short name for bytes: two of the same name are hardly ever different by accident. */
export function hashText(bytes: Uint8Array): string {
  const parts = [crc32c(bytes), crc32c(bytes, 0, bytes.length, 0x9e3779b9), bytes.length];
  return parts.map((part) => part.toString(16)).join("-");
}
