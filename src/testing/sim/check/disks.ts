/**
 * Disks: D1 to D4.
 *
 * @module
 */
import { cloneView, isSameLog, isSameView } from "../disk_view.ts";
import type { ServerId } from "../../../types.ts";
import type { Ghost } from "../ghost.ts";
import type { SimServer } from "../server.ts";
import type { Storage } from "../storage.ts";
import type { DiskView } from "../view.ts";
import type { Checker } from "./checker.ts";

/** What a crash may leave, and what recovery makes of it. */
export const disks: Checker = {
  /** D2: who can't read all of its log neither campaigns nor leads (BD02), whatever it takes for damaged. */
  onStep(ghost, { id, core, disk }, { before }) {
    if (core.role === "leader" && before.role !== "leader") {
      const [lost] = disk.damaged ?? [];
      ghost.must(lost === undefined, "D2", () => `"${id}" leads and its entry ${lost} is damaged`);
    }
    if (core.role === "follower" || core.damaged.length + core.repairing.length === 0) return;
    const { from, end } = core.damaged[0] ?? core.repairing[0]!;
    ghost.must(false, "D2", () => `"${id}" is ${core.role} and its entries ${from} to ${end - 1} are damaged`);
  },

  onReplaced(ghost, id, before) {
    ghost.replaced.set(id, [...ghost.replaced.get(id) ?? [], cloneView(before)]);
  },

  /** D1: what has failed is not tried again; written anew to another file, it may be promised when it is there (L4). */
  onRetried(ghost, id, { kind, name }) {
    ghost.must(false, "D1", () => `"${id}" does another ${kind} of "${name}", of which one has failed`);
  },

  /**
   * D4: what was durable is there; the write that was under way is there as a whole or not at all, and so is the snapshot.
   * D2: so it is on a disk that was damaged, when it can be read at all; a snapshot that was damaged is none.
   */
  onRecovered(ghost, id, { possible, found, isDurable, isDamaged }) {
    const hasSnapshot = isDamaged || possible.some(({ snapshot }) => found.snapshot >= snapshot);
    ghost.must(hasSnapshot && possible.some((disk) => isSameLog(disk, found)), isDamaged ? "D2" : "D4", () => {
      return `the disk of "${id}" had to hold ${possible.map(words).join(" or ")}; a crash left ${words(found)}`;
    });
    if (isDurable) findsNoMore(ghost, id, found);
  },

  /** D3, D4: however often it is asked, and whatever interrupts it, recovery finds just what was made durable. */
  onExamined(ghost, id, said, found) {
    ghost.must(!(found instanceof Error) && isSameView(said, found), "D4", () => {
      const result = found instanceof Error ? `fails: ${found.message}` : `finds ${words(found)}`;
      return `the disk of "${id}" holds ${words(said)}; recovery ${result}`;
    });
  },
};

/** A server that has failed. */
type DownServer = Pick<SimServer, "id"> & { readonly storage: Pick<Storage, "faults"> };

/**
 * V0: no server is down but by a fault that explains it. D3: recovery passes over a snapshot that is damaged, where the log
 * reaches an older one.
 */
export function unexplained(ghost: Ghost, server: DownServer, what: string, error: unknown): void {
  const detail = error instanceof Error ? error.stack ?? error.message : String(error);
  const isNeedless = server.storage.faults?.isNeedless(error) === true;
  ghost.must(false, isNeedless ? "D3" : "V0", () => `"${server.id}" fails to ${what}: ${detail}`);
}

/**
 * D4: an entry that nothing has happened to is found; but a repair's first one may stay with damage right before it, also where
 * a compaction may have taken that away since, as a snapshot has it.
 */
function findsNoMore(ghost: Ghost, id: ServerId, { damaged: found = new Set(), snapshot }: DiskView): void {
  const { damaged, repairs } = ghost.disks.get(id) ?? {};
  for (const index of found) {
    const isAfterDamage = found.has(index - 1) || index <= snapshot + 1;
    const isKnown = damaged?.has(index) === true || (repairs?.has(index) === true && isAfterDamage);
    ghost.must(isKnown, "D4", () => `"${id}" takes entry ${index} for damaged, and its disk has it`);
  }
}

function words({ term, votedFor, log, snapshot }: DiskView): string {
  return `${log.last} entries (hash ${
    log.hashAt(log.last)
  }), a snapshot up to ${snapshot} and a vote for "${votedFor}" ` +
    `in term ${term}`;
}
