/**
 * What an event leads to at one server.
 *
 * @module
 */
import { Core } from "../../src/core/core.ts";
import type { CoreSettings } from "../../src/core/state.ts";
import type { IndexedConfiguration, ServerId } from "../../src/types.ts";
import { configuration, runsOf } from "../core/states.ts";
import type { Bounds } from "./bounds.ts";
import { configurationEntry, type Disk, type Local, type LocalEvent, names, now, termOf } from "./model.ts";
import { electionMs, heartbeatMs, leaseMs, normalise } from "./time.ts";
import type { StepCore } from "../core/cluster.ts";
import { type Outcome, Turn } from "./turn.ts";

/** The core as it is. */
export const realStep: StepCore = (state, event, now) => Core.load(state).step(event, now);

/** Steps servers. */
export class Stepper {
  readonly #settings: CoreSettings;
  readonly #slowDisks: boolean;
  readonly #isSet: boolean;
  readonly #configurations: IndexedConfiguration[];
  readonly #stepCore: StepCore;

  constructor(bounds: Bounds, stepCore: StepCore) {
    this.#stepCore = stepCore;
    this.#slowDisks = bounds.slowDisks;
    this.#isSet = bounds.duplicates === Infinity;
    const { servers } = configuration(names.slice(0, bounds.servers).join(" "));
    // An address that has the server's name in it would keep servers from changing places.
    const anywhere = servers.map((server) => ({ ...server, address: "anywhere" }));
    this.#configurations = [{ index: 1, configuration: { servers: anywhere } }];
    this.#settings = {
      heartbeatMs,
      electionMinMs: electionMs,
      electionMaxMs: electionMs,
      leaseMs,
      preVote: bounds.preVote,
      appendEntriesMax: bounds.entriesPerAppend,
      appendBytesMax: 1000,
      windowAppendsMax: 2,
      windowBytesMax: 1000,
      trailingLogs: 0,
      diskStallMs: Infinity,
    };
  }

  /** A server that starts on this disk. */
  start(id: ServerId, disk: Disk): Local {
    const { core } = Core.start({
      id,
      settings: this.#settings,
      seed: 1,
      now,
      vote: { term: disk.term, votedFor: disk.votedFor },
      firstIndex: 1,
      lastIndex: disk.log.length,
      terms: runsOf(disk.log.map(termOf)),
      configurations: this.#configurations,
      damaged: [],
    });
    // A server alone has nobody to wait for, but its timeout is an event like any other.
    normalise(core.state, []);
    return { core: core.state, log: disk.log, disk, writes: [], verified: 0, acknowledged: { term: 0, index: 0 } };
  }

  /** The server of that id as it first starts. */
  first(id: ServerId): Local {
    return this.start(id, { term: 1, votedFor: undefined, log: [configurationEntry] });
  }

  /**
   * What the event leads to; undefined when it can't happen now.
   *
   * @throws {Violation} When an invariant of this server does not hold; an InvariantError when the core says so itself.
   */
  step(local: Local, event: LocalEvent): Outcome | undefined {
    if (!canHappen(local, event)) return;
    if (event.type === "restart") {
      const restarted = this.start(local.core.id, local.disk);
      return { local: { ...restarted, acknowledged: local.acknowledged }, packets: [], truncatedFrom: undefined };
    }
    const turn = new Turn(local, event, this.#stepCore);
    turn.run();
    if (!this.#slowDisks) { while (turn.persist()); }
    const outcome = turn.finish();
    // Where any message may come any number of times, leaving once is as good as twice.
    if (this.#isSet) outcome.local.core.withheld = onlyOnce(outcome.local.core.withheld);
    return outcome;
  }
}

function onlyOnce<T>(items: readonly T[]): T[] {
  const texts = items.map((item) => JSON.stringify(item));
  return items.filter((_, i) => texts.indexOf(texts[i]!) === i);
}

function canHappen({ core, writes }: Local, event: LocalEvent): boolean {
  switch (event.type) {
    case "timeout":
      return core.role !== "leader";
    case "heartbeat":
    case "step-down":
    case "propose":
    case "transfer":
      return core.role === "leader";
    case "give-up":
      return core.leading?.transfer !== undefined;
    case "persist":
      return writes.length > 0;
    default:
      return true;
  }
}
