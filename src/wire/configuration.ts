/**
 * Configurations as bytes: hashicorp's `Configuration` as a msgpack map, keys in alphabetical order as Go writes them,
 * with `Incarnation`, `Leaving`, `Priority`, `Starts` and `Outgoing` added (Go members skip keys that they don't know). Without these the bytes
 * are those that Go writes, as long as ids and addresses have fewer than 32 bytes.
 *
 * The bytes depend on nothing but the configuration: entry 1 must be identical on every server that bootstraps.
 *
 * @module
 */
import { decode, encode, type ValueMap, type ValueType } from "@std/msgpack";
import { InvariantError, ProtocolError } from "../errors.ts";
import { crc32c } from "./crc32c.ts";
import { type Configuration, type Disk, type Server, type ServerId, SERVERS_MAX, type Suffrage } from "../types.ts";

/** What a server's id looks like. */
export const SERVER_ID_PATTERN: RegExp = /^[A-Za-z0-9._-]{1,64}$/;

/** The most characters an address may have: a DNS name, brackets and a port fit. */
export const ADDRESS_LENGTH_MAX = 300;

/** The largest {@linkcode Server.priority}. */
export const PRIORITY_MAX = 0xffff_ffff;

// deno-lint-ignore no-control-regex
const BLANKS = /[\x00-\x20\x7f]/;

/** In hashicorp's numbering. */
const SUFFRAGES: readonly Suffrage[] = ["voter", "nonvoter", "staging"];

/**
 * Encodes a configuration; its servers in any order.
 *
 * @throws {InvariantError} When {@linkcode problemOf} it isn't undefined: no server could decode it again.
 */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const problem = problemOf(configuration);
  if (problem !== undefined) throw new InvariantError(`Cannot encode the configuration: ${problem}`);
  const servers = [...configuration.servers].sort((a, b) => compareIds(a.id, b.id)).map(serverToMap);
  const { outgoing } = configuration;
  return encode(
    outgoing === undefined ? { Servers: servers } : { Outgoing: [...outgoing].sort(compareIds), Servers: servers },
  );
}

/** Tells first configurations apart: 8 hexadecimal digits, the CRC32C of the configuration's bytes. */
export function fingerprintOf(configuration: Configuration): string {
  return crc32c(encodeConfiguration(configuration)).toString(16).padStart(8, "0");
}

/**
 * Decodes a configuration, which may come from anybody.
 *
 * @throws {ProtocolError} When it is none or {@linkcode problemOf} it isn't undefined.
 */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const map = asMap(decodeValue(bytes), "it");
  const servers = asArray(own(map, "Servers"), '"Servers"').map(serverOf).sort((a, b) => compareIds(a.id, b.id));
  const outgoing = own(map, "Outgoing");
  const configuration: Configuration = outgoing === undefined || outgoing === null ? { servers } : {
    servers,
    outgoing: asArray(outgoing, '"Outgoing"').map((id) => asText(id, "an outgoing id")).sort(compareIds),
  };
  const problem = problemOf(configuration);
  if (problem !== undefined) refuse(problem);
  return configuration;
}

/** What is wrong with a configuration, for the end of a sentence; undefined when nothing is. */
export function problemOf(configuration: Configuration): string | undefined {
  const { servers, outgoing } = configuration;
  if (servers.length > SERVERS_MAX) return `it has ${servers.length} servers, more than ${SERVERS_MAX}`;
  const ids = new Set<string>();
  const addresses = new Set<string>();
  for (const server of servers) {
    const problem = problemOfServer(server);
    if (problem !== undefined) return problem;
    if (ids.has(server.id)) return `two servers have the id "${server.id}"`;
    if (addresses.has(server.address)) return `two servers have the address "${server.address}"`;
    ids.add(server.id);
    addresses.add(server.address);
  }
  if (!servers.some((server) => server.suffrage === "voter")) return "it has no voter";
  const going = servers.find(({ leaving }) => leaving !== undefined);
  if (going !== undefined && (going.suffrage !== "nonvoter" || outgoing?.includes(going.id) !== true)) {
    return `"${going.id}" is leaving and not an outgoing voter`;
  }
  return outgoing === undefined ? undefined : problemOfOutgoing(outgoing);
}

/** What is wrong with a server's id, for the end of a sentence; undefined when nothing is. */
export function problemOfId(id: unknown): string | undefined {
  if (typeof id === "string" && SERVER_ID_PATTERN.test(id)) return undefined;
  return `the id ${quote(String(id))} is not 1 to 64 of the characters A-Z a-z 0-9 . _ -`;
}

/** What is wrong with a server, for the end of a sentence; undefined when nothing is. */
export function problemOfServer(
  { id, address, suffrage, priority, disk }: Omit<Server, "priority"> & { readonly priority?: number | undefined },
): string | undefined {
  const unfit = problemOfId(id);
  if (unfit !== undefined) return unfit;
  const isText = typeof address === "string" && address.length >= 1 && address.length <= ADDRESS_LENGTH_MAX;
  if (!isText || BLANKS.test(address)) {
    return `the address ${quote(String(address))} of "${id}" is empty, too long or has blanks in it`;
  }
  if (!SUFFRAGES.includes(suffrage)) return `the suffrage ${quote(suffrage)} of "${id}" is unknown`;
  if (disk !== undefined && !isDisk(disk)) return `the disk of "${id}" is none`;
  if (priority === undefined) return undefined;
  const fits = Number.isInteger(priority) && priority >= 0 && priority <= PRIORITY_MAX;
  return fits ? undefined : `the priority ${priority} of "${id}" is not a whole number from 0 to ${PRIORITY_MAX}`;
}

/** Whether a configuration can hold this disk. */
export function isDisk({ incarnation, starts }: Disk): boolean {
  if (typeof incarnation !== "string" || incarnation.length < 1 || incarnation.length > 64) return false;
  return Number.isSafeInteger(starts) && starts >= 1;
}

function problemOfOutgoing(outgoing: readonly ServerId[]): string | undefined {
  if (outgoing.length < 1) return "it is joint without outgoing voters";
  if (outgoing.length > SERVERS_MAX) return `it has ${outgoing.length} outgoing voters, more than ${SERVERS_MAX}`;
  const unfit = outgoing.find((id) => !SERVER_ID_PATTERN.test(id));
  if (unfit !== undefined) return `the outgoing id ${quote(unfit)} is not 1 to 64 of the characters A-Z a-z 0-9 . _ -`;
  return new Set(outgoing).size < outgoing.length ? "an outgoing voter is in it twice" : undefined;
}

function serverToMap({ id, address, suffrage, priority, leaving, disk }: Server): ValueMap {
  return {
    Address: address,
    ID: id,
    ...disk === undefined ? {} : { Incarnation: disk.incarnation },
    ...leaving === undefined ? {} : { Leaving: true },
    ...priority === undefined ? {} : { Priority: priority },
    ...disk === undefined ? {} : { Starts: disk.starts },
    Suffrage: SUFFRAGES.indexOf(suffrage),
  };
}

function serverOf(value: ValueType): Server {
  const map = asMap(value, "a server");
  const id = asText(own(map, "ID"), "a server's id");
  const address = asText(own(map, "Address"), "a server's address");
  const number = asNumber(own(map, "Suffrage") ?? 0, "a server's suffrage");
  const suffrage = SUFFRAGES[number] ?? refuse(`the suffrage ${number} of "${id}" is unknown`);
  const priority = own(map, "Priority") ?? undefined;
  const leaving = own(map, "Leaving") === true;
  return {
    id,
    address,
    suffrage,
    ...priority === undefined ? {} : { priority: asNumber(priority, "a server's priority") },
    ...leaving ? { leaving } : {},
    ...diskOf(map),
  };
}

function diskOf(map: ValueMap): Pick<Server, "disk"> {
  const incarnation = own(map, "Incarnation") ?? undefined;
  if (incarnation === undefined) return {};
  const starts = asNumber(own(map, "Starts") ?? 0, "a server's starts");
  return { disk: { incarnation: asText(incarnation, "a server's incarnation"), starts } };
}

function decodeValue(bytes: Uint8Array): ValueType {
  try {
    return decode(bytes);
  } catch (cause) {
    // Also a stack overflow by nesting, which the decoder leaves to the engine.
    return refuse((cause as Error).message);
  }
}

function own(map: ValueMap, key: string): ValueType | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

function asMap(value: ValueType | undefined, what: string): ValueMap {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || Array.isArray(value)) {
    refuse(`${what} is not a map`);
  }
  return value as ValueMap;
}

function asArray(value: ValueType | undefined, what: string): readonly ValueType[] {
  if (!Array.isArray(value)) refuse(`${what} is not an array`);
  if (value.length > SERVERS_MAX) refuse(`${what} has ${value.length} elements, more than ${SERVERS_MAX}`);
  return value;
}

/** Text may come as bytes from Go, whose old msgpack doesn't tell the two apart. */
function asText(value: ValueType | undefined, what: string): string {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  return refuse(`${what} is not text`);
}

function asNumber(value: ValueType, what: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  return refuse(`${what} is not a number`);
}

function refuse(problem: string): never {
  throw new ProtocolError(`Cannot decode the configuration: ${problem}`);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/** By UTF-16 units, which is the same on every machine; a locale's order is not. */
function compareIds(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
