/**
 * The items of a message's envelope: see message_codec.ts.
 *
 * @module
 */
import { ProtocolError } from "../errors.ts";
import { SERVER_ID_PATTERN } from "./configuration.ts";

/** Indexes stop short of the largest safe integer, so that adding what one frame can hold is still exact. */
export const INDEX_MAX: number = Number.MAX_SAFE_INTEGER - 2 ** 32;

/** Takes the items of an envelope one by one, each with the type it must have. */
export class Items {
  readonly #items: readonly unknown[];
  #at = 0;

  /** Takes a decoded envelope. */
  constructor(items: readonly unknown[]) {
    this.#items = items;
  }

  /** Whether none is left. */
  get atEnd(): boolean {
    return this.#at === this.#items.length;
  }

  /** None may be left. */
  end(): void {
    if (!this.atEnd) throw new ProtocolError("Cannot decode a message: it has too many items");
  }

  /** A safe integer from 0. */
  integer(name: string): number {
    const value = this.#next(name);
    // Minus zero passes for an integer, and no sender writes it.
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || Object.is(value, -0)) {
      throw new ProtocolError(`Cannot decode a message: ${name} is not a safe non-negative integer`);
    }
    return value;
  }

  /** An index in the log. */
  index(name: string): number {
    const value = this.integer(name);
    if (value > INDEX_MAX) throw new ProtocolError(`Cannot decode a message: ${name} is too large`);
    return value;
  }

  /** Index and term of an entry, both 0 for "none"; no entry is of a later term than the sender. */
  position(name: string, termMax: number): [index: number, term: number] {
    const index = this.index(`${name}Index`);
    const term = this.integer(`${name}Term`);
    if ((index === 0) !== (term === 0)) {
      throw new ProtocolError(`Cannot decode a message: ${name}Index ${index} cannot be of term ${term}`);
    }
    if (term > termMax) {
      throw new ProtocolError(`Cannot decode a message: ${name}Term ${term} exceeds the message's term ${termMax}`);
    }
    return [index, term];
  }

  /** True or false. */
  boolean(name: string): boolean {
    const value = this.#next(name);
    if (typeof value !== "boolean") throw new ProtocolError(`Cannot decode a message: ${name} is not a boolean`);
    return value;
  }

  /** A server's id. */
  serverId(name: string): string {
    const value = this.#next(name);
    if (typeof value !== "string" || !SERVER_ID_PATTERN.test(value)) {
      throw new ProtocolError(`Cannot decode a message: ${name} is not a server id`);
    }
    return value;
  }

  /** Takes the next item if it is null. */
  isNull(): boolean {
    if (this.#items[this.#at] !== null) return false;
    this.#at += 1;
    return true;
  }

  #next(name: string): unknown {
    if (this.atEnd) throw new ProtocolError(`Cannot decode a message: ${name} is missing`);
    const value = this.#items[this.#at];
    this.#at += 1;
    return value;
  }
}

/** A message that has nothing but its items. */
export function bare<M extends { readonly type: string }>(
  message: M,
  items: Items,
  attachment: Uint8Array,
): { readonly message: M } {
  items.end();
  if (attachment.length === 0) return { message };
  throw new ProtocolError(`Cannot decode a message: ${attachment.length} bytes follow a ${message.type}`);
}
