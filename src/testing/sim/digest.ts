/**
 * A digest that takes no real time.
 *
 * @module
 */
import { hashText } from "./machine.ts";

/** What the runtime's own digest says, it says in real time. */
export function digestAtOnce(bytes: Uint8Array): Uint8Array {
  const text = new TextDecoder().decode(bytes);
  const view = new DataView(new ArrayBuffer(16));
  for (let at = 0; at < 16; at += 4) view.setInt32(at, hashText(text, at));
  return new Uint8Array(view.buffer);
}
