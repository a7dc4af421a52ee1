/**
 * Configurations as an operator writes them, in the two formats of hashicorp/raft.
 *
 * @module
 */
import { peerId } from "./operator.ts";
import type { Configuration, Server } from "./types.ts";
import { problemOf } from "./wire/configuration.ts";

/**
 * Reads the old format: a list of addresses, each a voter. An id is its address, with `_` for what no id may hold, as
 * {@linkcode Raft.addPeer} gives it.
 *
 * @throws {TypeError} When it is none, or no cluster could have these servers.
 *
 * @example
 * ```ts
 * import { readPeersJson } from "@securecollc/raft";
 *
 * const { servers } = readPeersJson('["10.0.0.1:7001", "10.0.0.2:7001"]');
 * console.log(servers[0].id); // 10.0.0.1_7001
 * ```
 */
export function readPeersJson(text: string): Configuration {
  return configurationOf(text, (value, i) => {
    if (typeof value !== "string") refuse(`element ${i + 1} is no address`);
    return { id: peerId(value), address: value, suffrage: "voter" };
  });
}

/**
 * Reads the new format: a list of `{ "id", "address", "non_voter" }`, the last being false when it is missing.
 *
 * @throws {TypeError} When it is none, or no cluster could have these servers.
 *
 * @example
 * ```ts
 * import { readConfigJson } from "@securecollc/raft";
 *
 * const { servers } = readConfigJson('[{ "id": "a", "address": "10.0.0.1:7001" }]');
 * console.log(servers[0].suffrage); // voter
 * ```
 */
export function readConfigJson(text: string): Configuration {
  return configurationOf(text, (value, i) => {
    if (typeof value !== "object" || value === null) refuse(`element ${i + 1} is no object`);
    const { id, address, non_voter: isNonvoter = false } = value as Record<string, unknown>;
    if (typeof id !== "string") refuse(`element ${i + 1} has no "id"`);
    if (typeof address !== "string") refuse(`element ${i + 1} has no "address"`);
    if (typeof isNonvoter !== "boolean") refuse(`"non_voter" of element ${i + 1} is neither true nor false`);
    return { id, address, suffrage: isNonvoter ? "nonvoter" : "voter" };
  });
}

/**
 * Reads either format.
 *
 * @throws {TypeError} When it is neither.
 */
export function readEitherJson(text: string): Configuration {
  const list = parsed(text);
  return list.some((value) => typeof value === "string") ? readPeersJson(text) : readConfigJson(text);
}

function configurationOf(text: string, serverOf: (value: unknown, i: number) => Server): Configuration {
  const servers = parsed(text).map(serverOf).sort((a, b) => a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
  const problem = problemOf({ servers });
  if (problem !== undefined) refuse(problem);
  return { servers };
}

function parsed(text: string): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    refuse((error as Error).message);
  }
  // As Go reads it: no list is an empty one.
  if (value === null) return [];
  return Array.isArray(value) ? value : refuse("it is no list");
}

function refuse(problem: string): never {
  throw new TypeError(`Cannot read the servers: ${problem}`);
}
