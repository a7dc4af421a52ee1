/**
 * How long the last phases of a run wait for what must come.
 *
 * @module
 */
import type { Invariant } from "./invariants.ts";
import type { Simulation } from "./simulation.ts";
import { words } from "./standing.ts";

/** Election timeouts that anything may take once the world is healed. */
const patience = 40;

/** How often as long it may take while it goes on. */
const patienceMax = 10;

/** Waits in a simulation whose faults are over. */
export class Patience {
  readonly #simulation: Simulation;

  /** Takes a world that is healed, or about to be. */
  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  /** Microseconds. */
  get electionMax(): number {
    return this.#simulation.config.settings.electionMaxMs! * 1000;
  }

  /** Lets so many microseconds pass. */
  async pass(time: number): Promise<void> {
    const { world } = this.#simulation;
    const until = world.time + time;
    await this.#simulation.run(() => world.time >= until);
  }

  /**
   * Waits until this holds, which is demanded.
   *
   * @param progress Grows while there is reason for more patience: one entry at a time over a narrow line takes long.
   */
  async within(invariant: Invariant, what: string, holds: () => boolean, progress = () => 0): Promise<void> {
    const { world, ghost, servers } = this.#simulation;
    let before = -1;
    for (let i = 0; i < patienceMax && !holds() && progress() > before; i++) {
      before = progress();
      const deadline = world.time + this.electionMax * patience;
      await this.#simulation.run(() => holds() || world.time > deadline);
    }
    ghost.must(holds(), invariant, () => {
      return `the cluster does not ${what} within ${patience} election timeouts: ${servers.map(words).join("; ")}; ` +
        `${this.#simulation.workload.open} open calls`;
    });
    this.judge();
  }

  /** Waits for an answer, which is demanded: whether it is a good one. A call that nobody could make has none. */
  async answer(invariant: Invariant, what: string, answer: Promise<boolean> | undefined): Promise<boolean> {
    let isGood: boolean | undefined;
    void answer?.then((ok) => isGood = ok);
    await this.within(invariant, what, () => isGood !== undefined);
    return isGood!;
  }

  /** Throws the first violation. */
  judge(): void {
    const { violation } = this.#simulation.ghost;
    if (violation !== undefined) throw violation;
  }
}
