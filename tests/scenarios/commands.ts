/**
 * The commands of a script.
 *
 * @module
 */
import type { CoreSettings } from "../../src/core/state.ts";
import type { ConfigurationChange, Disk, ServerId, Term } from "../../src/types.ts";
import type { StepCore } from "../core/cluster.ts";
import { messageOf } from "./inject.ts";
import { kindOf, messageText } from "./format.ts";
import { ScriptError, type Selection, World } from "./world.ts";

/** What commands share while a script runs. */
export interface Stage {
  world: World | undefined;
  /** The core to use, the real one when undefined. */
  readonly stepCore?: StepCore | undefined;
}

type Words = readonly string[];

interface Command {
  readonly usage: string;
  /** Does it; what happened is in the world's lines. Gives back what else there is to say. */
  run(world: World, words: Words): readonly string[] | void;
}

const table: Readonly<Record<string, Command>> = {
  tick: {
    usage: "tick [server] <ms>: time passes, for all deadlines or only that server's",
    run: (world, words) => {
      const [ms, id] = [...words].reverse();
      world.pass(numberOf(ms), id === undefined ? world.ids : [id]);
    },
  },
  run: {
    usage: "run <ms>: time passes, and all messages are delivered",
    run: (world, [ms]) => {
      world.stabilize();
      world.pass(numberOf(ms), world.ids, () => world.stabilize());
    },
  },
  campaign: {
    usage: "campaign <server>: its election timeout passes",
    run: (world, [id]) => {
      if (world.words(id!).includes("leader")) throw new ScriptError(`"${id}" leads`);
      world.expire(id!);
    },
  },
  deliver: {
    usage: "deliver <a->b> [kind] [#sequence | all] | deliver all: hands over the oldest, or all until none is left",
    run: (world, words) => {
      if (words[0] === "all") return world.deliverAll();
      const selection = selectionOf(words);
      if (words.includes("all")) { for (const packet of world.find(selection)) world.deliver(packet); }
      else world.deliver(world.first(selection));
    },
  },
  drop: {
    usage: "drop <a->b> [kind] [#sequence | all] | drop all: the oldest message, or all, are lost",
    run: (world, words) => {
      const packets = words[0] === "all" ? [...world.cluster.network] : packetsOf(world, words);
      world.take(packets);
      return packets.map(({ from, to, message }) => `lost: ${from} -> ${to} ${messageText(message)}`);
    },
  },
  duplicate: {
    usage: "duplicate <a->b> [kind] [#sequence]: a copy of the oldest is put behind all others",
    run: (world, words) => world.put([{ ...world.first(selectionOf(words)) }]),
  },
  reorder: {
    usage: "reorder <a->b>: what is under way between the two is turned round",
    run: (world, words) => {
      const packets = world.find(selectionOf(words));
      world.take(packets);
      world.put(packets.reverse());
      return packets.map(({ from, to, message }) => `${from} -> ${to} ${messageText(message)}`);
    },
  },
  hold: {
    usage: "hold <a->b> [kind] [#sequence]: all these messages wait for release",
    run: (world, words) => {
      const packets = world.find(selectionOf(words));
      if (packets.length === 0) world.first(selectionOf(words));
      world.take(packets);
      world.held.push(...packets);
      return packets.map(({ from, to, message }) => `held: ${from} -> ${to} ${messageText(message)}`);
    },
  },
  release: {
    usage: "release: what was held is under way again",
    run: (world) => world.put(world.held.splice(0)),
  },
  inject: {
    usage: "inject <a->b> <kind> [field=value …]: a message that nobody sent",
    run: (world, [link, kind, ...fields]) => {
      const [from, to] = linkOf(link);
      world.step(to, { type: "message-received", from, message: messageOf(kind ?? "", fields) });
    },
  },
  disk: {
    usage: "disk <server> slow|fast: its writes wait for persist, or not",
    run: (world, [id, speed]) => {
      world.member(id!);
      if (speed === "slow") world.slow.add(id!);
      else if (speed === "fast" && world.slow.delete(id!)) world.put([]);
    },
  },
  persist: {
    usage: "persist <server> [vote | entries]: its writes become durable, all or up to the first of that kind",
    run: (world, [id, kind]) => {
      if (kind !== undefined && kind !== "vote" && kind !== "entries") throw new ScriptError(`not a write: ${kind}`);
      world.persist(id!, kind);
    },
  },
  send: {
    usage: "send <server> [fail]: the oldest append that it wants to send is sent or fails (with sending=manual)",
    run: (world, [id, fail]) => world.send(id!, fail !== "fail"),
  },
  crash: { usage: "crash <server>: only its disk stays", run: (world, [id]) => world.crash(id!) },
  restart: { usage: "restart <server>: starts from its disk", run: (world, [id]) => world.restart(id!) },
  propose: {
    usage: "propose <server> [count]: commands",
    run: (world, [id, count]) => world.propose(id!, count === undefined ? 1 : numberOf(count)),
  },
  read: { usage: "read <server>: asks for an index to read at", run: (world, [id]) => world.read(id!) },
  transfer: {
    usage: "transfer <a->b> | transfer <a>: a hands leadership over",
    run: (world, [link]) => {
      const [from, to] = link!.includes("->") ? linkOf(link) : [link!, undefined];
      world.step(from, { type: "transfer-requested", to });
    },
  },
  change: {
    usage: "change <server> add=<id>|add-nonvoter=<id>|demote=<id>|remove=<id> … [prev=<index>] [force]: " +
      "asks for other servers, all at once",
    run: (world, [id, ...words]) => {
      const prev = words.find((word) => word.startsWith("prev="))?.slice("prev=".length);
      const force = words.includes("force");
      const changes = words.filter((word) => word !== "force" && !word.startsWith("prev=")).map(changeOf);
      world.change(id!, changes, { prevIndex: prev === undefined ? undefined : numberOf(prev), force });
    },
  },
  snapshot: {
    usage: "snapshot <server>: all that it has applied is durable, and may go from its log",
    run: (world, [id]) => world.snapshot(id!),
  },
  "jump-clock": {
    usage: "jump-clock <server>: it learns that its clock jumped",
    run: (world, [id]) => world.step(id!, { type: "clock-jumped" }),
  },
  partition: {
    usage: "partition <servers> | <servers> [| …]: only servers of one side hear each other",
    run: (world, words) => partition(world, words),
  },
  cut: {
    usage: "cut <a->b> …: that direction loses everything from now on",
    run: (world, words) => {
      for (const link of words) world.cuts.add(linkOf(link).join("->"));
      world.put([]);
    },
  },
  heal: { usage: "heal: no link is cut any more", run: (world) => world.cuts.clear() },
  disconnect: {
    usage: "disconnect <a> <b>: the connection breaks, and what was under way on it is lost",
    run: (world, [a, b]) => world.disconnect(a!, b!),
  },
  connect: {
    usage:
      "connect <a> <b> [disk.<server>=<name>[.starts]]: a connection comes up, on which servers say which disk they have",
    run: (world, [a, b, ...disks]) => world.connect(a!, b!, Object.fromEntries(disks.map(diskOf))),
  },
  stabilize: {
    usage: "stabilize: all disks write and all messages are delivered until there is nothing to do; no time passes",
    run: (world) => world.stabilize(),
  },
  show: {
    usage: "show <server> | show all | show network",
    run: (world, [what]) => {
      if (what === "all") return world.ids.map((id) => world.summary(id));
      if (what !== "network") return [world.summary(what!), ...world.progress(what!)];
      return world.cluster.network.map(({ from, to, message }) => `${from} -> ${to} ${messageText(message)}`);
    },
  },
  mark: { usage: "mark: expect at-most counts from here", run: (world) => void (world.sent = []) },
  expect: {
    usage: "expect <server> [no] <word> … | expect leaders <servers | none> | expect at-most <n> <a->b> <kind>",
    run: (world, words) => expect(world, words),
  },
};

/** Runs one command; gives back what is to be seen. */
export function runCommand(stage: Stage, line: string): readonly string[] {
  const [name = "", ...words] = line.split(/\s+/);
  if (name === "quietly") return runQuietly(stage, words.join(" "));
  if (name === "servers") {
    stage.world = worldOf(words, stage.stepCore);
    return [];
  }
  const command = Object.hasOwn(table, name) ? table[name] : undefined;
  if (command === undefined) throw new ScriptError(`"${name}" is no command; there are\n${usages()}`);
  const { world } = stage;
  if (world === undefined) throw new ScriptError(`a script begins with servers`);
  if (words.length === 0 && command.usage.startsWith(`${name} <`)) throw new ScriptError(`usage: ${command.usage}`);
  const said = command.run(world, words) ?? [];
  return [...world.takeLines(), ...said];
}

/** Of what happens, only how the servers are afterwards. */
function runQuietly(stage: Stage, line: string): readonly string[] {
  const { world } = stage;
  const before = new Map(world?.ids.map((id) => [id, world.summary(id)]));
  runCommand(stage, line);
  return world?.ids.map((id) => world.summary(id)).filter((summary, i) => summary !== before.get(world.ids[i]!)) ?? [];
}

/** What can be written in a script. */
export function usages(): string {
  const all = [
    "servers <n | names> [new=a,b] [pre-vote[.a]=on|off] [slow=a,b|all] [sending=manual] [log.a=1,1,2] [election=ms[-ms]] " +
    "[heartbeat=ms] [lease=ms] [entries=n] [window=n]: begins",
    "quietly <command>: of what happens, shows only how the servers are afterwards",
    ...Object.values(table).map(({ usage }) => usage),
  ];
  return all.map((usage) => `  ${usage}`).join("\n");
}

function worldOf(words: Words, stepCore: StepCore | undefined): World {
  const options = words.filter((word) => word.includes("="));
  const names = words.filter((word) => !word.includes("="));
  const count = Number(names[0]);
  const servers = Number.isInteger(count) ? "abcdefg".slice(0, count).split("").join(" ") : names.join(" ");
  if (servers === "") throw new ScriptError("usage: servers <n | names> [option=value …]");
  const settings: { -readonly [K in keyof CoreSettings]?: CoreSettings[K] } = {};
  const settingsOf: Record<ServerId, Partial<CoreSettings>> = {};
  const logs: Record<ServerId, Term[]> = {};
  let [slow, newcomers]: string[][] = [[], []];
  let sending: "immediate" | "delayed" = "immediate";
  for (const option of options) {
    const [key = "", value = ""] = option.split("=");
    const [name, id] = key.split(".");
    if (name === "pre-vote" && id !== undefined) settingsOf[id] = { preVote: value === "on" };
    else if (name === "log" && id !== undefined) logs[id] = value.split(",").map(numberOf);
    else if (key === "pre-vote") settings.preVote = value === "on";
    else if (key === "new") newcomers = value.split(",");
    else if (key === "slow") slow = value === "all" ? servers.replace(/[~+!]/g, "").split(" ") : value.split(",");
    else if (key === "sending" && value === "manual") sending = "delayed";
    else if (key === "election") [settings.electionMinMs, settings.electionMaxMs] = rangeOf(value);
    else if (key === "heartbeat") settings.heartbeatMs = numberOf(value);
    else if (key === "lease") settings.leaseMs = numberOf(value);
    else if (key === "entries") settings.appendEntriesMax = numberOf(value);
    else if (key === "window") settings.windowAppendsMax = numberOf(value);
    else throw new ScriptError(`"${option}" is no option of servers:\n${usages().split("\n")[0]}`);
  }
  const core = stepCore === undefined ? {} : { stepCore };
  return new World({ servers, newcomers, settings, settingsOf, logs, slow, sending, ...core });
}

const changeTypes = {
  add: "add-voter",
  "add-nonvoter": "add-nonvoter",
  demote: "demote-voter",
  remove: "remove-server",
} as const;

function changeOf(word: string): ConfigurationChange {
  const [kind = "", id = ""] = word.split("=");
  if (!Object.hasOwn(changeTypes, kind) || id === "") throw new ScriptError(`no change: ${word}`);
  const type = changeTypes[kind as keyof typeof changeTypes];
  return type === "add-voter" || type === "add-nonvoter" ? { type, id, address: `${id}:1` } : { type, id };
}

function diskOf(word: string): [ServerId, Disk] {
  const [, id, incarnation, starts = "1"] = /^disk\.(\w+)=(\w+)(?:\.(\d+))?$/.exec(word) ?? [];
  if (id === undefined || incarnation === undefined) throw new ScriptError(`no disk: ${word}`);
  return [id, { incarnation, starts: numberOf(starts) }];
}

function rangeOf(text: string): [number, number] {
  const [min, max = min] = text.split("-");
  return [numberOf(min), numberOf(max)];
}

function numberOf(text: string | undefined): number {
  const number = Number(text);
  if (text === undefined || text === "" || !Number.isInteger(number)) throw new ScriptError(`no number: ${text}`);
  return number;
}

function linkOf(text: string | undefined): [ServerId, ServerId] {
  const [from, to, ...rest] = text?.split("->") ?? [];
  if (from === undefined || to === undefined || rest.length > 0) throw new ScriptError(`no link like a->b: ${text}`);
  return [from, to];
}

function selectionOf([link, ...words]: Words): Selection {
  const [from, to] = linkOf(link);
  const number = words.find((word) => word.startsWith("#"));
  const kind = words.find((word) => word !== "all" && !word.startsWith("#"));
  return { from, to, kind, sequence: number === undefined ? undefined : numberOf(number.slice(1)) };
}

function packetsOf(world: World, words: Words): ReturnType<World["find"]> {
  return words.includes("all") ? world.find(selectionOf(words)) : [world.first(selectionOf(words))];
}

function partition(world: World, words: Words): void {
  const sides = words.join(" ").split("|").map((side) => side.split(" ").filter((id) => id !== ""));
  world.cuts.clear();
  for (const from of world.ids) {
    if (sides.every((side) => !side.includes(from))) throw new ScriptError(`"${from}" is on no side`);
    for (const to of world.ids) {
      if (!sides.some((side) => side.includes(from) && side.includes(to))) world.cuts.add(`${from}->${to}`);
    }
  }
  world.put([]);
}

function expect(world: World, [what, ...words]: Words): void {
  if (what === "at-most") {
    const [count, link, kind] = words;
    const [from, to] = linkOf(link);
    const sent = world.sent.filter((packet) => packet.from === from && packet.to === to);
    const found = kind === undefined ? sent : sent.filter(({ message }) => kindOf(message) === kind);
    if (found.length > numberOf(count)) throw new ScriptError(`${found.length} were sent`);
  } else if (what === "leaders") {
    const leaders = world.cluster.leaders.filter((id) => !world.down.has(id)).join(" ") || "none";
    if (leaders !== words.join(" ")) throw new ScriptError(`leaders: ${leaders}`);
  } else {
    const no = words[0] === "no";
    const truth = world.words(what!);
    const wrong = words.slice(no ? 1 : 0).filter((word) => truth.includes(word) === no);
    if (wrong.length > 0) throw new ScriptError(`not so: ${wrong.join(" ")}; ${world.summary(what!)}`);
  }
}
