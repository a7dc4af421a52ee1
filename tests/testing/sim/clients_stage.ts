/**
 * A stage for clients: servers that answer what a test says.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { defaultOptions } from "../../../src/options.ts";
import { Calls, type SimInput } from "../../../src/testing/sim/calls.ts";
import { drawConfig } from "../../../src/testing/sim/config.ts";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import type { Invariant } from "../../../src/testing/sim/invariants.ts";
import { SimMachine } from "../../../src/testing/sim/machine.ts";
import { Oracle } from "../../../src/testing/sim/oracle.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { Life } from "../../../src/testing/sim/server.ts";
import { touch, type TouchInput } from "../../../src/testing/sim/touches.ts";
import { Trace } from "../../../src/testing/sim/trace.ts";
import { type ClientBehaviour, Workload } from "../../../src/testing/sim/workload.ts";
import { World } from "../../../src/testing/sim/world.ts";
import { test } from "../../harness.ts";
import { coreOf } from "../../core/states.ts";

/** A life whose server answers what a test says. */
export function lifeOf(raft: Record<string, unknown>): Life {
  const machine = new SimMachine({ onApplied: () => {}, work: () => undefined });
  const given = {
    id: "a",
    machine,
    isOver: false,
    isStopping: false,
    hasStopped: false,
    core: coreOf().state,
    life: 1,
  };
  const settings = { configured: defaultOptions(), reloaded: {}, draining: undefined, room: undefined };
  const clock = { now: () => 0, stoppedMs: 0, gainedMs: 0 };
  return { ...given, ...settings, clock, raft } as unknown as Life;
}

/** Calls as they are drawn, without the value of each. */
export function draws(client: Partial<ClientBehaviour>, keepsSnapshots = false): readonly SimInput[] {
  const others = { asks: 0, rareAsks: 0, bounded: 0, reloads: 0, touchChance: 0.1 };
  const drawn = drawConfig(Random.seeded(1), {
    servers: 3,
    faults: [],
    moving: false,
    client: { ...others, ...client },
  });
  const config = { ...drawn, disk: { ...drawn.disk, keepsSnapshots } };
  const workload = new Workload(new World(new Trace(), () => {}), [], config, new Ghost(), Random.seeded(2));
  const random = Random.seeded(3);
  return Array.from({ length: 400 }, () => ({ ...workload.draw(random), value: "", command: undefined }) as never);
}

/** What a test plays with. */
export interface Scene {
  readonly ghost: Ghost;
  readonly world: World;
  readonly calls: Calls;
  readonly oracle: Oracle;
}

/** One in which nothing has happened. */
export function sceneOf(): Scene {
  const [ghost, world] = [new Ghost(), new World(new Trace(), () => {})];
  return { ghost, world, calls: new Calls(world, ghost), oracle: new Oracle(ghost) };
}

/** The good course of events passes and the bad one breaks this very invariant. */
export function rule(
  invariant: Invariant,
  what: string,
  play: (scene: Scene, isBad: boolean) => Promise<unknown> | void,
): void {
  test(`sim clients: ${invariant}: ${what}`, async () => {
    for (const isBad of [false, true]) {
      const scene = sceneOf();
      const { ghost } = scene;
      await play(scene, isBad);
      for (const check of ghost.later.splice(0)) check();
      assertEquals(ghost.violation?.invariant, isBad ? invariant : undefined, ghost.violation?.message);
    }
  });
}

/** A touch of a server that answers what a test says, and knows what it says of the core. */
export function touched(
  { world, ghost }: Scene,
  type: TouchInput["type"],
  raft: Record<string, unknown>,
  core: Partial<Life["core"]> = {},
): Promise<boolean> {
  const life = lifeOf(raft);
  Object.assign(life.core, core);
  return touch(world, ghost, life, { type, value: "v9", after: 1 });
}
