/**
 * What a route of the admin surface is: one description for its answer and for the OpenAPI document.
 *
 * @module
 */
import { BadRequest } from "./problem.ts";
import type { AdminTarget } from "./target.ts";

/** One field of a body or a query. */
export interface Field {
  /** `index` is a whole number from 0 on. */
  readonly type: "string" | "boolean" | "number" | "index" | "array";
  /** What it is. */
  readonly text: string;
  /** Whether it must be given. */
  readonly isRequired?: boolean;
  /** Only these. */
  readonly values?: readonly string[];
}

/** Fields by their names. */
export type Fields = Readonly<Record<string, Field>>;

/** What a route is asked. */
export interface Asked {
  /** The server. */
  readonly raft: AdminTarget;
  /** The id in the path. */
  readonly id: string;
  /** The body's fields, or those of the query, each of its type. */
  readonly given: Readonly<Record<string, unknown>>;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** The request itself. */
  readonly request: Request;
  /** Something came of the request: the time that it may take begins anew. */
  readonly extend: () => void;
}

/** One route. */
export interface Route {
  /** Its method. */
  readonly method: "GET" | "POST" | "PUT" | "DELETE" | "PATCH";
  /** Its path, with `:id` for an id. */
  readonly path: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  /** Fields of its JSON body; undefined when it takes none. */
  readonly body?: Fields;
  /** Type of its body when that is a stream, which the route reads itself. */
  readonly consumes?: string;
  /** Fields of its query. */
  readonly query?: Fields;
  /** Type of what it answers with. Default: `application/json`. */
  readonly produces?: string;
  /** Answers: with a response, or with what is to be JSON. */
  readonly answer: (asked: Asked) => unknown;
}

/** The largest body that is taken. */
export const BODY_BYTES_MAX: number = 64 * 1024;

/** The fields of the route's body or query, checked. */
export async function givenTo({ body, query = {} }: Route, request: Request): Promise<Record<string, unknown>> {
  if (body !== undefined) return checked(await readJson(request), body);
  const pairs = [...new URL(request.url).searchParams];
  const names = new Set<string>();
  for (const [name] of pairs) {
    if (names.has(name)) throw new BadRequest(`Cannot take the field ${JSON.stringify(name)} twice`);
    names.add(name);
  }
  return checked(Object.fromEntries(pairs.map(([name, text]) => [name, parsed(query[name], text)])), query);
}

function parsed(field: Field | undefined, text: string): unknown {
  if (field?.type === "boolean") return text === "true" ? true : text === "false" ? false : text;
  return field?.type === "index" && /^\d{1,16}$/.test(text) ? Number(text) : text;
}

function checked(given: Record<string, unknown>, fields: Fields): Record<string, unknown> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(fields, name)) throw new BadRequest(`Cannot take the field ${JSON.stringify(name)} here`);
  }
  for (const [name, { type, isRequired, values }] of Object.entries(fields)) {
    const value = given[name];
    if (value === undefined && isRequired !== true) continue;
    if (!isOf(type, value)) {
      throw new BadRequest(`Cannot do this as '${name}' must be ${type === "index" ? "a whole number" : `a ${type}`}`);
    }
    if (values === undefined || values.includes(value as string)) continue;
    throw new BadRequest(`Cannot do this as '${name}' must be one of ${values.join(", ")}`);
  }
  return given;
}

function isOf(type: Field["type"], value: unknown): boolean {
  switch (type) {
    case "index":
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case "array":
      return Array.isArray(value);
    case "string":
      return typeof value === "string";
    case "number":
      return typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
  }
}

/** The body as an object; none is an empty one. Never buffered beyond its limit. */
async function readJson(request: Request): Promise<Record<string, unknown>> {
  let text = "";
  let length = 0;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    // Leaving the loop cancels the stream.
    for await (const chunk of request.body ?? []) {
      length += chunk.length;
      if (length > BODY_BYTES_MAX) break;
      text += decoder.decode(chunk, { stream: true });
    }
    if (length <= BODY_BYTES_MAX) {
      const value: unknown = (text += decoder.decode()) === "" ? {} : JSON.parse(text);
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
    }
  } catch {
    throw new BadRequest("Cannot read the body: it must be JSON");
  }
  if (length <= BODY_BYTES_MAX) throw new BadRequest("Cannot read the body: it must be a JSON object");
  throw new BadRequest(`Cannot take the body as it has more than ${BODY_BYTES_MAX} bytes`, 413, "too-large");
}
