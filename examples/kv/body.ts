/**
 * Bodies of requests, never buffered beyond their limit, and values as JSON.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { badRequest, HttpError } from "./answers.ts";

/** The largest value. */
export const VALUE_BYTES_MAX: number = 1024 * 1024;

// Two values of the largest size in base64, with room for the rest.
const CAS_BYTES_MAX = 3 * 1024 * 1024;

/** A value in JSON: text, or any bytes. */
export type JsonValue = string | { readonly base64: string };

/** The body's bytes, at most so many. */
export async function readBody(request: Request, bytesMax: number = VALUE_BYTES_MAX): Promise<Uint8Array> {
  const announced = request.headers.get("content-length");
  if (announced !== null && Number(announced) > bytesMax) throw tooLarge(bytesMax);
  // A chunked body has no length, whatever another header says; and of the same header twice runtimes make "5, 5".
  if (announced === null || !/^\d+$/.test(announced) || request.headers.has("transfer-encoding")) {
    return request.body === null ? new Uint8Array() : await readChunks(request.body, bytesMax);
  }
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.length > bytesMax) throw tooLarge(bytesMax);
  return bytes;
}

async function readChunks(body: ReadableStream<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels the stream.
  for await (const chunk of body) {
    length += chunk.length;
    if (length > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function tooLarge(bytesMax: number): HttpError {
  return new HttpError(413, "too-large", `Cannot take the body as it has more than ${bytesMax} bytes`);
}

/** The body of a compare and set: `{ expect, value }`. */
export async function readCas(request: Request): Promise<{ expect: Uint8Array | null; value: Uint8Array }> {
  const body = parseObject(await readBody(request, CAS_BYTES_MAX));
  if (!("expect" in body)) throw badRequest("Cannot compare without 'expect': a string, { base64 } or null for absent");
  const unknown = Object.keys(body).find((name) => name !== "expect" && name !== "value");
  if (unknown !== undefined) throw badRequest(`Cannot use ${JSON.stringify(unknown)}: there are 'expect' and 'value'`);
  const expect = body.expect === null ? null : parseValue("expect", body.expect);
  return { expect, value: parseValue("value", body.value) };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw badRequest("Cannot read the body: it must be JSON in UTF-8");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw badRequest('Cannot read the body: it must be an object like { "expect": "a", "value": "b" }');
  }
  return body as Record<string, unknown>;
}

const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function parseValue(name: string, json: unknown): Uint8Array {
  const base64 = (json as { base64?: unknown } | null | undefined)?.base64;
  let bytes: Uint8Array;
  if (typeof json === "string") bytes = new TextEncoder().encode(json);
  else if (typeof base64 === "string" && base64Pattern.test(base64)) {
    bytes = new Uint8Array(Buffer.from(base64, "base64"));
  } else throw badRequest(`Cannot use '${name}': it must be a string, or { "base64": "…" } with padding`);
  if (bytes.length > VALUE_BYTES_MAX) throw tooLarge(VALUE_BYTES_MAX);
  return bytes;
}

/** A value as text when it is UTF-8, else in base64. */
export function toJson(value: Uint8Array): JsonValue {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return { base64: Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64") };
  }
}
