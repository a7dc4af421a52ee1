/**
 * The handshake ↔ bytes: the dialling server says hello, the dialled one welcomes or refuses it. Both are positional
 * MessagePack arrays. Versions change what they say by appending items, never by changing one.
 *
 * @module
 */
import { decode, encode } from "@std/msgpack";
import { ProtocolError } from "../errors.ts";
import type { Disk, ServerAddress, ServerId } from "../types.ts";
import { isDisk, SERVER_ID_PATTERN } from "./configuration.ts";

/** No hello or reply is longer. */
export const HANDSHAKE_BYTES_MAX = 2048;

/** The longest cluster id: what a store has room for, so that whoever joins a cluster can write its id down. */
export const CLUSTER_ID_BYTES_MAX = 255;

/** What the dialling server says. */
export interface Hello {
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** Empty while the server belongs to no cluster yet. */
  readonly clusterId: string;
  readonly from: ServerId;
  /** Whom it wants to talk to. */
  readonly to: ServerId;
  readonly channel: "consensus" | "bulk";
  readonly incarnation: string;
  readonly starts: number;
  /** Where the dialling server can be dialled itself. */
  readonly address: ServerAddress;
  /** Random number of this connection. */
  readonly nonce: number;
  /** Nonce of the last connection with that server on this channel, 0 when there was none. Tells a dial that crossed
   * with one of ours from one made because ours was lost. */
  readonly lastNonce: number;
  /** Fingerprint of the cluster's first entry, empty when the server does not know it (any more). */
  readonly firstEntry: string;
}

/** How the dialled server agrees. */
export interface Welcome {
  readonly protocol: number;
  readonly clusterId: string;
  readonly serverId: ServerId;
  readonly incarnation: string;
  readonly starts: number;
  readonly address: ServerAddress;
  /** See {@linkcode Hello.firstEntry}. */
  readonly firstEntry: string;
}

/** Why a hello is refused. */
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** How the dialled server refuses. */
export interface Refusal {
  readonly code: RefusalCode;
  /** In words that are right on both sides. */
  readonly reason: string;
}

/** What answers a hello. */
export type HandshakeReply =
  | { readonly welcome: Welcome; readonly refusal?: undefined }
  | { readonly refusal: Refusal; readonly welcome?: undefined };

const REFUSAL_CODES = [
  "protocol",
  "group",
  "own-id",
  "target-id",
  "cluster-id",
  // The certificate belongs to another server.
  "identity",
  // A connection of the same two servers, dialled by the other one at the same time, is kept instead.
  "crossing",
  // A newer start of the same server is connected.
  "stale",
  "overloaded",
  // The clusters have one name but did not begin with the same configuration.
  "first-entry",
] as const;

const CHANNELS: readonly Hello["channel"][] = ["consensus", "bulk"];

/** Whether this can be a cluster's id: what every handshake takes and every store can hold. */
export function isClusterId(id: unknown): id is string {
  if (typeof id !== "string" || id === "" || id.length > CLUSTER_ID_BYTES_MAX || !isPrintable(id)) return false;
  return new TextEncoder().encode(id).length <= CLUSTER_ID_BYTES_MAX;
}

/** Whether every handshake takes a store's disk, and every configuration can hold it. */
export function isStoredDisk(disk: Disk): boolean {
  return isDisk(disk) && isPrintable(disk.incarnation);
}

/** Encodes a hello. */
export function encodeHello(hello: Hello): Uint8Array {
  return encode([
    hello.protocolMin,
    hello.protocolMax,
    hello.clusterId,
    hello.from,
    hello.to,
    CHANNELS.indexOf(hello.channel),
    hello.incarnation,
    hello.starts,
    hello.address,
    hello.nonce,
    hello.lastNonce,
    ...appended(hello.firstEntry),
  ]);
}

/**
 * Decodes a hello. Later protocols may append items, which are ignored.
 *
 * @throws {ProtocolError} If it is none.
 */
export function decodeHello(bytes: Uint8Array): Hello {
  const items = decodeArray(bytes, 11);
  const channel = CHANNELS[integer(items[5], "channel")];
  if (channel === undefined) throw new ProtocolError("Cannot decode a handshake: its channel is unknown");
  return {
    protocolMin: integer(items[0], "protocolMin"),
    protocolMax: integer(items[1], "protocolMax"),
    clusterId: clusterId(items[2]),
    from: serverId(items[3], "from"),
    to: serverId(items[4], "to"),
    channel,
    ...diskOf(items[6], items[7]),
    address: text(items[8], "address"),
    nonce: integer(items[9], "nonce"),
    lastNonce: integer(items[10], "lastNonce"),
    firstEntry: items.length > 11 ? text(items[11], "firstEntry") : "",
  };
}

/** Encodes the answer to a hello. */
export function encodeReply(reply: HandshakeReply): Uint8Array {
  if (reply.welcome === undefined) {
    return encode([1, REFUSAL_CODES.indexOf(reply.refusal.code), cut(reply.refusal.reason)]);
  }
  const { protocol, clusterId, serverId, incarnation, starts, address, firstEntry } = reply.welcome;
  return encode([0, protocol, clusterId, serverId, incarnation, starts, address, ...appended(firstEntry)]);
}

/**
 * Decodes the answer to a hello. Later protocols may append items, which are ignored.
 *
 * @throws {ProtocolError} If it is none.
 */
export function decodeReply(bytes: Uint8Array): HandshakeReply {
  const items = decodeArray(bytes, 3);
  if (items[0] === 1) {
    const code = REFUSAL_CODES[integer(items[1], "code")];
    if (code === undefined) throw new ProtocolError("Cannot decode a handshake: its refusal is unknown");
    return { refusal: { code, reason: text(items[2], "reason", 512) } };
  }
  if (items[0] !== 0) throw new ProtocolError("Cannot decode a handshake: it neither welcomes nor refuses");
  return {
    welcome: {
      protocol: integer(items[1], "protocol"),
      clusterId: clusterId(items[2]),
      serverId: serverId(items[3], "serverId"),
      ...diskOf(items[4], items[5]),
      address: text(items[6], "address"),
      firstEntry: items.length > 7 ? text(items[7], "firstEntry") : "",
    },
  };
}

/** An item that came later is left out where it says nothing. */
function appended(item: string): string[] {
  return item === "" ? [] : [item];
}

function cut(reason: string): string {
  return reason.slice(0, 500).toWellFormed();
}

function decodeArray(bytes: Uint8Array, lengthMin: number): readonly unknown[] {
  let value: unknown;
  try {
    value = decode(bytes);
  } catch (cause) {
    throw new ProtocolError(`Cannot decode a handshake: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  if (!Array.isArray(value)) throw new ProtocolError("Cannot decode a handshake: it is not an array");
  if (value.length < lengthMin) throw new ProtocolError("Cannot decode a handshake: an item is missing");
  return value;
}

function integer(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)) return value;
  throw new ProtocolError(`Cannot decode a handshake: ${name} is not a safe non-negative integer`);
}

function serverId(value: unknown, name: string): ServerId {
  if (typeof value === "string" && SERVER_ID_PATTERN.test(value)) return value;
  throw new ProtocolError(`Cannot decode a handshake: ${name} is not a server id`);
}

/** Empty while there is none. */
function clusterId(value: unknown): string {
  if (value === "" || isClusterId(value)) return value;
  throw new ProtocolError("Cannot decode a handshake: clusterId is not a short printable text");
}

/** As a configuration holds it: a leader that could not write it down would have to stop. */
function diskOf(incarnation: unknown, starts: unknown): Disk {
  const disk = { incarnation: text(incarnation, "incarnation"), starts: integer(starts, "starts") };
  if (isDisk(disk)) return disk;
  throw new ProtocolError("Cannot decode a handshake: it names no disk, with an incarnation of 1 to 64 characters");
}

/** Whether it may end up in logs: no control characters that forge lines, no lone surrogates. */
function isPrintable(text: string): boolean {
  return !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(text);
}

function text(value: unknown, name: string, lengthMax = 256): string {
  if (typeof value === "string" && value.length <= lengthMax && isPrintable(value)) return value;
  throw new ProtocolError(`Cannot decode a handshake: ${name} is not a short printable text`);
}
