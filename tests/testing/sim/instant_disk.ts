import { ChainLog } from "../../../src/testing/sim/chain.ts";
import { MemoryDisk } from "../../../src/testing/sim/disk/memory_disk.ts";
import { WalDisk } from "../../../src/testing/sim/disk/wal_disk.ts";
import { stateIn } from "../../../src/testing/sim/machine.ts";
import { Random } from "../../../src/testing/sim/random.ts";
import type { DiskBehaviour, StorageTap } from "../../../src/testing/sim/storage.ts";

const operations = {
  count: 0,
  laterAt: () => Promise.resolve(),
  slow() {},
  heal() {},
  later: () => Promise.resolve(),
  end() {},
  stall() {},
};

const tapOf = (onExamined: StorageTap["onExamined"]): StorageTap => {
  return { prefix: () => new ChainLog(), stateIn, onDurable() {}, onFailed() {}, onRetried() {}, onExamined };
};

/** A disk with short segments on which every operation is done at once, and of which nobody is told more than asked for. */
export function instantDisk(
  seed: number,
  behaviour: Partial<DiskBehaviour>,
  onExamined: StorageTap["onExamined"] = () => {},
): WalDisk {
  const all = { segmentBytes: 4096, ...behaviour } as DiskBehaviour;
  return new WalDisk("a", all, operations, Random.seeded(seed), tapOf(onExamined));
}

/** The same of a store in memory. */
export function instantMemory(onExamined: StorageTap["onExamined"]): MemoryDisk {
  return new MemoryDisk("a", operations, Random.seeded(1), tapOf(onExamined), {} as DiskBehaviour);
}
