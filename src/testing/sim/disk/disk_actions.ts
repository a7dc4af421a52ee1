/**
 * Faults of disks as data.
 *
 * @module
 */
import type { Random } from "../random.ts";
import { DISK_FAULTS, type DiskFault, SURVIVABLE } from "../survivable.ts";

/** What an error falls on. */
export type ErrorTarget = "read" | "write" | "sync" | "name";

/** What can happen to a disk while nobody looks. */
export const DAMAGE_KINDS = ["flip", "zeros", "stale", "misdirected", "truncated", "swapped", "missing"] as const;

/** One of {@linkcode DAMAGE_KINDS}. */
export type DamageKind = (typeof DAMAGE_KINDS)[number];

/** What a disk can become: without its last batch, without the last file's end, empty, or as it was at a crash before. */
export type Replacement = "rot-above-mark" | "lost-tail" | "wipe" | "old-copy";

/** One fault of a disk. Times in microseconds; servers by their place. `pick` stands for chance. */
export type DiskAction =
  /** The next operation of this kind fails, or all of them for so long. */
  | {
    readonly type: "disk-error";
    readonly server: number;
    readonly on: ErrorTarget;
    readonly lasts: boolean;
    readonly for: number;
  }
  /** No file can grow for so long. */
  | { readonly type: "disk-full"; readonly server: number; readonly for: number }
  /** No operation is done for so long. */
  | { readonly type: "disk-stall"; readonly server: number; readonly for: number }
  /** Every operation takes so many microseconds more for so long. */
  | { readonly type: "disk-slow"; readonly server: number; readonly by: number; readonly for: number }
  /** The next read gives something else than what is there. */
  | { readonly type: "misread"; readonly server: number; readonly pick: number; readonly for: number }
  /** The power goes, and while it is off the disk is damaged at or below the mark. */
  | {
    readonly type: "damage";
    readonly server: number;
    readonly how: DamageKind;
    /** Whether it falls on a snapshot, and not on the log. */
    readonly inSnapshots?: boolean;
    readonly pick: number;
    readonly for: number;
  }
  /** The power goes, and what is on the disk then is something else. */
  | {
    readonly type: "replace-disk";
    readonly server: number;
    readonly by: Replacement;
    /** Whether it is done although nothing says that this can be survived. */
    readonly isBeyond?: boolean;
    readonly pick: number;
    readonly for: number;
  };

/** How long a disk may be stalled: 10 ms to 30 s. */
const stallMin = 10_000;
const stallMax = 30_000_000;

/** Faults that runs draw unless they are told which: what the code survives, in whatever way it does. */
export const DRAWN_DISK_FAULTS: readonly DiskFault[] = DISK_FAULTS.filter((fault) =>
  SURVIVABLE[fault].outcome !== "off"
);

/** So slow that a server which has to catch up does not come to an end with it. */
export function slowed(server: number, duration: number, pick: number): DiskAction {
  return { type: "disk-slow", server, by: Math.floor(duration / (12 + pick % 40)), for: duration };
}

/** Faults of this server's disk that the configuration allows, each with how likely it is. */
export function diskChoices(
  random: Random,
  faults: readonly string[],
  server: number,
  duration: number,
): readonly (readonly [DiskAction | undefined, number])[] {
  const [lasts, pick, how] = [random.chance(0.2), random.u32(), random.pick(DAMAGE_KINDS)];
  const stall = random.spread(stallMin, stallMax);
  const common = { server, for: duration };
  const error = (on: ErrorTarget): DiskAction => ({ type: "disk-error", ...common, on, lasts });
  const all: readonly (readonly [fault: DiskFault, action: DiskAction])[] = [
    ["disk-stall", { type: "disk-stall", server, for: stall }],
    ["disk-slow", slowed(server, duration, pick)],
    ["read-error", error("read")],
    ["write-error", error("write")],
    ["sync-error", error("sync")],
    ["name-error", error("name")],
    ["disk-full", { type: "disk-full", ...common }],
    ["misread", { type: "misread", ...common, pick }],
    ["rot", { type: "damage", ...common, how, pick }],
    ["rot-beyond", { type: "damage", ...common, how, pick }],
    ...(["rot-above-mark", "lost-tail", "wipe", "old-copy"] as const).map((by) =>
      [by, { type: "replace-disk", ...common, by, pick }] as const
    ),
    ["replace-beyond", {
      type: "replace-disk",
      ...common,
      by: pick % 2 === 0 ? "wipe" : "old-copy",
      isBeyond: true,
      pick,
    }],
    ["rot-in-snapshots", { type: "damage", ...common, how, inSnapshots: true, pick }],
  ];
  // Most of what rots is not what a server would miss.
  return all.map(([fault, action]) => [faults.includes(fault) ? action : undefined, isRot(fault) ? 4 : 1]);
}

function isRot(fault: DiskFault): boolean {
  return fault === "rot" || fault === "rot-beyond";
}

/**
 * Damage that falls on others at the same moment, where it may be more than can be survived: one after the other they
 * would repair what they have lost.
 */
export function drawSpread(
  random: Random,
  { servers, faults }: { readonly servers: number; readonly faults: readonly string[] },
  action: { readonly type: string },
): readonly DiskAction[] {
  if (!faults.includes("rot-beyond") || !isDamageOfLog(action) || servers === 1 || random.chance(0.5)) return [];
  const others = Array.from({ length: servers }, (_, i) => i).filter((server) => server !== action.server);
  return random.shuffle(others).slice(0, random.between(1, others.length)).map((server) => {
    // Much else keeps a server from starting, and is no matter for the others.
    return { ...action, server, how: random.pick(["flip", "zeros", action.how]), pick: random.u32() };
  });
}

type Damage = Extract<DiskAction, { type: "damage" }>;

function isDamageOfLog(action: { readonly type: string }): action is Damage {
  return action.type === "damage" && (action as Damage).inSnapshots !== true;
}
