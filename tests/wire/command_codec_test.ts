import { assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../src/errors.ts";
import { joinParts } from "../../src/wire/bytes.ts";
import { EntryType } from "../../src/types.ts";
import { encodeClientBlock } from "../../src/wire/client_block.ts";
import { decodeCommands, encodeCommands, type ForwardedCommand } from "../../src/wire/command_codec.ts";
import { test } from "../harness.ts";

const commands: readonly ForwardedCommand[] = [
  { type: EntryType.command, flags: 1, payload: new Uint8Array([1, 2, 3]) },
  {
    type: EntryType.barrier,
    flags: 2,
    payload: new Uint8Array(0),
    extensions: encodeClientBlock({ session: 9, sequence: 2 }),
  },
];
const bytes = joinParts([new Uint8Array(0), ...encodeCommands(commands)]);

function refuses(bytes: Uint8Array, count: number, includes: string): void {
  assertThrows(() => decodeCommands(bytes, count), ProtocolError, includes);
}

test("decodeCommands() reads back what encodeCommands() writes", () => {
  assertEquals(decodeCommands(bytes, 2), [...commands]);
  assertEquals(decodeCommands(new Uint8Array(0), 0), []);
});

test("decodeCommands() refuses another count", () => {
  refuses(bytes, 1, "bytes follow");
  refuses(bytes, 3, "missing");
  refuses(bytes, 0, "bytes follow");
  refuses(bytes, Number.MAX_SAFE_INTEGER, "missing");
  refuses(new Uint8Array(0), 1, "missing");
});

test("decodeCommands() refuses commands that are cut off anywhere", () => {
  for (let length = 0; length < bytes.length; length++) refuses(bytes.subarray(0, length), 2, "Cannot decode commands");
});

test("decodeCommands() refuses lengths that point outside", () => {
  for (const at of [5, 9]) {
    const changed = bytes.slice();
    changed[at] = 0xff;
    refuses(changed, 2, "cut off");
  }
});

test("decodeCommands() refuses what no record may hold", () => {
  const command = (flags: number, type: EntryType = EntryType.command) =>
    joinParts(encodeCommands([{ type, flags, payload: new Uint8Array([1]) }]));
  refuses(command(4), 1, "flags 4 are unknown");
  refuses(command(0xff), 1, "unknown");
  refuses(command(2), 1, "client block");
  for (const type of [EntryType.noop, EntryType.configuration, 2, 255]) {
    refuses(command(0, type as EntryType), 1, "not for a peer to propose");
  }
});

test("decodeCommands() refuses client blocks that are cut off or have numbers that no server could tell apart", () => {
  const command = (extensions: Uint8Array) =>
    joinParts(encodeCommands([{ type: EntryType.command, flags: 2, payload: new Uint8Array([1]), extensions }]));
  const block = encodeClientBlock({ session: 2 ** 53 - 1, sequence: 5 }, new Uint8Array([7]));
  assertEquals(decodeCommands(command(block), 1).length, 1);
  for (let length = 1; length < 16; length++) refuses(command(block.subarray(0, length)), 1, "a client block");
  for (const at of [6, 15]) {
    const large = block.slice();
    large[at] = 0xff;
    refuses(command(large), 1, "too large");
  }
});
