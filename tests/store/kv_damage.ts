import { bytesOf, type Kv, type KvKey } from "../../src/store/kv/kv.ts";
import { RECORD_HEADER_BYTES } from "../../src/wire/record.ts";

/** The key of the first part of an entry, in its latest epoch. */
export async function keyOfEntry(kv: Kv, prefix: KvKey, index: number): Promise<KvKey> {
  const log = [...prefix, "log"];
  let found: KvKey | undefined;
  for await (const { key } of kv.list({ start: [...log, 0], end: [...log, Number.MAX_SAFE_INTEGER] })) {
    if (key[log.length + 1] === index && key[log.length + 2] === 0) found = key as KvKey;
  }
  if (found === undefined) throw new Error(`entry ${index} is not in the database`);
  return found;
}

/** Changes the first byte of an entry's payload in a database. */
export async function damageEntry(kv: Kv, prefix: KvKey, index: number): Promise<void> {
  const key = await keyOfEntry(kv, prefix, index);
  const value = bytesOf(await kv.get(key))!.slice();
  value[RECORD_HEADER_BYTES] ^= 0x10;
  await kv.atomic().set(key, value).commit();
}
