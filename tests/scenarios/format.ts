/**
 * Messages, effects and servers in one line each.
 *
 * @module
 */
import type { Effect } from "../../src/core/effect.ts";
import type { CoreState } from "../../src/core/state.ts";
import type { Message } from "../../src/message.ts";
import type { LogIndex, ServerId, Term, TermRun } from "../../src/types.ts";

/** What a script calls a message. */
export function kindOf(message: Message): string {
  switch (message.type) {
    case "append-request":
      return "append";
    case "vote-request":
      return message.pre ? "pre-vote" : "vote";
    case "vote-response":
      return message.pre ? "pre-vote-response" : "vote-response";
    default:
      return message.type;
  }
}

/** A message without its sender: `append #2 term=2 after=1/1 entries=2/2 commit=1 round=0` (entries are index/term). */
export function messageText(message: Message): string {
  const kind = kindOf(message);
  switch (message.type) {
    case "append-request": {
      const { sequence, term, prevIndex, prevTerm, commitIndex, round } = message;
      const entries = entriesText(message.runs, prevIndex + 1, message.end);
      return `${kind} #${sequence} term=${term} after=${prevIndex}/${prevTerm}${entries} commit=${commitIndex} ` +
        `round=${round}`;
    }
    case "append-response": {
      const { sequence, term, round, matchIndex, rejected } = message;
      const verdict = rejected === undefined
        ? `match=${matchIndex}`
        : `rejected=${rejected.prevIndex} hint=${rejected.hintIndex}/${rejected.hintTerm}`;
      return `${kind} #${sequence} term=${term} ${verdict} round=${round}`;
    }
    case "vote-request":
      return `${kind} term=${message.term} last=${message.lastIndex}/${message.lastTerm}` +
        (message.transfer ? " transfer" : "");
    case "vote-response":
      return `${kind} term=${message.term} campaign=${message.campaign} ${message.granted ? "granted" : "refused"}`;
    default:
      return `${kind} term=${message.term}`;
  }
}

function entriesText(runs: readonly TermRun[], from: LogIndex, end: LogIndex): string {
  const entries: string[] = [];
  let run = 0;
  for (let index = from; index < end; index++) {
    while (run + 1 < runs.length && runs[run + 1]!.from <= index) run++;
    entries.push(`${index}/${runs[run]!.term}`);
  }
  return entries.length === 0 ? "" : ` entries=${entries.join(",")}`;
}

/** What a server does, but for messages (told when they are sent) and writes; undefined when there is nothing to say. */
export function effectText(id: ServerId, effect: Effect): string | undefined {
  switch (effect.type) {
    case "announce-role": {
      const leader = effect.leader === undefined || effect.leader === id ? "" : ` of ${effect.leader}`;
      return `${id} is ${effect.role}${leader} in term ${effect.term} (${effect.reason})`;
    }
    case "persist-vote":
      return `${id} writes term ${effect.term}, vote ${effect.votedFor ?? "-"}`;
    case "truncate":
      return `${id} removes its entries from ${effect.from} on`;
    case "append":
      return `${id} writes entries ${range(effect.from, effect.end)}${
        effect.source === "message" ? "" : ` of term ${effect.term}`
      }`;
    case "refuse-proposals":
      return `${id} refuses the commands (${effect.reason}${leaderText(effect.leader)})`;
    case "apply":
      return `${id} commits up to ${effect.upTo}`;
    case "answer-read":
      return `${id} answers read ${effect.id} at ${effect.index}`;
    case "refuse-read":
      return `${id} refuses read ${effect.id}${leaderText(effect.leader)}`;
    case "announce-configuration":
      return `${id} goes by the configuration at ${effect.index}: ${
        effect.configuration.servers.map((server) => server.id).join(" ")
      }`;
    case "announce-transfer-failed":
      return `${id} gives up the transfer (${effect.reason})`;
    case "send":
    case "replicate":
      return undefined;
  }
}

function range(from: LogIndex, end: LogIndex): string {
  return end === from + 1 ? `${from}` : `${from}..${end - 1}`;
}

function leaderText(leader: ServerId | undefined): string {
  return leader === undefined ? "" : `, leader ${leader}`;
}

/** What a server is and holds, in words that `expect` understands too. */
export interface Summary {
  readonly state: CoreState;
  readonly terms: readonly Term[];
  readonly disk: { readonly term: Term; readonly votedFor: ServerId | undefined; readonly terms: readonly Term[] };
  readonly down: boolean;
}

/** All words that are true of a server. */
export function wordsOf({ state, terms, disk, down }: Summary): string[] {
  const diskWords = [`disk.term=${disk.term}`, `disk.voted=${disk.votedFor ?? "-"}`, `disk.log=${disk.terms.join()}`];
  if (down) return ["down", ...diskWords];
  const { role, term, votedFor, leader, commitIndex } = state;
  const words = [role, `term=${term}`, `voted=${votedFor ?? "-"}`, `leader=${leader ?? "-"}`];
  return [...words, `log=${terms.join()}`, `commit=${commitIndex}`, ...diskWords];
}

/** The words in one line; of the disk only what differs from memory. */
export function summaryText(id: ServerId, summary: Summary): string {
  const words = wordsOf(summary);
  const known = new Set(words);
  const shown = words.filter((word) => !word.startsWith("disk.") || !known.has(word.slice("disk.".length)));
  return `${id} ${shown.join(" ")}`;
}

/** What a leader knows of its peers, a line each. */
export function progressText(state: CoreState): string[] {
  return [...state.leading?.progress ?? []].map(([peer, progress]) => {
    const { state, matchIndex, nextIndex, inFlight, sending, probe } = progress;
    const waits = [probe !== undefined ? "probe-sent" : "", sending !== undefined ? "sending" : ""].filter(Boolean);
    return [`  ${peer}: ${state} match=${matchIndex} next=${nextIndex} in-flight=${inFlight.length}`, ...waits].join(
      " ",
    );
  });
}
