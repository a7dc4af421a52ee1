/**
 * Frames that a line carried, for a network that carries some of them again.
 *
 * @module
 */
import type { Message } from "../../message.ts";
import type { DecodedMessage } from "../../wire/message_codec.ts";
import type { Random } from "./random.ts";

/** A frame and what it says. */
export interface OldFrame {
  readonly frame: Uint8Array;
  readonly decoded: DecodedMessage;
}

/** Frames kept for each line: with some luck of an earlier term, or of an earlier life of either end. */
const oldFramesMax = 200;

/** What was sent over each line. */
export class OldFrames {
  readonly #ofLine: OldFrame[][];

  /** So many lines, which have carried nothing. */
  constructor(lines: number) {
    this.#ofLine = Array.from({ length: lines }, () => []);
  }

  /** Keeps one more, in the place of any when there are many. */
  keep(random: Random, line: number, frame: OldFrame): void {
    const frames = this.#ofLine[line]!;
    frames[frames.length < oldFramesMax ? frames.length : random.below(oldFramesMax)] = frame;
  }

  /** One of them, if there is any. */
  any(random: Random, line: number): OldFrame | undefined {
    const frames = this.#ofLine[line]!;
    return frames.length === 0 ? undefined : random.pick(frames);
  }

  /** An answer to an earlier question of the same number as this one. */
  answerTo(line: number, question: Message): OldFrame | undefined {
    if (question.type !== "read-request" && question.type !== "append-request") return undefined;
    return this.#ofLine[line]!.find(({ decoded: { message } }) => {
      if (question.type === "read-request") return message.type === "read-response" && message.id === question.id;
      const isNumber = message.type === "append-response" && message.sequence === question.sequence;
      return isNumber && message.term !== question.term;
    });
  }

  /** Nobody can carry any of them again. */
  forget(line: number): void {
    this.#ofLine[line] = [];
  }
}
