/**
 * Cores in states of our choice, messages with the dull fields filled in, and what one step changed.
 *
 * @module
 */
import { Core } from "../../src/core/core.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Event } from "../../src/core/event.ts";
import { newProgress, type Progress } from "../../src/core/progress.ts";
import type { CoreSettings, CoreState, Leading } from "../../src/core/state.ts";
import type { AppendRequest, AppendResponse, CoreMessage, VoteRequest, VoteResponse } from "../../src/message.ts";
import type { Configuration, LogIndex, Server, ServerId, Suffrage, Term, TermRun } from "../../src/types.ts";

/** No randomness: each election timeout is 1000 ms. */
export const settings: CoreSettings = {
  heartbeatMs: 50,
  electionMinMs: 1000,
  electionMaxMs: 1000,
  leaseMs: 500,
  preVote: true,
  appendEntriesMax: 4,
  appendBytesMax: 1000,
  windowAppendsMax: 3,
  windowBytesMax: 2000,
  trailingLogs: 0,
  diskStallMs: Infinity,
};

const suffrages: Record<string, Suffrage> = { "~": "nonvoter", "+": "staging" };

/** `a b ~c +d e!`: voters a and b, nonvoter c, staging d, voter e of priority 0; `a b -c / b c`: joint, c is leaving. */
export function configuration(text: string): Configuration {
  const [incoming = "", outgoing] = text.split("/");
  const servers = words(incoming).map((word): Server => {
    const id = word.replace(/[~+!-]/g, "");
    const server = { id, address: `${id}:1`, suffrage: suffrages[word[0]!] ?? "voter" };
    if (word[0] === "-") return { ...server, suffrage: "nonvoter", leaving: true };
    return word.endsWith("!") ? { ...server, priority: 0 } : server;
  });
  return outgoing === undefined ? { servers } : { servers, outgoing: words(outgoing) };
}

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

/** Runs of these terms, the first of which is that of the entry `from`. */
export function runsOf(terms: readonly Term[], from: LogIndex = 1): TermRun[] {
  const runs: TermRun[] = [];
  for (let i = 0; i < terms.length; i++) {
    if (i === 0 || terms[i] !== terms[i - 1]) runs.push({ term: terms[i]!, from: from + i });
  }
  return runs;
}

/** What a test says of a core; the rest is as after a start. */
export interface Given {
  /** Default: `a`. */
  readonly id?: ServerId;
  /** See {@linkcode configuration}. Default: `a b c`. */
  readonly servers?: string;
  /** The terms of the log's entries, from index 1, which holds the configuration. Default: one entry of term 1. */
  readonly terms?: readonly Term[];
  /** Default: that of the last entry. */
  readonly term?: Term;
  readonly votedFor?: ServerId | undefined;
  readonly settings?: Partial<CoreSettings>;
  /** Anything else. */
  readonly state?: Partial<CoreState>;
}

/** A core as it is after a start at time 0, but for what is given. */
export function coreOf(given: Given = {}): Core {
  const { id = "a", servers = "a b c", terms = [1] } = given;
  const { core } = Core.start({
    id,
    settings: { ...settings, ...given.settings },
    seed: 1,
    now: 0,
    vote: { term: given.term ?? terms[terms.length - 1] ?? 0, votedFor: given.votedFor },
    firstIndex: 1,
    lastIndex: terms.length,
    terms: runsOf(terms),
    configurations: terms.length === 0 ? [] : [{ index: 1, configuration: configuration(servers) }],
    damaged: [],
  });
  return Core.load({ ...core.state, ...given.state });
}

/** Also a leader's own. */
export interface GivenLeader extends Given {
  readonly leading?: Partial<Leading>;
  /** By peer. */
  readonly progress?: Readonly<Record<ServerId, Partial<Progress>>>;
}

/**
 * A leader at time 0 that has just sent heartbeats: it began its term with its last entry unless `leading.firstIndex`
 * says otherwise, and its peers have the sequences 1 to 9 behind them, are caught up in `nextIndex` and match nothing.
 */
export function leaderOf(given: GivenLeader = {}): Core {
  const { id = "a", terms = [1], progress: partial = {} } = given;
  const core = coreOf({ votedFor: id, ...given });
  const base = newProgress(terms.length + 1, 0);
  const progress = new Map<ServerId, Progress>();
  for (const { id: peer } of configuration(given.servers ?? "a b c").servers) {
    if (peer === id) continue;
    const known = { ...base, state: "replicate" as const, heartbeatDue: false, sequence: 10, hasAnswered: true };
    progress.set(peer, { ...known, inFlight: [], ...partial[peer] });
  }
  const leading: Leading = {
    firstIndex: terms.length,
    progress,
    heartbeatAt: 50,
    creditedAt: -Infinity,
    round: 0,
    leaseFrom: -Infinity,
    leaseWantedAt: -Infinity,
    readRound: undefined,
    readsWaiting: [],
    transfer: undefined,
    reconfigurations: [],
    reconfigures: false,
    preferAt: Infinity,
    unsyncedSince: Infinity,
    ...given.leading,
  };
  return Core.load({ ...core.state, role: "leader", leader: id, termLeader: id, leading, ...given.state });
}

/** What one step did: all its effects, and every field that changed, by its path (but for the generator's state). */
export interface Taken {
  readonly effects: Effect[];
  readonly changes: Record<string, unknown>;
}

/** Takes one step. */
export function take(core: Core, event: Event, now = 0): Taken {
  const before = flat(structuredClone(core.state));
  const effects = core.step(event, now);
  const after = flat(core.state);
  const changes: Record<string, unknown> = {};
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    if (path !== "random" && text(before.get(path)) !== text(after.get(path))) changes[path] = after.get(path);
  }
  return { effects, changes };
}

/** Takes one message. */
export function receive(core: Core, from: ServerId, message: CoreMessage, now = 0): Taken {
  return take(core, { type: "message-received", from, message }, now);
}

// Only what all states have in common is taken apart: a whole leadership or campaign that begins or ends is one change.
function flat(state: CoreState): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [key, value] of Object.entries(state)) {
    if (key === "log") { for (const [field, it] of Object.entries(value)) fields.set(`log.${field}`, it); }
    else if (key !== "leading" || value === undefined) fields.set(key, value);
  }
  if (state.leading === undefined) return fields;
  for (const [key, value] of Object.entries(state.leading)) {
    if (key !== "progress") fields.set(`leading.${key}`, value);
  }
  for (const [peer, progress] of state.leading.progress) {
    for (const [key, value] of Object.entries(progress)) fields.set(`${peer}.${key}`, value);
  }
  return fields;
}

function text(value: unknown): string {
  return JSON.stringify(value, (_, it) => {
    if (it instanceof Map) return { map: [...it] };
    if (it === undefined || (typeof it === "number" && !Number.isFinite(it))) return `<${it}>`;
    return it;
  });
}

/** An append: `terms` are those of its entries. */
export function append(
  about: Partial<AppendRequest> & { readonly terms?: readonly Term[] } = {},
): AppendRequest {
  const { terms = [], ...fields } = about;
  const prevIndex = fields.prevIndex ?? 1;
  return {
    type: "append-request",
    term: 1,
    sequence: 1,
    prevIndex,
    prevTerm: 1,
    end: prevIndex + 1 + terms.length,
    runs: runsOf(terms, prevIndex + 1),
    configurations: [],
    commitIndex: 0,
    round: 0,
    isLeased: false,
    ...fields,
  };
}

/** The answer to an append that was accepted. */
export function accepted(about: Partial<AppendResponse> = {}): AppendResponse {
  return { type: "append-response", term: 1, sequence: 1, round: 0, matchIndex: 0, rejected: undefined, ...about };
}

/** The answer to an append that did not fit. */
export function rejected(
  prevIndex: LogIndex,
  hintIndex: LogIndex,
  hintTerm: Term,
  about: Partial<AppendResponse> = {},
): AppendResponse {
  return { ...accepted(about), rejected: { prevIndex, hintIndex, hintTerm, isDamaged: false } };
}

/** A candidate's request. */
export function voteRequest(about: Partial<VoteRequest> = {}): VoteRequest {
  return { type: "vote-request", term: 2, pre: false, lastIndex: 1, lastTerm: 1, transfer: false, ...about };
}

/** The answer to it. */
export function voteResponse(about: Partial<VoteResponse> = {}): VoteResponse {
  return { type: "vote-response", term: 2, pre: false, campaign: 2, granted: true, ...about };
}

/** The effect that sends this message. */
export function sends(to: ServerId, message: Extract<Effect, { type: "send" }>["message"]): Effect {
  return { type: "send", to, message };
}

/** The effect that writes a vote. */
export function persists(sequence: number, term: Term, votedFor: ServerId | undefined): Effect {
  return { type: "persist-vote", sequence, term, votedFor };
}

/** The effect that tells of a role. */
export function announces(
  role: CoreState["role"],
  term: Term,
  leader: ServerId | undefined,
  reason: Extract<Effect, { type: "announce-role" }>["reason"],
): Effect {
  return { type: "announce-role", role, term, leader, reason };
}

/** State of a candidate that has asked for votes in its (durable) term. */
export function campaigning(
  term: Term,
  about: { readonly pre?: boolean; readonly yes?: string; readonly no?: string } = {},
): Partial<CoreState> {
  const { pre = false, yes = "a", no = "" } = about;
  const votes = new Map<ServerId, boolean>();
  for (const id of words(yes)) votes.set(id, true);
  for (const id of words(no)) votes.set(id, false);
  return { role: pre ? "pre-candidate" : "candidate", campaign: { pre, term, transfer: false, votes } };
}

/** State of a follower that heard this leader of its term. */
export function following(leader: ServerId, about: Partial<CoreState> = {}): Partial<CoreState> {
  const { leaderHeardAt = 0 } = about;
  const promisedUntil = leaderHeardAt + settings.electionMinMs;
  return { leader, termLeader: leader, leaderHeardAt, promisedUntil, ...about };
}

/** Time has passed. */
export const deadline: Event = { type: "deadline-reached" };

/** The turn is over. */
export const drained: Event = { type: "drained" };
