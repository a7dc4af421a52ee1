/**
 * Messages for tests: one of each kind with its bytes, and any of each kind.
 *
 * @module
 */
import fc from "fast-check";
import type { AppendRequest, Message } from "../../src/message.ts";
import { type Configuration, type ConfigurationChange, EntryType, type Term } from "../../src/types.ts";
import { encodeChanges } from "../../src/wire/change_codec.ts";
import { encodeClientBlock } from "../../src/wire/client_block.ts";
import { encodeCommands, type ForwardedCommand } from "../../src/wire/command_codec.ts";
import { encodeConfiguration } from "../../src/wire/configuration.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { encodeRecords, type EntryParts } from "../../src/wire/record.ts";

/** A message with what travels beside it. */
export interface Sample {
  readonly message: Message;
  readonly attachment: readonly Uint8Array[];
  readonly commands?: readonly ForwardedCommand[];
  readonly changes?: readonly ConfigurationChange[];
}

/** A heartbeat, or an append of entries of one term. */
export function appendSample(head: Partial<AppendRequest>, entries: readonly EntryParts[], term: Term): Sample {
  const prevIndex = head.prevIndex ?? 5;
  const records = encodeRecords(prevIndex + 1, term, 1_000, entries);
  const message: AppendRequest = {
    type: "append-request",
    term: 4,
    sequence: 9,
    prevIndex,
    prevTerm: 2,
    end: records.end,
    runs: entries.length === 0 ? [] : [{ term, from: prevIndex + 1 }],
    configurations: [],
    commitIndex: 3,
    round: 7,
    isLeased: true,
    ...head,
  };
  return { message, attachment: entries.length === 0 ? [] : [records.bytes] };
}

const bare = (message: Message): Sample => ({ message, attachment: [] });
const commands: readonly ForwardedCommand[] = [
  { type: EntryType.command, flags: 1, payload: new Uint8Array([1, 2, 3]) },
  {
    type: EntryType.barrier,
    flags: 2,
    payload: new Uint8Array(0),
    extensions: encodeClientBlock({ session: 9, sequence: 2 }),
  },
];

const changes: readonly ConfigurationChange[] = [
  { type: "add-voter", id: "x", address: "x:1" },
  { type: "add-nonvoter", id: "y", address: "y:1", priority: 0 },
  { type: "demote-voter", id: "b" },
  { type: "remove-server", id: "c" },
];
const refusal = { reason: "no-quorum", detail: "b did not answer", begun: false } as const;

/** One message of each kind, and its bytes in hexadecimal. What they are may never change within a protocol version. */
export const GOLDEN: readonly (readonly [sample: Sample, hex: string])[] = [
  [
    bare({ type: "vote-request", term: 7, pre: true, lastIndex: 300, lastTerm: 6, transfer: false }),
    "0900960107c3cd012c06c2",
  ],
  [bare({ type: "vote-response", term: 7, pre: false, campaign: 7, granted: true }), "0600950207c207c3"],
  [appendSample({}, [], 3), "08009703040905020307"],
  // Since protocol 2.
  [appendSample({ isLeased: false }, [], 3), "09009803040905020307c2"],
  [
    appendSample({}, [{ type: 0, payload: new Uint8Array([1, 2]) }], 3),
    "0800970304090502030759cf0c3d00000000020000000000000006000000000000000300000000000000e803000000000000529ff803000000000102",
  ],
  [
    bare({ type: "append-response", term: 4, sequence: 9, round: 7, matchIndex: 70_000, rejected: undefined }),
    "0a009504040907ce00011170",
  ],
  [
    bare({
      type: "append-response",
      term: 4,
      sequence: 2 ** 40,
      round: 7,
      matchIndex: 0,
      rejected: { prevIndex: 12, hintIndex: 11, hintTerm: 3, isDamaged: false },
    }),
    "1100980404cb427000000000000007000c0b03",
  ],
  [
    bare({
      type: "append-response",
      term: 4,
      sequence: 2 ** 40,
      round: 7,
      matchIndex: 0,
      rejected: { prevIndex: 12, hintIndex: 11, hintTerm: 3, isDamaged: true },
    }),
    "1200990404cb427000000000000007000c0b03c3",
  ],
  [bare({ type: "timeout-now", term: 4 }), "0300920504"],
  [bare({ type: "removed", term: 4, index: 11 }), "040093 0d04 0b".replaceAll(" ", "")],
  [bare({ type: "state-hash", term: 4, index: 11, hash: 2 ** 32 }), "0d009412040bcb41f0000000000000"],
  [bare({ type: "snapshot-wanted", term: 4, beyond: 11 }), "04009313040b"],
  [bare({ type: "snapshot-unavailable", term: 4, reason: "failed" }), "040093140401"],
  [bare({ type: "read-request", term: 4, id: 200, isLease: false }), "0500930604ccc8"],
  [bare({ type: "read-request", term: 4, id: 200, isLease: true }), "0600940604ccc8c3"],
  [bare({ type: "read-response", term: 4, id: 200, index: undefined }), "0600940704ccc8c0"],
  [bare({ type: "read-response", term: 4, id: 200, index: 11 }), "0600940704ccc80b"],
  [
    { message: { type: "forward-request", term: 4, id: 5, count: 2 }, attachment: encodeCommands(commands), commands },
    "05009408040502000103000000000000000102030402000000001000000009000000000000000200000000000000",
  ],
  [
    bare({ type: "forward-response", term: 4, id: 5, from: 8, entryTerm: 4, refusal: undefined, leader: undefined }),
    "080097090405080400c0",
  ],
  [
    bare({ type: "forward-response", term: 4, id: 5, from: 0, entryTerm: 0, refusal: "not-leader", leader: "b.1" }),
    "0b0097090405000001a3622e31",
  ],
  [
    {
      message: { type: "change-request", term: 4, id: 5, prevIndex: undefined, force: false, count: 4 },
      attachment: [encodeChanges(changes)],
      changes,
    },
    "0700960e0405c0c204949400a178a3783a31c09401a179a3793a31009202a1629203a163",
  ],
  [bare({ type: "change-response", term: 4, id: 5, index: 9, refusal: undefined }), "0700960f040509c0c0"],
  [
    bare({ type: "change-response", term: 4, id: 5, index: undefined, refusal }),
    "0700960f0405c005c26220646964206e6f7420616e73776572",
  ],
  [bare({ type: "transfer-request", term: 4, to: undefined }), "0400931004c0"],
  [bare({ type: "transfer-request", term: 4, to: "b" }), "0500931004a162"],
  [bare({ type: "transfer-response", term: 4, reason: "no-target" }), "040093110401"],
  [
    {
      message: {
        ...{ type: "snapshot-request", term: 4, id: 5, index: 300, lastTerm: 3 } as const,
        ...{ configuration: { servers: [{ id: "a", address: "a:1", suffrage: "voter" }] }, configurationIndex: 1 },
        ...{ timeMs: 1_000, bytes: 70_000, checksum: 9 },
      },
      attachment: [encodeConfiguration({ servers: [{ id: "a", address: "a:1", suffrage: "voter" }] })],
    },
    "1200990a0405cd012c0301cd03e8ce000111700981a7536572766572739183a741646472657373a3613a31a24944a161a8537566667261676500",
  ],
  [
    {
      message: { type: "snapshot-chunk", term: 4, id: 5, offset: 300, checksum: crc32c(new Uint8Array([1, 2, 3])) },
      attachment: [new Uint8Array([1, 2, 3])],
    },
    "0c00950b0405cd012ccef130f21e010203",
  ],
  [bare({ type: "snapshot-response", term: 4, id: 5, status: "installing", offset: 300 }), "0800950c040501cd012c"],
];

// Objects without a prototype equal no others.
function anyRecord<T>(model: { [Name in keyof T]: fc.Arbitrary<T[Name]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

const integer = fc.oneof(
  fc.nat(),
  fc.constantFrom(0, 1, 127, 128, 255, 256, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
  fc.maxSafeNat(),
);
const index = integer.map((value) => Math.min(value, Number.MAX_SAFE_INTEGER - 2 ** 32));
const term = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
const serverId = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);

/** Index and term of an entry that a sender in `max` may have, or 0 and 0. */
function positionIn(max: Term): fc.Arbitrary<readonly [number, number]> {
  const some = fc.tuple(index.map((value) => Math.max(value, 1)), fc.integer({ min: 1, max }));
  return fc.oneof(fc.constant([0, 0] as const), some);
}

const voteRequest = term.chain((term) =>
  fc.tuple(positionIn(term), fc.boolean(), fc.boolean()).map(([[lastIndex, lastTerm], pre, transfer]): Message => (
    { type: "vote-request", term, pre, lastIndex, lastTerm, transfer }
  ))
);

const voteResponse = anyRecord<Message & { type: "vote-response" }>({
  type: fc.constant("vote-response"),
  term: integer,
  pre: fc.boolean(),
  campaign: integer,
  granted: fc.boolean(),
});

const append = term.chain((term) =>
  fc.tuple(
    positionIn(term),
    anyRecord({ sequence: integer, commitIndex: index, round: integer, isLeased: fc.boolean() }),
    fc.array(fc.uint8Array({ maxLength: 40 }).map((payload): EntryParts => ({ type: 0, payload })), { maxLength: 4 }),
  ).map(([[prevIndex, prevTerm], rest, entries]) =>
    appendSample({ term, prevIndex, prevTerm, ...rest }, entries, Math.max(1, prevTerm))
  )
);

const appendResponse = fc.tuple(
  anyRecord({ term: integer, sequence: integer, round: integer }),
  fc.oneof(
    anyRecord({ matchIndex: index, rejected: fc.constant(undefined) }),
    anyRecord({
      matchIndex: fc.constant(0),
      rejected: fc.tuple(index, index, integer).map(([a, b, hintTerm]) => (
        { prevIndex: Math.max(a, b), hintIndex: Math.min(a, b), hintTerm, isDamaged: false }
      )),
    }),
  ),
).map(([head, outcome]): Message => ({ type: "append-response", ...head, ...outcome }));

const command: fc.Arbitrary<ForwardedCommand> = fc.oneof(
  anyRecord({ type: fc.constantFrom(0, 4), flags: fc.constantFrom(0, 1), payload: fc.uint8Array({ maxLength: 40 }) }),
  anyRecord({
    type: fc.constantFrom(0, 4),
    flags: fc.constantFrom(0, 1, 2, 3),
    payload: fc.uint8Array({ maxLength: 40 }),
    extensions: fc.uint8Array({ minLength: 1, maxLength: 9 }).map((rest) =>
      encodeClientBlock({ session: 2 ** 52 + 7, sequence: 3 }, rest)
    ),
  }),
);

const forwardRequest = fc.tuple(integer, integer, fc.array(command, { maxLength: 5 })).map(([term, id, commands]) => ({
  message: { type: "forward-request", term, id, count: commands.length } as const,
  attachment: encodeCommands(commands),
  commands,
}));

const forwardResponse = fc.tuple(
  anyRecord({ term: integer, id: integer, leader: fc.option(serverId, { nil: undefined }) }),
  fc.oneof(
    anyRecord({ from: index.map((value) => Math.max(value, 1)), entryTerm: term, refusal: fc.constant(undefined) }),
    anyRecord({
      from: fc.constant(0),
      entryTerm: fc.constant(0),
      refusal: fc.constantFrom(
        ...["not-leader" as const, "overloaded" as const, "transferring" as const, "too-large" as const],
      ),
    }),
  ),
).map(([head, outcome]): Message => ({ type: "forward-response", ...head, ...outcome }));

const others: fc.Arbitrary<Message> = fc.oneof(
  integer.map((term): Message => ({ type: "timeout-now", term })),
  fc.tuple(integer, integer, fc.boolean()).map(([term, id, isLease]): Message => (
    { type: "read-request", term, id, isLease }
  )),
  fc.tuple(integer, integer, fc.option(index, { nil: undefined }))
    .map(([term, id, index]): Message => ({ type: "read-response", term, id, index })),
  fc.tuple(integer, index).map(([term, index]): Message => ({ type: "removed", term, index })),
  fc.tuple(integer, index, integer).map(([term, index, hash]): Message => ({ type: "state-hash", term, index, hash })),
  fc.tuple(integer, index).map(([term, beyond]): Message => ({ type: "snapshot-wanted", term, beyond })),
  fc.tuple(integer, fc.constantFrom("not-leader" as const, "failed" as const)).map(([term, reason]): Message => ({
    ...{ type: "snapshot-unavailable", term, reason },
  })),
  fc.tuple(integer, fc.option(serverId, { nil: undefined }))
    .map(([term, to]): Message => ({ type: "transfer-request", term, to })),
  fc.tuple(integer, fc.constantFrom("timeout" as const, "no-target" as const, "not-leader" as const, "busy" as const))
    .map(([term, reason]): Message => ({ type: "transfer-response", term, reason })),
  fc.tuple(integer, integer, index)
    .map(([term, id, index]): Message => ({ type: "change-response", term, id, index, refusal: undefined })),
  fc.tuple(integer, integer, fc.constantFrom("conflict" as const, "removed" as const), fc.string(), fc.boolean())
    .map(([term, id, reason, detail, begun]): Message => (
      { type: "change-response", term, id, index: undefined, refusal: { reason, detail: detail.toWellFormed(), begun } }
    )),
);

const change: fc.Arbitrary<ConfigurationChange> = fc.oneof(
  anyRecord({ type: fc.constantFrom("demote-voter" as const, "remove-server" as const), id: serverId }),
  anyRecord({
    type: fc.constantFrom("add-voter" as const, "add-nonvoter" as const),
    id: serverId,
    address: fc.stringMatching(/^[!-~]{1,300}$/),
    priority: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  }),
);

const changeRequest = fc.tuple(integer, integer, fc.option(index, { nil: undefined }), fc.boolean(), fc.array(change))
  .map(
    ([term, id, prevIndex, force, changes]) => ({
      message: { type: "change-request", term, id, prevIndex, force, count: changes.length } as const,
      attachment: [encodeChanges(changes)],
      changes,
    }),
  );
const server = fc.tuple(serverId, fc.constantFrom("voter" as const, "nonvoter" as const, "staging" as const));
const configuration = fc.uniqueArray(server, { selector: ([id]) => id, minLength: 1, maxLength: 5 })
  .filter((servers) => servers.some(([, suffrage]) => suffrage === "voter"))
  .map((servers): Configuration => ({
    servers: servers.map(([id, suffrage]) => ({ id, address: `${id}:1`, suffrage }))
      .sort((a, b) => a.id < b.id ? -1 : 1),
  }));

const snapshotRequest = term.chain((term) =>
  fc.tuple(positionIn(term).filter(([index]) => index > 0), configuration, fc.tuple(integer, integer, integer, integer))
    .map(([[index, lastTerm], configuration, [id, timeMs, bytes, checksum]]): Sample => ({
      message: {
        ...{ type: "snapshot-request", term, id, index, lastTerm, configuration } as const,
        ...{ configurationIndex: 1 + id % index, timeMs, bytes, checksum },
      },
      attachment: [encodeConfiguration(configuration)],
    }))
);

const snapshotChunk = fc.tuple(integer, integer, integer, fc.uint8Array({ minLength: 1, maxLength: 99 }))
  .map(([term, id, offset, bytes]): Sample => ({
    message: { type: "snapshot-chunk", term, id, offset, checksum: crc32c(bytes) },
    attachment: [bytes],
  }));

const snapshotResponse = anyRecord<Message & { type: "snapshot-response" }>({
  type: fc.constant("snapshot-response"),
  term: integer,
  id: integer,
  status: fc.constantFrom("receiving", "installing", "done", "refused"),
  offset: integer,
});

/** Any message. */
export const anySample: fc.Arbitrary<Sample> = fc.oneof(
  fc.oneof(voteRequest, voteResponse, appendResponse, forwardResponse, snapshotResponse, others).map(bare),
  append,
  forwardRequest,
  changeRequest,
  snapshotRequest,
  snapshotChunk,
);
