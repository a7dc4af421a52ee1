/**
 * The attachment of a change-request: a MessagePack array with one array a change.
 *
 * @module
 */
import { decode, encode } from "@std/msgpack";
import { ProtocolError } from "../errors.ts";
import { type ConfigurationChange, isAddition } from "../types.ts";
import { problemOfId, problemOfServer } from "./configuration.ts";

/** The most changes that are made at a time. */
export const CHANGES_MAX = 1_000;

/** In this order: written to the wire, never renumber. */
const TYPES = ["add-voter", "add-nonvoter", "demote-voter", "remove-server"] as const;

/** Encodes changes; see {@linkcode problemOfChanges} for what they must be. */
export function encodeChanges(changes: readonly ConfigurationChange[]): Uint8Array {
  return encode(changes.map((change) => {
    const type = TYPES.indexOf(change.type);
    return isAddition(change) ? [type, change.id, change.address, change.priority ?? null] : [type, change.id];
  }));
}

/**
 * Decodes changes, which may come from anybody.
 *
 * @throws {ProtocolError} When they are none.
 */
export function decodeChanges(bytes: Uint8Array): ConfigurationChange[] {
  let value: unknown;
  try {
    value = decode(bytes);
  } catch (cause) {
    return refuse((cause as Error).message);
  }
  if (!Array.isArray(value)) return refuse("they are not an array");
  const changes = value.map(changeOf);
  const problem = problemOfChanges(changes);
  return problem === undefined ? changes : refuse(problem);
}

function changeOf(value: unknown): ConfigurationChange {
  if (!Array.isArray(value)) return refuse("one is not an array");
  const [number, id, address, priority] = value;
  const type = TYPES[number as number];
  if (type === undefined) return refuse(`the type ${number} is unknown`);
  if (type === "demote-voter" || type === "remove-server") {
    return value.length === 2 ? { type, id } : refuse(`a ${type} has ${value.length} items`);
  }
  if (value.length !== 4) return refuse(`a ${type} has ${value.length} items`);
  return priority === null ? { type, id, address } : { type, id, address, priority };
}

/** What is wrong with changes, for the end of a sentence; undefined when nothing is. */
export function problemOfChanges(changes: readonly ConfigurationChange[]): string | undefined {
  if (changes.length > CHANGES_MAX) return `there are ${changes.length}, more than ${CHANGES_MAX}`;
  for (const change of changes) {
    if (!TYPES.includes(change.type)) return `the type ${JSON.stringify(change.type)} is unknown`;
    const { id } = change;
    const problem = isAddition(change)
      ? problemOfServer({ id, address: change.address, priority: change.priority, suffrage: "voter" })
      : problemOfId(id);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function refuse(problem: string): never {
  throw new ProtocolError(`Cannot decode changes of the servers: ${problem}`);
}
