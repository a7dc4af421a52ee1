/**
 * Faults as they are performed on a simulation, and their end.
 *
 * @module
 */
import { calm } from "./lines.ts";
import type { Action } from "./nemesis.ts";
import { Port } from "./queue.ts";
import type { ScriptedFault } from "./script.ts";
import type { Simulation } from "./simulation.ts";

/** What is broken now. */
export class Plague {
  readonly #simulation: Simulation;
  /** Faults performed, in order, with when. */
  readonly performed: ScriptedFault[] = [];
  /** Faults that have not ended. */
  now = 0;
  #isOver = false;

  /** Nothing is broken yet. */
  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  /** Performs a fault, and schedules its end. */
  perform(action: Action): void {
    const { world, network, servers } = this.#simulation;
    this.performed.push({ at: world.time, action });
    world.trace.say(() => `    fault ${JSON.stringify(action)}`);
    switch (action.type) {
      case "cut":
        for (const [from, to] of action.directions) network.cut(from, to);
        return this.#after(action.for, "mend", () => {
          for (const [from, to] of action.directions) network.lines.mend(from, to);
        });
      case "clog":
        network.lines.clog(action.from, action.to, world.time + action.for);
        return this.#after(action.for, "unclogged", () => {});
      case "swizzle":
        return this.#swizzle(action);
      case "reset":
        return network.reset(action.a, action.b);
      case "crash":
        this.#simulation.crash(action.server, action.kind);
        return this.#after(action.for, `s${action.server} restarts`, () => servers[action.server]!.start());
      case "restart":
        return this.restart(action.server, action.for);
      case "pause":
        world.pause(action.server);
        return this.#after(action.for, `s${action.server} resumes`, () => world.resume(action.server));
      case "suspend":
        return this.#suspend(action.server, action.for);
      case "step-wall":
        return servers[action.server]!.clock.stepWall(action.ms);
      case "step-monotonic":
        return servers[action.server]!.clock.stepMonotonic(action.ms);
      case "drift":
        servers[action.server]!.clock.setRate(action.rate);
        return this.#after(action.for, `s${action.server} is in time`, () => {
          servers[action.server]!.clock.setRate(this.#simulation.config.clocks[action.server]!.rate);
        });
    }
  }

  /** Shuts a server down; it starts again so much later. */
  restart(server: number, delay: number): void {
    const target = this.#simulation.servers[server]!;
    void this.#simulation.stop(target).then((hasStopped) => {
      if (!hasStopped) return;
      this.#after(this.#isOver ? 0 : delay, `s${server} restarts`, () => target.start());
    });
  }

  /** Ends all faults: everything is up and reaches everything. */
  heal(): void {
    const { network, world, servers } = this.#simulation;
    this.#isOver = true;
    network.healAll();
    network.lines.behaviour = calm(network.lines.behaviour);
    for (const server of servers) {
      world.resume(server.index);
      server.start();
    }
  }

  #swizzle({ clogs, for: duration }: Extract<Action, { type: "swizzle" }>): void {
    const { world, network, servers } = this.#simulation;
    for (const { server, from, until } of clogs) {
      world.schedule(-1, Port.nemesis, from, `s${server} is clogged`, () => {
        if (this.#isOver) return;
        for (const peer of servers) {
          network.lines.clog(server, peer.index, world.time + until - from);
          network.lines.clog(peer.index, server, world.time + until - from);
        }
      });
    }
    this.#after(duration, "swizzled", () => {});
  }

  #suspend(server: number, duration: number): void {
    const { world, network, servers } = this.#simulation;
    const others = servers.map(({ index }) => index).filter((index) => index !== server);
    const at = world.time;
    world.pause(server);
    for (const other of others) {
      network.cut(server, other);
      network.cut(other, server);
    }
    this.#after(duration, `s${server} wakes up`, () => {
      for (const other of others) {
        network.lines.mend(server, other);
        network.lines.mend(other, server);
      }
      // A power cut or the end of all faults may have woken it before.
      if (!world.isPaused(server)) return;
      servers[server]!.clock.stopMonotonic((world.time - at) / 1000);
      world.resume(server);
    });
  }

  #after(delay: number, what: string, run: () => void): void {
    this.now++;
    this.#simulation.world.schedule(-1, Port.nemesis, delay, what, () => {
      this.now--;
      run();
    });
  }
}
