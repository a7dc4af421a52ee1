/**
 * A snapshot's meta as text: one line of JSON and one with its checksum, so that a person can read it and no flipped bit
 * goes unnoticed.
 *
 * @module
 */
import { crc32c } from "../wire/crc32c.ts";
import { problemOfOrigin } from "../wire/snapshot.ts";
import type { SnapshotMeta } from "./snapshot_store.ts";

/** The name of its file. */
export const META_NAME = "meta.json";

/** More than a configuration of the largest size takes. */
export const META_BYTES_MAX: number = 2 << 20;

const FORM = 1;

/** What {@linkcode decodeMeta} found: a meta, or what is wrong, for the end of a sentence. */
export type DecodedMeta =
  | { readonly meta: SnapshotMeta }
  | { readonly problem: string; readonly isNewer: boolean };

/** Encodes a meta. */
export function encodeMeta(meta: SnapshotMeta): Uint8Array {
  const { id, index, term, configurationIndex, timeMs, version, bytes, checksum, configuration } = meta;
  const fields = { form: FORM, id, index, term, configurationIndex, timeMs, version, bytes, checksum, configuration };
  const line = new TextEncoder().encode(JSON.stringify(fields) + "\n");
  const sum = new TextEncoder().encode(crc32c(line).toString(16).padStart(8, "0") + "\n");
  const whole = new Uint8Array(line.length + sum.length);
  whole.set(line);
  whole.set(sum, line.length);
  return whole;
}

/** Decodes the meta of the snapshot with this name. */
export function decodeMeta(bytes: Uint8Array, id: string): DecodedMeta {
  const end = bytes.indexOf(0x0a) + 1;
  const sum = new TextDecoder().decode(bytes.subarray(end));
  if (end === 0 || !/^[0-9a-f]{8}\n$/.test(sum) || parseInt(sum, 16) !== crc32c(bytes, 0, end)) {
    return damaged("the checksum of its meta is wrong");
  }
  const fields = parse(new TextDecoder().decode(bytes.subarray(0, end)));
  if (fields === undefined) return damaged("its meta is no JSON");
  if (typeof fields.form !== "number" || fields.form > FORM) {
    return { problem: `its meta has the form ${fields.form}, and ${FORM} is the newest known one`, isNewer: true };
  }
  // What was written whole can still have been put here from elsewhere.
  if (fields.id !== id) return damaged(`its meta belongs to "${fields.id}"`);
  const { index, term, configurationIndex, timeMs, version, bytes: length, checksum, configuration } = fields;
  const meta = { index, term, configuration, configurationIndex, timeMs, id, version, bytes: length, checksum };
  return isMeta(meta) ? { meta } : damaged("its meta lacks something");
}

function damaged(problem: string): DecodedMeta {
  return { problem, isNewer: false };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function isMeta(value: Record<string, unknown>): value is Record<string, unknown> & SnapshotMeta {
  const isCount = (field: unknown): boolean => Number.isSafeInteger(field) && (field as number) >= 0;
  if (![value.version, value.bytes, value.checksum].every(isCount)) return false;
  const { configuration } = value as { configuration?: { servers?: unknown } };
  if (!Array.isArray(configuration?.servers)) return false;
  try {
    return problemOfOrigin(value as unknown as SnapshotMeta) === undefined;
  } catch {
    return false;
  }
}
