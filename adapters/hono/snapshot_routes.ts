/**
 * Routes about snapshots: taken, listed, their bytes, and a cluster's state out of such bytes.
 *
 * @module
 */
import type { SnapshotMeta } from "../../mod.ts";
import { BadRequest } from "./problem.ts";
import type { Fields, Route } from "./route.ts";
import type { AdminTarget } from "./target.ts";

/** Each holds a snapshot, and its room on the disk, for as long as somebody reads it. */
const downloadsMax = 8;

/** Those routes. */
export function snapshotRoutes(): readonly Route[] {
  const downloads = new Downloads();
  return [
    {
      ...{ method: "POST", path: "/snapshot", summary: "Takes a snapshot of this server's machine now." },
      body: {},
      answer: async ({ raft, signal }) => metaOf((await raced(raft.snapshot(), signal)).meta),
    },
    {
      ...{ method: "GET", path: "/snapshots", summary: "The snapshots that this server keeps, the newest first." },
      answer: async ({ raft, signal }) => {
        const snapshots = await raced(raft.snapshots(), signal);
        return { snapshots: snapshots.map(({ meta }) => metaOf(meta)) };
      },
    },
    {
      ...{ method: "GET", path: "/snapshots/:id", summary: "The bytes of a snapshot, checksums included." },
      produces: "application/octet-stream",
      answer: async ({ raft, id, signal }) => {
        const snapshots = await raced(raft.snapshots(), signal);
        const snapshot = snapshots.find(({ meta }) => meta.id === id);
        if (snapshot === undefined) {
          const message = `Cannot find the snapshot ${JSON.stringify(id)}: take the newest one that is listed`;
          throw new BadRequest(message, 404, "snapshot-not-found");
        }
        if (downloads.count >= downloadsMax) throw new BadRequest("Cannot send more snapshots", 503, "overloaded");
        return new Response(downloads.counted(snapshot.open()), { headers: headersOf(snapshot.meta) });
      },
    },
    {
      ...{
        method: "POST",
        path: "/install-snapshot",
        summary: "Lets this server's machine begin anew from a snapshot of the leader's.",
      },
      body: {},
      answer: async ({ raft, signal }) => await raft.installSnapshot({ signal }),
    },
    {
      ...{
        method: "PUT",
        path: "/restore",
        summary: "Gives the whole cluster the state of a snapshot; on the leader.",
      },
      query: identity,
      consumes: "application/octet-stream",
      answer: async ({ raft, given, request, signal, extend }) => {
        const meta = given as unknown as Identity;
        return await raft.restore(meta, bounded(request.body, meta.bytes, extend), { signal });
      },
    },
  ];
}

type Identity = Parameters<AdminTarget["restore"]>[0];

const identity: Fields = {
  index: { type: "index", text: "Its last entry, as `GET snapshots` says.", isRequired: true },
  term: { type: "index", text: "That entry's term.", isRequired: true },
  bytes: { type: "index", text: "How long it is.", isRequired: true },
  checksum: { type: "index", text: "Its checksum.", isRequired: true },
};

/** The body, which fails as soon as it has more bytes than it may have. Tells of each piece. */
function bounded(
  body: ReadableStream<Uint8Array> | null,
  bytesMax: number,
  onPiece: () => void,
): ReadableStream<Uint8Array> {
  let bytes = 0;
  const bound = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      onPiece();
      bytes += piece.length;
      if (bytes > bytesMax) throw new BadRequest(`Cannot restore as there are more than ${bytesMax} bytes`);
      controller.enqueue(piece);
    },
  });
  return (body ?? new Blob([]).stream()).pipeThrough(bound);
}

function metaOf({ id, index, term, timeMs, configurationIndex, bytes, checksum }: SnapshotMeta): object {
  return { id, index, term, timeMs, configurationIndex, bytes, checksum };
}

function headersOf({ id, index, term, bytes, checksum }: SnapshotMeta): Record<string, string> {
  return {
    "content-type": "application/octet-stream",
    "content-length": String(bytes),
    "content-disposition": `attachment; filename="${id}.snapshot"`,
    "raft-index": String(index),
    "raft-term": String(term),
    "raft-checksum": String(checksum),
  };
}

/** Snapshots that are being sent. */
class Downloads {
  count = 0;

  /** The stream, counted from its first read to its end. An answer to HEAD is neither read nor cancelled. */
  counted(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = stream.getReader();
    let isCounted = false;
    const end = () => {
      if (isCounted) this.count--;
      isCounted = false;
    };
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        if (!isCounted) this.count++;
        isCounted = true;
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          end();
          controller.close();
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel: (reason) => {
        end();
        return reader.cancel(reason);
      },
    }, { highWaterMark: 0 });
  }
}

/** The promise, until the signal ends the waiting. */
function raced<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
