/**
 * Messages made by hand, as a script writes them.
 *
 * @module
 */
import type { CoreMessage } from "../../src/message.ts";
import { runsOf } from "../core/states.ts";
import { ScriptError } from "./world.ts";

const fieldsOf: Readonly<Record<string, readonly string[]>> = {
  vote: ["term", "last", "transfer"],
  "pre-vote": ["term", "last"],
  "vote-response": ["term", "campaign", "granted"],
  "pre-vote-response": ["term", "campaign", "granted"],
  append: ["term", "sequence", "after", "terms", "commit", "round", "leased"],
  "append-response": ["term", "sequence", "match", "round"],
  "timeout-now": ["term"],
};

/** A message from `kind field=value …`; what is not said is 0 or no. */
export function messageOf(kind: string, texts: readonly string[]): CoreMessage {
  const known = fieldsOf[kind];
  if (known === undefined) throw new ScriptError(`no message: ${kind}; there are ${Object.keys(fieldsOf).join(" ")}`);
  const fields = new Map<string, string>();
  for (const text of texts) {
    const [name = "", value = "yes"] = text.split("=");
    if (!known.includes(name)) throw new ScriptError(`${kind} has no ${name}, only ${known.join(" ")}`);
    fields.set(name, value);
  }
  const number = (name: string) => Number(fields.get(name) ?? 0);
  const pair = (name: string) => (fields.get(name) ?? "0/0").split("/").map(Number) as [number, number];
  const term = number("term");
  switch (kind) {
    case "vote":
    case "pre-vote": {
      const [lastIndex, lastTerm] = pair("last");
      return {
        type: "vote-request",
        term,
        pre: kind === "pre-vote",
        lastIndex,
        lastTerm,
        transfer: fields.has("transfer"),
      };
    }
    case "vote-response":
    case "pre-vote-response": {
      const about = { campaign: number("campaign"), granted: fields.has("granted") };
      return { type: "vote-response", term, pre: kind === "pre-vote-response", ...about };
    }
    case "append": {
      const [prevIndex, prevTerm] = pair("after");
      const terms = fields.get("terms")?.split(",").map(Number) ?? [];
      const about = { sequence: number("sequence"), commitIndex: number("commit"), round: number("round") };
      const isLeased = fields.has("leased");
      const end = prevIndex + 1 + terms.length;
      const runs = runsOf(terms, prevIndex + 1);
      return { type: "append-request", term, prevIndex, prevTerm, end, runs, configurations: [], ...about, isLeased };
    }
    case "append-response": {
      const about = { sequence: number("sequence"), round: number("round"), matchIndex: number("match") };
      return { type: "append-response", term, ...about, rejected: undefined };
    }
    default:
      return { type: "timeout-now", term };
  }
}
