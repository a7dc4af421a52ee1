import type { Store } from "../../src/store/store.ts";
import { walStore } from "../../src/store/wal/wal_store.ts";
import type { StoreSubject } from "../../src/testing/conformance/store_suite.ts";
import { MemoryFiles } from "../../src/testing/memory_files.ts";
import { crc32c } from "../../src/wire/crc32c.ts";
import { getU32, getU64 } from "../../src/wire/integers.ts";
import { RECORD_HEADER_BYTES } from "../../src/wire/record.ts";

/** Changes the first byte of an entry's payload, where it was written last. */
function damageEntry(files: MemoryFiles, index: number): void {
  for (const name of files.names().toReversed()) {
    const image = files.image(name);
    const at = recordIn(image, index);
    if (at < 0) continue;
    image[at + RECORD_HEADER_BYTES] ^= 0x10;
    return files.setImage(name, image);
  }
  throw new Error(`entry ${index} is in no file`);
}

/** Where the last record of this entry begins; -1 when there is none. */
function recordIn(image: Uint8Array, index: number): number {
  for (let at = image.length - RECORD_HEADER_BYTES; at >= 0; at--) {
    if (getU32(image, at + 16) !== index || getU64(image, at + 16) !== index) continue;
    if (crc32c(image, at + 4, at + RECORD_HEADER_BYTES) === getU32(image, at)) return at;
  }
  return -1;
}

/** A write-ahead log for the suite of stores, that is killed rather than closed: what was acknowledged must be there. */
export function walSubject(
  name: string,
  segmentBytes: number,
  wrap: (store: Store) => Store = (store) => store,
): StoreSubject {
  return {
    name,
    canHalt: true,
    canDamage: true,
    start() {
      const files = new MemoryFiles();
      return {
        next() {
          files.kill();
          return Promise.resolve(wrap(walStore(files, { segmentBytes })));
        },
        damage: (index) => Promise.resolve(damageEntry(files, index)),
        operationCount: () => files.operationCount,
        haltAfter: (operations) => files.haltAfter(operations),
      };
    },
  };
}
