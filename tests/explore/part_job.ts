/**
 * One part, asked for a round at a time.
 *
 * @module
 */
import { InvariantError } from "../../src/errors.ts";
import type { Bounds } from "./bounds.ts";
import { stepOf } from "./broken.ts";
import { Letterbox, type Mail, Outbox } from "./mail.ts";
import { Violation } from "./model.ts";
import { Part } from "./pool.ts";

/** How to begin. */
export interface Start {
  readonly type: "start";
  readonly bounds: Bounds;
  /** Name of a fault of broken.ts that the core has. */
  readonly fault: string | undefined;
  readonly part: number;
  readonly parts: number;
}

/** One round. */
export interface Task {
  readonly type: "task";
  /** From each part. */
  readonly mails: readonly (Mail | undefined)[];
  /** The last bucket to go through. */
  readonly last: number;
  /** Whether to tell what takes long to find out. */
  readonly isEnd: boolean;
}

/** What came of a round. */
export interface Result {
  /** For each part. */
  readonly mails: readonly (Mail | undefined)[];
  /** The lowest bucket that waits. */
  readonly lowest: number;
  readonly pools: number;
  readonly transitions: number;
  readonly visits: number;
  readonly depth: number;
  readonly servers: number;
  readonly messages: number;
  readonly reached: { readonly entries: number; readonly committed: number; readonly term: number };
  readonly violation: string | undefined;
}

/** A part and its mail. */
export class PartJob {
  readonly #part: Part;
  readonly #outboxes: readonly Outbox[];
  readonly #letterboxes: readonly Letterbox[];
  #hasBegun = false;

  constructor({ bounds, fault, part, parts }: Start) {
    const forward = (owner: number, row: Int32Array) => this.#outboxes[owner]!.add(row);
    this.#part = new Part(bounds, stepOf(fault), part, parts, forward);
    this.#outboxes = Array.from({ length: parts }, () => new Outbox(this.#part));
    this.#letterboxes = Array.from({ length: parts }, () => new Letterbox(this.#part));
  }

  run({ mails, last, isEnd }: Task): Result {
    const violation = this.#look(mails, last);
    const { space, size, transitions, visits, lowest } = this.#part;
    return {
      mails: this.#outboxes.map((outbox) => outbox.take()),
      lowest,
      pools: size,
      transitions,
      visits,
      depth: isEnd ? this.#part.depth() : 0,
      servers: space.locals.items.length,
      messages: space.packets.items.length,
      reached: isEnd ? space.reached() : { entries: 0, committed: 0, term: 0 },
      violation,
    };
  }

  #look(mails: Task["mails"], last: number): string | undefined {
    try {
      if (!this.#hasBegun) {
        this.#hasBegun = true;
        this.#part.begin();
      }
      for (const [from, mail] of mails.entries()) {
        if (mail !== undefined) this.#letterboxes[from]!.accept(mail);
      }
      this.#part.work(last);
    } catch (error) {
      if (error instanceof Violation || error instanceof InvariantError) return (error as Error).message;
      throw error;
    }
  }
}
