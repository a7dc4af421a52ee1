/**
 * Walks over encoded bytes before they are decoded: a header that claims 2³² − 1 elements, or a million nested arrays,
 * is refused at the cost of at most one pass over the bytes that are really there, with nothing allocated for it.
 *
 * @module
 */

/** How deep containers may nest, when encoding and when decoding. */
export const DEPTH_MAX = 1_000;

/** Throws unless `data` is one well-formed value of the supported types and no more, nested {@linkcode DEPTH_MAX} deep at most. */
export function checkStructure(data: Uint8Array): void {
  let end: number;
  try {
    end = endOfValue(new DataView(data.buffer, data.byteOffset, data.byteLength));
  } catch (cause) {
    // DataView throws it for a length field that is cut off.
    throw cause instanceof RangeError ? truncated() : cause;
  }
  if (end < data.length) throw new EvalError(`${data.length - end} bytes follow the MessagePack value`);
}

function endOfValue(view: DataView): number {
  // missing[depth] is how many values the container at that depth still lacks; the document itself is depth 0.
  const missing = [1];
  let at = 0;
  while (missing.length > 0) {
    const depth = missing.length - 1;
    if (missing[depth] === 0) {
      missing.pop();
      continue;
    }
    missing[depth]! -= 1;
    const type = view.getUint8(at);
    const children = childCount(view, at, type);
    at += ownBytes(view, at, type);
    // A value takes at least one byte, so a count beyond the bytes left can never be met.
    if (at + children > view.byteLength) throw truncated();
    if (children === 0) continue;
    if (depth === DEPTH_MAX) throw new EvalError(`MessagePack nested deeper than ${DEPTH_MAX}`);
    missing.push(children);
  }
  return at;
}

/** How many values follow inside this one; a map's keys count too. */
function childCount(view: DataView, at: number, type: number): number {
  if (type >= 0x80 && type <= 0x8f) return (type & 0x0f) * 2;
  if (type >= 0x90 && type <= 0x9f) return type & 0x0f;
  switch (type) {
    case 0xdc:
      return view.getUint16(at + 1);
    case 0xdd:
      return view.getUint32(at + 1);
    case 0xde:
      return view.getUint16(at + 1) * 2;
    case 0xdf:
      return view.getUint32(at + 1) * 2;
  }
  return 0;
}

/** How many bytes the value takes without the values inside it. */
function ownBytes(view: DataView, at: number, type: number): number {
  if (type >= 0xa0 && type <= 0xbf) return 1 + (type & 0x1f);
  if (type < 0xc0 || type >= 0xe0) return 1;
  switch (type) {
    case 0xc0: // nil, false, true
    case 0xc2:
    case 0xc3:
      return 1;
    case 0xc4: // bytes and strings behind a length of 1, 2 or 4 bytes
    case 0xd9:
      return 2 + view.getUint8(at + 1);
    case 0xc5:
    case 0xda:
      return 3 + view.getUint16(at + 1);
    case 0xc6:
    case 0xdb:
      return 5 + view.getUint32(at + 1);
    case 0xcc: // integers and floats of 1, 2, 4 and 8 bytes
    case 0xd0:
      return 2;
    case 0xcd:
    case 0xd1:
      return 3;
    case 0xca:
    case 0xce:
    case 0xd2:
      return 5;
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return 9;
    case 0xdc: // array and map headers
    case 0xde:
      return 3;
    case 0xdd:
    case 0xdf:
      return 5;
  }
  throw new Error(`MessagePack type 0x${type.toString(16)} is not supported`);
}

function truncated(): EvalError {
  return new EvalError("The MessagePack value is cut off");
}
