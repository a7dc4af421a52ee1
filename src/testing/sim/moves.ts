/**
 * Calls that change who the servers are and who leads them.
 *
 * @module
 */
import { serversAfter } from "../../core/change.ts";
import { RaftError } from "../../errors.ts";
import { peerId } from "../../operator.ts";
import type { Configuration, ConfigurationChange, LogIndex, ServerAddress, ServerId } from "../../types.ts";
import type { Ghost } from "./ghost.ts";
import type { Random } from "./random.ts";
import type { Life, SimServer } from "./server.ts";

/** How servers change in a run. */
export interface MovingBehaviour {
  /** Servers that vote from the first moment; those after them start empty and belong to nothing. */
  readonly voters: number;
  /** Chance that a call is about servers, in `[0, 1]`. */
  readonly chance: number;
  /** Servers that vote and never lead. */
  readonly idlers: boolean;
  /** Chance that such a call is of several votes at once, in `[0, 1]`; 0 by default. */
  readonly swaps?: number;
  /** Chance that a server which is added or removed is named by its address alone, in `[0, 1]`; 0 by default. */
  readonly peers?: number;
}

/** Which call; `value` is one of its own. */
export type MoveInput =
  | {
    readonly type: "move";
    readonly value: string;
    readonly changes: readonly ConfigurationChange[];
    readonly prevIndex?: LogIndex;
    readonly force?: boolean;
    /** The address by which the one server that it is about is named, where that is how it is added or removed. */
    readonly by?: ServerAddress;
  }
  | { readonly type: "transfer"; readonly value: string; readonly to?: ServerId };

/** A configuration as somebody knows it. */
export interface Known {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/** The address of a server in a simulation. */
export function addressOf(id: ServerId): string {
  return `${id}:1`;
}

/** The latest configuration that anybody goes by. */
function latestOf(servers: readonly SimServer[]): Known {
  let latest: Known = { index: 0, configuration: { servers: [] } };
  for (const { life } of servers) {
    const known = life?.raft === undefined ? undefined : life.core.configurations.at(-1);
    if (known !== undefined && known.index > latest.index) latest = known;
  }
  return latest;
}

/** Draws a call of somebody who knows the latest configuration: one of any kind, or of several votes at once. */
export function drawMoveOf(
  servers: readonly SimServer[],
  random: Random,
  { swaps, peers }: { readonly swaps: Random; readonly peers: Random },
  value: string,
  moving: MovingBehaviour,
): MoveInput {
  const ids = servers.map(({ id }) => id);
  const latest = latestOf(servers);
  const move = drawMove(random, value, ids, latest, moving);
  const drawn = swaps.chance(moving.swaps ?? 0) ? drawSwap(swaps, value, ids, latest) ?? move : move;
  return peers.chance(moving.peers ?? 0) ? byAddress(drawn, latest) : drawn;
}

/** The same by address, where it adds or removes one server. */
function byAddress(move: MoveInput, { configuration: { servers } }: Known): MoveInput {
  if (move.type !== "move" || move.changes.length !== 1) return move;
  const [change] = move.changes;
  if (change?.type === "add-voter") return { ...move, by: change.address };
  if (change?.type !== "remove-server") return move;
  return { ...move, by: servers.find(({ id }) => id === change.id)?.address ?? addressOf(change.id) };
}

/** Changes that a healthy cluster must make: each is drawn when the one before is made. */
export function* movesAfter(
  all: readonly SimServer[],
  members: readonly SimServer[],
  random: Random,
): Iterable<MoveInput> {
  const spare = all.find((server) => !members.includes(server));
  if (spare !== undefined) {
    const { id } = spare;
    const change = { type: "add-voter", id, address: addressOf(id), priority: 1 } as const;
    yield { type: "move", value: "after", changes: [change] };
  }
  const { servers } = latestOf(all).configuration;
  const able = servers.filter(({ suffrage, priority }) => suffrage === "voter" && priority !== 0);
  // One that is preferred would be handed over to at any moment.
  if (able.length < 2 || able.some(({ priority }) => (priority ?? 1) !== 1)) return;
  const gone = random.pick(servers).id;
  yield { type: "move", value: "after", changes: [{ type: "remove-server", id: gone }] };
}

/** Whether this is asked for a server. */
export function asksFor(input: MoveInput, type: ConfigurationChange["type"], id: ServerId): boolean {
  return input.type === "move" && input.changes.some((change) => change.type === type && change.id === id);
}

/** Draws a call, made by somebody who knows of this configuration. */
export function drawMove(
  random: Random,
  value: string,
  ids: readonly ServerId[],
  { index, configuration }: Known,
  { idlers }: MovingBehaviour,
): MoveInput {
  const to = random.chance(0.5) ? random.pick(ids) : undefined;
  const transfer: MoveInput = { type: "transfer", value, ...to === undefined ? {} : { to } };
  if (random.chance(0.25)) return transfer;
  // Never possible, whoever belongs to the cluster by then.
  if (ids.length > 1 && random.chance(0.05)) return { type: "move", value, changes: clashing(random, ids) };
  // Of changes that overtake one another nobody could say that enough servers are left that may lead.
  const count = random.chance(0.35) && !idlers ? random.between(2, 3) : 1;
  const changes = random.shuffle(ids).slice(0, count).map((id) => drawChange(random, id, configuration, idlers));
  if (idlers && !canLead(configuration, changes)) return transfer;
  return {
    type: "move",
    value,
    changes,
    ...idlers || random.chance(0.2) ? { prevIndex: index } : {},
    // Safe: whoever is down comes back.
    ...random.chance(0.1) ? { force: true } : {},
  };
}

/**
 * Draws a change of several votes at once, which takes a joint configuration; undefined where there are too few servers
 * for that.
 */
export function drawSwap(
  random: Random,
  value: string,
  ids: readonly ServerId[],
  { configuration: { servers } }: Known,
): MoveInput | undefined {
  const voters = servers.filter(({ suffrage }) => suffrage === "voter").map(({ id }) => id);
  const others = random.shuffle(ids.filter((id) => !voters.includes(id))).slice(0, 2);
  const going = random.shuffle(voters).slice(0, Math.min(voters.length - 1, random.between(1, 2)));
  if (others.length + going.length < 2) return undefined;
  const changes = [
    ...others.map((id): ConfigurationChange => ({ type: "add-voter", id, address: addressOf(id) })),
    ...going.map((id): ConfigurationChange => ({ type: random.chance(0.5) ? "remove-server" : "demote-voter", id })),
  ];
  return { type: "move", value, changes };
}

/** Two servers at one address. */
function clashing(random: Random, ids: readonly ServerId[]): readonly ConfigurationChange[] {
  const [a = "", b = ""] = random.shuffle(ids);
  return [a, b].map((id) => ({ type: "add-nonvoter", id, address: addressOf(a) }));
}

function drawChange(random: Random, id: ServerId, { servers }: Configuration, idlers: boolean): ConfigurationChange {
  const priority = random.chance(0.7) ? {} : { priority: random.pick(idlers ? [0, 1, 2] : [1, 2, 3]) };
  // It listens on more than one port.
  const address = random.chance(0.1) ? `${id}:2` : addressOf(id);
  const voter = { type: "add-voter", id, address, ...priority } as const;
  const nonvoter = { type: "add-nonvoter", id, address, ...priority } as const;
  const suffrage = servers.find((server) => server.id === id)?.suffrage;
  if (suffrage === undefined) return random.chance(0.75) ? voter : nonvoter;
  const [removal, demotion] = [{ type: "remove-server", id }, { type: "demote-voter", id }] as const;
  if (suffrage !== "voter") return random.weighted<ConfigurationChange>([[voter, 5], [removal, 1], [demotion, 1]]);
  return random.weighted<ConfigurationChange>([[removal, 4], [demotion, 2], [voter, 1]]);
}

/** Whether those that may lead are a majority: of what is committed one of them has all, and others let it lead. */
function canLead({ servers }: Configuration, changes: readonly ConfigurationChange[]): boolean {
  const after = serversAfter(servers, changes, new Set(changes.map(({ id }) => id)));
  const voters = after.filter(({ suffrage }) => suffrage !== "nonvoter");
  return voters.filter(({ priority, suffrage }) => suffrage === "voter" && priority !== 0).length * 2 > voters.length;
}

/** Makes it and judges the answer, while somebody waits for one (K4); true when it was made. */
export async function judgedMove(
  ghost: Ghost,
  life: Life,
  input: MoveInput,
  isAwaited: () => boolean,
): Promise<boolean> {
  try {
    return await move(ghost, life, input);
  } catch (error) {
    ghost.must(!isAwaited() || error instanceof RaftError, "K4", () => `a ${input.type} is answered with ${error}`);
    return false;
  }
}

/** Makes the call and judges its answer; true when it was done. */
export async function move(ghost: Ghost, life: Life, input: MoveInput): Promise<boolean> {
  const raft = life.raft!;
  if (input.type === "transfer") {
    const { id } = await raft.transferLeadership(input.to);
    ghost.must([...ghost.leaders.values()].some(({ leader }) => leader === id), "K3", () => {
      return `a transfer asked of "${life.id}" names "${id}" as leader, which it never was`;
    });
    return true;
  }
  const named = asNamed(life, input);
  const { index } = await change(life, named);
  ghost.later.push(() => changed(ghost, named, index));
  return true;
}

type Change = Extract<MoveInput, { type: "move" }>;

/**
 * A server that is named by its address is the one that the server which is asked knows there, else one whose id is made of the
 * address: where nobody answers to that id it is not added.
 */
function asNamed({ core }: Life, input: Change): Change {
  const { by, changes: [only], ...others } = input;
  if (by === undefined || only === undefined) return input;
  const known = core.configurations.at(-1)?.configuration.servers.find(({ address }) => address === by)?.id;
  if (only.type === "remove-server") return { ...input, changes: [{ ...only, id: known ?? peerId(by) }] };
  return known === only.id ? input : { ...others, changes: [only] };
}

/** By the method of its own, where there is one. */
function change({ raft }: Life, { changes, prevIndex, force, by }: Change) {
  const options = {
    ...prevIndex === undefined ? {} : { prevIndex },
    ...force === undefined ? {} : { force },
  };
  const [only] = changes;
  if (only === undefined || changes.length > 1) return raft!.changeMembership(changes, options);
  switch (only.type) {
    case "remove-server":
      return by === undefined ? raft!.removeServer(only.id, options) : raft!.removePeer(by, options);
    case "demote-voter":
      return raft!.demoteVoter(only.id, options);
    case "add-voter":
    case "add-nonvoter": {
      const { id, address, priority } = only;
      const all = { ...options, ...priority === undefined ? {} : { priority } };
      if (by !== undefined) return raft!.addPeer(by, all);
      return only.type === "add-voter" ? raft!.addVoter(id, address, all) : raft!.addNonvoter(id, address, all);
    }
  }
}

/** K3: who is told that it is done finds it done, in an entry that is committed. */
function changed(ghost: Ghost, { changes }: Change, index: LogIndex): void {
  const configuration = ghost.commits.at(index)?.configuration;
  ghost.must(configuration !== undefined, "K3", () => `a change is answered with ${index}, which is no configuration`);
  for (const { type, id } of changes) {
    const suffrage = configuration?.servers.find((server) => server.id === id)?.suffrage;
    const isDone = type === "remove-server"
      ? suffrage === undefined
      : type === "demote-voter"
      ? suffrage === undefined || suffrage === "nonvoter"
      : type === "add-voter"
      ? suffrage === "voter"
      : suffrage !== undefined;
    ghost.must(isDone, "K3", () => `a ${type} of "${id}" is answered with ${index}, where it is ${suffrage}`);
  }
}
