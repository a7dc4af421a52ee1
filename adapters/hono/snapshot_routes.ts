/**
 * Routes about snapshots: taken, listed, and their bytes.
 *
 * @module
 */
import type { SnapshotMeta } from "../../mod.ts";
import { BadRequest } from "./problem.ts";
import type { Route } from "./route.ts";

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
  ];
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
