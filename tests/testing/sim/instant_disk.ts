import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { WalDisk } from "../../../src/testing/sim/disk/wal_disk.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { DiskBehaviour } from "../../../src/testing/sim/storage.ts";

/** A disk with short segments on which every operation is done at once, and of which nobody is told anything. */
export function instantDisk(seed: number, behaviour: Partial<DiskBehaviour>): WalDisk {
  const operations = {
    laterAt: () => Promise.resolve(),
    slow() {},
    heal() {},
    later: () => Promise.resolve(),
    end() {},
    stall() {},
  };
  const tap = { prefix: () => new ChainLog(), onDurable() {}, onFailed() {}, onRetried() {}, onExamined() {} };
  return new WalDisk("a", { segmentBytes: 4096, ...behaviour } as DiskBehaviour, operations, Random.seeded(seed), tap);
}
