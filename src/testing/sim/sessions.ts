/**
 * Sessions of clients: what is asked for in one is applied once, however often the server has to send it.
 *
 * @module
 */
import type { Session } from "../../raft.ts";
import type { Ghost } from "./ghost.ts";
import { hashText, Refusal, type SimCommand, type SimResult } from "./machine.ts";
import type { Life } from "./server.ts";

type Open = Session<SimCommand, SimResult>;

/** One session for each life: with a server its clients' session ends. */
export class ClientSessions {
  readonly #opening = new WeakMap<Life, Promise<Open>>();
  readonly #open = new WeakMap<Life, Open>();

  /** The session of that life, which is opened when it is asked for first, and anew when whoever did so gave up. */
  async of(life: Life, signal: AbortSignal): Promise<Open> {
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
    const opening: Promise<Open> = life.raft!.session({ signal });
    this.#opening.set(life, opening);
    opening.then((session) => this.#open.set(life, session), () => this.#opening.delete(life));
    return opening;
  }

  /** The one that is open already. */
  known(life: Life): Open | undefined {
    return this.#open.get(life);
  }
}

/** K3: whoever is answered is told what came of the one time that the command was applied, which machines have seen. */
export function answeredOnce(ghost: Ghost, { value }: SimCommand, result: SimResult): void {
  const [index] = ghost.appliedAt.get(value) ?? [];
  const applied = index === undefined ? undefined : ghost.applied.get(index);
  ghost.must(applied?.result === hashText(String(result), 0), "K3", () => {
    return `"${value}" of a session is answered with ${result}, and was applied at ${index} with another result`;
  });
}
