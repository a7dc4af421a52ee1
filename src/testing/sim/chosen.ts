/**
 * Which servers must agree and serve when the faults are over, and what is wrong with the others meanwhile.
 *
 * @module
 */
import type { ServerId } from "../../types.ts";
import type { SimConfig } from "./config.ts";
import type { Atlas } from "./disk/atlas.ts";
import { INFIRMITIES, type Infirmity } from "./plague.ts";
import type { Random } from "./random.ts";
import type { SimServer } from "./server.ts";
import { isDamaged } from "./standing.ts";

/** What is wrong with one for good; undefined where it is dead or paused anyway. */
export type Ill = readonly [server: SimServer, infirmity: Infirmity | undefined];

/** The servers that must serve, and all others that are not lost. */
export interface Core {
  readonly well: readonly SimServer[];
  readonly ill: readonly Ill[];
}

/** All servers, and what has become of them. */
export interface Cluster {
  readonly config: Pick<SimConfig, "servers" | "moving" | "faults">;
  /** Those that are not lost. */
  readonly present: readonly SimServer[];
  readonly plague: { readonly atlas: Pick<Atlas, "goesBeyond" | "isBeyond" | "isDamaged"> };
  readonly ghost: { readonly forgetful: ReadonlyMap<ServerId, unknown> };
  readonly world: { isPaused(server: number): boolean };
}

/** What may be wrong with a server in such a run. */
export function infirmitiesOf({ faults }: Pick<SimConfig, "faults">): readonly Infirmity[] {
  return INFIRMITIES.filter(([, some]) => some.some((fault) => faults.includes(fault))).map(([infirmity]) => infirmity);
}

/**
 * Of these who are all well a quorum in half of the runs, and else everybody.
 *
 * @param all How many have a vote, also of those that never start again.
 */
export function chooseQuorum(
  { config }: Pick<Cluster, "config">,
  present: readonly SimServer[],
  voters: readonly SimServer[],
  all: number,
  random: Random,
): readonly SimServer[] {
  // Those that never lead may have what those lack that would have to, and so may anybody what is damaged elsewhere.
  const canSpare = infirmitiesOf(config).length > 0 && config.moving?.idlers !== true && !present.some(isDamaged);
  const some = random.shuffle(voters).slice(0, random.between((all >> 1) + 1, voters.length));
  const areAll = random.chance(0.5) || !canSpare;
  return areAll ? present : some.sort((a, b) => a.index - b.index);
}

/**
 * Chooses who is to be healed while what is wrong with the others stays so; undefined where everybody is healed first, as in
 * half of the runs at least.
 *
 * A quorum of all servers whose logs are whole has all that is committed, and nobody else can be elected while all of it hears
 * one another and the others hear it or are heard by it at most. Who the servers are must be known for that, and each must have
 * the disk of which the others know: what another disk held once is not there any more.
 */
export function chooseCore(cluster: Cluster, random: Random): Core | undefined {
  const { config, present, plague: { atlas }, ghost } = cluster;
  const isWanted = random.chance(0.5);
  if (!isWanted || config.moving !== undefined || atlas.goesBeyond || atlas.isBeyond || ghost.forgetful.size > 0) {
    return undefined;
  }
  const whole = random.shuffle(present.filter((server) => !isDamaged(server) && !atlas.isDamaged(server.index)));
  const quorum = (config.servers >> 1) + 1;
  if (whole.length < quorum) return undefined;
  // Mostly those that are out of reach as it is.
  if (random.chance(0.75)) whole.sort((a, b) => Number(isOut(cluster, a)) - Number(isOut(cluster, b)));
  const well = whole.slice(0, random.between(quorum, whole.length)).sort((a, b) => a.index - b.index);
  const infirmities = infirmitiesOf(config);
  const others = present.filter((server) => !well.includes(server));
  if (others.length === 0 || (infirmities.length === 0 && others.some((server) => !isOut(cluster, server)))) {
    return undefined;
  }
  return { well, ill: others.map((server) => [server, isOut(cluster, server) ? undefined : random.pick(infirmities)]) };
}

/** Whether it does nothing as it is. */
function isOut({ world }: Pick<Cluster, "world">, { index, life }: SimServer): boolean {
  return life === undefined || world.isPaused(index);
}
