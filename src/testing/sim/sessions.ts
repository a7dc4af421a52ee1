/**
 * Sessions of clients: what is asked for in one is applied once, however often the server has to send it.
 *
 * @module
 */
import { ResultLostError } from "../../errors.ts";
import type { Session } from "../../raft.ts";
import type { LogIndex } from "../../types.ts";
import type { Ghost } from "./ghost.ts";
import { hashText, Refusal, type SimCommand, type SimResult } from "./machine.ts";
import type { Life } from "./server.ts";

type Open = Session<SimCommand, SimResult>;

/** One session for each life: with a server its clients' session ends. */
export class ClientSessions {
  #opening = new WeakMap<Life, Promise<Open>>();
  readonly #open = new Map<Life, Open>();
  /** Grows when all are closed: what is opened later than that was asked for before. */
  #era = 0;
  /** Whether there may be more calls. */
  #isWanted = true;

  /** The session of that life, which is opened when it is asked for first, and anew when whoever did so gave up. */
  async of(life: Life, signal: AbortSignal): Promise<Open> {
    this.#isWanted = true;
    for (;;) {
      try {
        return await (this.#opening.get(life) ?? this.#begin(life, signal));
      } catch (error) {
        // Nobody asks anything of a server that is dead.
        if (life.isOver || !(error instanceof Refusal)) throw error;
        signal.throwIfAborted();
      }
    }
  }

  #begin(life: Life, signal: AbortSignal): Promise<Open> {
    const era = this.#era;
    const opening: Promise<Open> = life.raft!.session({ signal });
    this.#opening.set(life, opening);
    opening.then((session) => {
      if (era === this.#era && this.#isWanted) this.#open.set(life, session);
      else void session.close();
    }, () => this.#opening.get(life) === opening && this.#opening.delete(life));
    return opening;
  }

  /** The one that is open already. */
  known(life: Life): Open | undefined {
    return this.#open.get(life);
  }

  /** The log has forgotten this session: whoever asks for one later gets another. */
  onExpired(life: Life, id: number): void {
    const session = this.#open.get(life);
    // An answer that is another's may name none.
    if (session !== undefined && session.id === id) this.#close(life, session);
  }

  /** Nobody has anything to ask for any more: nor do sessions say that they are still in use. */
  closeAll(): void {
    this.#era++;
    this.#isWanted = false;
    this.#opening = new WeakMap();
    for (const [life, session] of this.#open) this.#close(life, session);
  }

  /** The session of a server that is dead closes nothing. */
  onOver(life: Life): void {
    this.#open.delete(life);
  }

  #close(life: Life, session: Open): void {
    this.#open.delete(life);
    this.#opening.delete(life);
    if (!life.isOver) void session.close();
  }
}

/** K3: whoever is answered is told what came of the one time that the command was applied, here, which machines have seen. */
export function answeredOnce(
  ghost: Ghost,
  { value }: SimCommand,
  result: SimResult,
  index: LogIndex | undefined,
): void {
  const applied = index === undefined ? undefined : ghost.applied.get(index);
  ghost.must(applied?.result === hashText(String(result), 0), "K3", () => {
    return `"${value}" of a session is answered with ${result}, and was applied at ${index} with another result`;
  });
}

/**
 * Whether this says that the command was applied, and that its result was not kept as there is too much of them
 * (`sessionsBytesMax`). K3: then it was applied.
 */
export function isResultLost(ghost: Ghost, { value }: SimCommand, error: unknown): boolean {
  if (!(error instanceof ResultLostError)) return false;
  ghost.must(ghost.appliedAt.has(value), "K3", () => `"${value}" is said to be applied, and no machine has seen it`);
  return true;
}
