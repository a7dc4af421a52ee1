/**
 * Disks: D3, D4.
 *
 * @module
 */
import type { DiskView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** What a crash may leave. */
export const disks: Checker = {
  /** D4: what was durable is there; the write that was under way is there as a whole or not at all. */
  onRecovered(ghost, id, { possible, found }) {
    ghost.must(possible.some((disk) => isSame(disk, found)), "D4", () => {
      return `the disk of "${id}" had to hold ${possible.map(words).join(" or ")}; a crash left ${words(found)}`;
    });
  },
};

function isSame(a: DiskView, b: DiskView): boolean {
  return a.term === b.term && a.votedFor === b.votedFor && a.log.last === b.log.last && a.log.agrees(b.log, a.log.last);
}

function words({ term, votedFor, log }: DiskView): string {
  return `${log.last} entries (hash ${log.hashAt(log.last)}) and a vote for "${votedFor}" in term ${term}`;
}
