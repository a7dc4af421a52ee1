/**
 * Messages, effects and servers in one line each.
 *
 * @module
 */
import type { Effect } from "../../src/core/effect.ts";
import type { CoreState } from "../../src/core/state.ts";
import type { Message } from "../../src/message.ts";
import type { Configuration, IndexedConfiguration, LogIndex, ServerId, Term, TermRun } from "../../src/types.ts";

/** What a script calls a message. */
export function kindOf(message: Message): string {
  switch (message.type) {
    case "append-request":
      return "append";
    case "vote-request":
      return message.pre ? "pre-vote" : "vote";
    case "vote-response":
      return message.pre ? "pre-vote-response" : "vote-response";
    case "snapshot-request":
      return "snapshot";
    default:
      return message.type;
  }
}

/**
 * A message without its sender: `append #2 term=2 after=1/1 entries=2/2,3/2* commit=1 round=0` (entries are index/term,
 * with a star when they hold a configuration).
 */
export function messageText(message: Message): string {
  const kind = kindOf(message);
  switch (message.type) {
    case "append-request": {
      const { sequence, term, prevIndex, prevTerm, commitIndex, round } = message;
      const entries = entriesText(message.runs, prevIndex + 1, message.end, message.configurations);
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
    case "snapshot-request":
      return `snapshot term=${message.term} index=${message.index}/${message.lastTerm}`;
    case "snapshot-response":
      return `${kind} term=${message.term} ${message.status}`;
    case "vote-response":
      return `${kind} term=${message.term} campaign=${message.campaign} ${message.granted ? "granted" : "refused"}`;
    default:
      return `${kind} term=${message.term}`;
  }
}

function entriesText(
  runs: readonly TermRun[],
  from: LogIndex,
  end: LogIndex,
  configurations: readonly IndexedConfiguration[],
): string {
  // That of entry 1 is known to all from the start.
  const isMarked = (at: LogIndex) => at > 1 && configurations.some(({ index }) => index === at);
  const entries: string[] = [];
  let run = 0;
  for (let index = from; index < end; index++) {
    while (run + 1 < runs.length && runs[run + 1]!.from <= index) run++;
    entries.push(`${index}/${runs[run]!.term}${isMarked(index) ? "*" : ""}`);
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
      return `${id} goes by the configuration at ${effect.index}: ${configurationText(effect.configuration)}`;
    case "announce-transfer-failed":
      return `${id} gives up the transfer${effect.to === undefined ? "" : ` to ${effect.to}`} (${effect.reason})`;
    case "settle-change": {
      const { id: change, index, refusal } = effect;
      if (refusal === undefined) return `${id} answers change ${change}: done at ${index}`;
      return `${id} answers change ${change}: ${refusal.reason}${refusal.begun ? ", begun" : ""}`;
    }
    case "announce-catch-up":
      return `${id} sees ${effect.peer} catch up: ${effect.matchIndex} of ${effect.lastIndex} in round ${effect.round}`;
    case "announce-distrust":
      return `${id} counts on ${effect.peer} no more: its disk is ${effect.reason}`;
    case "announce-readmission":
      return `${id} counts on ${effect.peer} again`;
    case "announce-removed":
      return `${id} is removed as of entry ${effect.index}`;
    case "forget-peer":
      return `${id} forgets ${effect.peer}`;
    case "compact":
      return `${id} keeps entries from ${effect.firstIndex} on`;
    case "install-snapshot":
      return `${id} installs the snapshot up to ${effect.index}`;
    default:
      return undefined;
  }
}

/** `a b@X.1 ~c +d`: voters a and b, which is known by the first start of disk X, nonvoter c, staging d. `a -b c / a b`: joint, the voters before were a and b. */
export function configurationText({ servers, outgoing }: Configuration): string {
  const marks = { voter: "", nonvoter: "~", staging: "+" };
  const texts = servers.map(({ id, suffrage, leaving, disk }) => {
    const known = disk === undefined ? "" : `@${disk.incarnation}.${disk.starts}`;
    return (leaving === true ? "-" : marks[suffrage]) + id + known;
  });
  return texts.join(" ") + (outgoing === undefined ? "" : ` / ${outgoing.join(" ")}`);
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
  if (state.log.firstIndex > 1) words.push(`from=${state.log.firstIndex}`);
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
