/**
 * How much of what its callers have a server has in flight, by what is seen of it outside.
 *
 * @module
 */
import type { Ghost } from "./ghost.ts";
import type { Life } from "./life.ts";

/** How much there may be. */
export interface Room {
  readonly count: number;
  readonly bytes: number;
}

/** Others are in force from now on; what was taken by those before goes on. Judged from the first change on. */
export function beginRoom(life: Life): void {
  const { proposalsPending: count, proposalsPendingBytes: bytes } = life.raft!.metrics();
  life.room = roomOf(life, { count, bytes });
}

/** K6: no more is taken than there is room for by the settings in force: there may be as much as there was, and never more again. */
export function hasRoom(ghost: Ghost, life: Life): void {
  const { id, room } = life;
  if (room === undefined) return;
  const { proposalsPending: count, proposalsPendingBytes: bytes } = life.raft!.metrics();
  // A command that is alone fits, however large.
  ghost.must(count <= room.count && (count <= 1 || bytes <= room.bytes), "K6", () => {
    return `"${id}" has ${count} commands of ${bytes} bytes in flight, and room for ${room.count} of ${room.bytes}`;
  });
  life.room = roomOf(life, { count: Math.min(count, room.count), bytes: Math.min(bytes, room.bytes) });
}

/** What the settings allow, or what is there where that is more. */
function roomOf({ configured, reloaded }: Life, now: Room): Room {
  const { inFlightCountMax, inFlightBytesMax } = { ...configured, ...reloaded };
  return {
    count: Math.max(now.count, inFlightCountMax),
    bytes: Math.max(now.count > 1 ? now.bytes : 0, inFlightBytesMax),
  };
}
