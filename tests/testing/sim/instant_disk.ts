import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { WalDisk } from "../../../src/testing/sim/disk/wal_disk.ts";
import { stateIn } from "../../../src/testing/sim/machine.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { DiskBehaviour, StorageTap } from "../../../src/testing/sim/storage.ts";

/** A disk with short segments on which every operation is done at once, and of which nobody is told more than asked for. */
export function instantDisk(
  seed: number,
  behaviour: Partial<DiskBehaviour>,
  onExamined: StorageTap["onExamined"] = () => {},
): WalDisk {
  const operations = {
    count: 0,
    laterAt: () => Promise.resolve(),
    slow() {},
    heal() {},
    later: () => Promise.resolve(),
    end() {},
    stall() {},
  };
  const tap = { prefix: () => new ChainLog(), stateIn, onDurable() {}, onFailed() {}, onRetried() {}, onExamined };
  return new WalDisk("a", { segmentBytes: 4096, ...behaviour } as DiskBehaviour, operations, Random.seeded(seed), tap);
}
