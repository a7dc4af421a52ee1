/**
 * Makes a script that fails smaller while it fails in the same way: delta debugging (Zeller and Hildebrandt 2002) on
 * its decisions, then fewer servers, a quieter world, shorter faults and smaller commands.
 *
 * @module
 */
import { POINTS } from "../../points.ts";
import type { SimConfig } from "./config.ts";
import { calm } from "./lines.ts";
import type { Action } from "./nemesis.ts";
import type { RunReport } from "./run.ts";
import { type Decision, isCall, type Script } from "./script.ts";
import type { SimInput } from "./workload.ts";

/** Options of {@linkcode shrink}. */
export interface ShrinkOptions {
  /** Runs a script. */
  readonly run: (script: Script) => Promise<RunReport>;
  /** The invariant that must fail. */
  readonly invariant: string;
  /** Runs at most. */
  readonly triesMax: number;
  /** Called when a smaller script was found. */
  readonly onProgress?: (script: Script, tries: number) => void;
}

/** What is left. */
export interface Shrunk {
  readonly script: Script;
  /** Of the script's run. */
  readonly report: RunReport;
  readonly tries: number;
}

/** Chance that a changed script may be tried with, before it is given up. */
const seedsToTry = 4;

/** Undefined when the script does not fail that way to begin with. */
export async function shrink(script: Script, options: ShrinkOptions): Promise<Shrunk | undefined> {
  const shrinker = new Shrinker(options);
  return await shrinker.accept(script) ? await shrinker.run() : undefined;
}

class Shrinker {
  readonly #options: ShrinkOptions;
  #best!: Script;
  #report!: RunReport;
  #tries = 0;

  constructor(options: ShrinkOptions) {
    this.#options = options;
  }

  async run(): Promise<Shrunk> {
    let before: string;
    do {
      before = JSON.stringify(this.#best);
      await this.#quieten();
      await this.#removeDecisions();
      await this.#removeServers();
      await this.#shorten();
      await this.#simplifyCalls();
    } while (JSON.stringify(this.#best) !== before && !this.#isSpent);
    return { script: this.#best, report: this.#report, tries: this.#tries };
  }

  get #isSpent(): boolean {
    return this.#tries >= this.#options.triesMax;
  }

  /** Whether it fails in the same way: then it is what is made smaller from now on, without what comes after its end. */
  async accept(candidate: Script, seeds = 1): Promise<boolean> {
    for (let i = 0; i < seeds && !this.#isSpent; i++) {
      const script = { ...candidate, seed: candidate.seed + i };
      this.#tries++;
      const report = await this.#options.run(script);
      if (report.violation?.invariant !== this.#options.invariant) continue;
      const end = Math.ceil(report.timeMs * 1000);
      const decisions = script.decisions.filter(({ at }) => at <= end);
      this.#best = { ...script, decisions, until: Math.min(script.until, end + 1) };
      this.#report = report;
      this.#options.onProgress?.(this.#best, this.#tries);
      return true;
    }
    return false;
  }

  /** Everything that happens by chance, off where it can be: then what is left is to the point. */
  async #quieten(): Promise<void> {
    for (const change of quieter) {
      const config = change(this.#best.config);
      if (JSON.stringify(config) === JSON.stringify(this.#best.config)) continue;
      await this.accept({ ...this.#best, config }, seedsToTry);
    }
  }

  /** Delta debugging: removes parts, large ones first. */
  async #removeDecisions(): Promise<void> {
    for (const kept of [isCall, (decision: Decision) => !isCall(decision)]) {
      const decisions = this.#best.decisions.filter(kept);
      if (decisions.length < this.#best.decisions.length) await this.accept({ ...this.#best, decisions }, 2);
    }
    let size = Math.ceil(this.#best.decisions.length / 2);
    while (size >= 1 && !this.#isSpent) {
      let from = 0;
      while (from < this.#best.decisions.length && !this.#isSpent) {
        const decisions = this.#best.decisions.filter((_, i) => i < from || i >= from + size);
        // What follows has moved into the place of what was removed.
        if (!await this.accept({ ...this.#best, decisions })) from += size;
      }
      size = size === 1 ? 0 : Math.ceil(size / 2);
    }
  }

  async #removeServers(): Promise<void> {
    for (let server = this.#best.config.servers - 1; server >= 0; server--) {
      const { servers, moving } = this.#best.config;
      // Where servers are called by name, only the last may be missing, and only if nobody began with it.
      const isFree = moving === undefined || (server === servers - 1 && server >= moving.voters);
      if (servers > 1 && isFree) await this.accept(withoutServer(this.#best, server), seedsToTry);
    }
  }

  /** Faults as short, and decisions as close to one another, as can be. */
  async #shorten(): Promise<void> {
    for (let i = 0; i < this.#best.decisions.length; i++) {
      await this.#halve((script) => closer(script, i));
      await this.#halve((script) => shorter(script, i));
    }
  }

  async #halve(change: (script: Script) => Script | undefined): Promise<void> {
    for (let round = 0; round < 16 && !this.#isSpent; round++) {
      const smaller = change(this.#best);
      if (smaller === undefined || !await this.accept(smaller)) return;
    }
  }

  /** The shortest commands that do. */
  async #simplifyCalls(): Promise<void> {
    for (let i = 0; i < this.#best.decisions.length; i++) {
      const decision = this.#best.decisions[i]!;
      if (!isCall(decision) || decision.input.type === "get") continue;
      const input = { type: "put", key: "k", value: `${i}` } as const;
      if (JSON.stringify(input) === JSON.stringify(decision.input)) continue;
      await this.accept({ ...this.#best, decisions: this.#best.decisions.with(i, { ...decision, input }) });
    }
  }
}

/** Changes that leave less to chance. */
const quieter: readonly ((config: SimConfig) => SimConfig)[] = [
  (config) => ({ ...config, network: calm(config.network) }),
  ({ network: { bulk: _, ...network }, ...config }) => ({ ...config, network }),
  (config) => ({ ...config, termStart: 0 }),
  ({ indexStart: _, ...config }) => config,
  (config) => ({ ...config, client: { ...config.client, workChance: 0 } }),
  (config) => ({ ...config, clocks: config.clocks.map((clock) => ({ ...clock, rate: 1, start: 0, timerLateMax: 0 })) }),
  ...(["loss", "duplicate", "replay", "refuse", "tailChance", "late", "refuseDial", "bytesPerMs"] as const).map(
    (name) => (config: SimConfig) => ({
      ...config,
      network: { ...config.network, [name]: 0 },
    }),
  ),
  (config) => ({ ...config, network: { ...config.network, reorder: false } }),
  (config) => ({ ...config, network: { ...config.network, delayMax: config.network.delayMin } }),
  (config) => ({ ...config, disk: { ...config.disk, stallChance: 0 } }),
  (config) => ({ ...config, disk: { ...config.disk, latencyMax: config.disk.latencyMin } }),
  (config) => ({ ...config, disk: { ...config.disk, store: "memory" } }),
  (config) => ({ ...config, settings: withoutLimits(config.settings) }),
  ...POINTS.map((point) => (config: SimConfig) => ({ ...config, points: config.points?.filter((it) => it !== point) })),
];

function withoutLimits(settings: SimConfig["settings"]): SimConfig["settings"] {
  const { appendEntriesMax: _1, appendBytesMax: _2, windowAppendsMax: _3, windowBytesMax: _4, ...rest } = settings;
  const { logCacheBytesMax: _5, ...kept } = rest;
  return kept;
}

/** The script in a cluster that never had this server. */
function withoutServer(script: Script, server: number): Script {
  const { config } = script;
  const place = (at: number) => at > server ? at - 1 : at;
  const decisions = script.decisions.flatMap((decision): Decision[] => {
    if (isCall(decision)) {
      if (isAbout(decision.input, server)) return [];
      return decision.server === server ? [] : [{ ...decision, server: place(decision.server) }];
    }
    const action = actionWithout(decision.action, server, place);
    return action === undefined ? [] : [{ ...decision, action }];
  });
  const clocks = config.clocks.filter((_, i) => i !== server);
  return { ...script, config: { ...config, servers: config.servers - 1, clocks }, decisions };
}

/** Whether somebody asks for something to be done with that server. */
function isAbout(input: SimInput, server: number): boolean {
  if (input.type === "transfer") return input.to === `s${server}`;
  return input.type === "move" && input.changes.some(({ id }) => id === `s${server}`);
}

/** Undefined when it is about that server. Servers are found by the fields that name them. */
function actionWithout(action: Action, server: number, place: (at: number) => number): Action | undefined {
  const changed: Record<string, unknown> = { ...action };
  for (const field of ["server", "a", "b", "from", "to"]) {
    const at = changed[field];
    if (typeof at !== "number") continue;
    if (at === server) return undefined;
    changed[field] = place(at);
  }
  if (action.type === "swizzle") {
    const clogs = action.clogs.filter((clog) => clog.server !== server);
    if (clogs.length === 0) return undefined;
    changed.clogs = clogs.map((clog) => ({ ...clog, server: place(clog.server) }));
  }
  if (action.type === "cut") {
    const directions = action.directions.filter((pair) => !pair.includes(server));
    if (directions.length === 0) return undefined;
    changed.directions = directions.map(([from, to]) => [place(from), place(to)]);
  }
  return changed as unknown as Action;
}

/** Half the time from the decision before; undefined when that is next to nothing. */
function closer(script: Script, i: number): Script | undefined {
  const gap = script.decisions[i]!.at - (script.decisions[i - 1]?.at ?? 0);
  if (gap < 1000) return undefined;
  const earlier = Math.floor(gap / 2);
  const decisions = script.decisions.map((decision, at) =>
    at < i ? decision : { ...decision, at: decision.at - earlier }
  );
  return { ...script, decisions };
}

/** Half the duration of a fault; undefined when it has none, or next to none. */
function shorter(script: Script, i: number): Script | undefined {
  const decision = script.decisions[i]!;
  if (isCall(decision) || !("for" in decision.action) || decision.action.for < 1000) return undefined;
  const action = { ...decision.action, for: Math.floor(decision.action.for / 2) };
  return { ...script, decisions: script.decisions.with(i, { ...decision, action }) };
}
