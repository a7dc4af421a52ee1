/**
 * The routes as an OpenAPI document, version 3.1.
 *
 * @module
 */
import type { Field, Fields, Route } from "./route.ts";

/** The document: JSON. */
export type OpenApiDocument = Readonly<Record<string, unknown>>;

/** The document of these routes, which are served below `path`. */
export function openApiDocument(routes: readonly Route[], path: string, needsToken: boolean): OpenApiDocument {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const name = route.path.replace(/:(\w+)/g, "{$1}");
    (paths[name] ??= {})[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: "3.1.0",
    info: { title: "Raft server", version: "1", description: "Looks at one server of a Raft cluster, and changes it." },
    servers: [{ url: path === "" ? "." : path }],
    ...(needsToken ? { security: [{ bearer: [] }] } : {}),
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
      schemas: { Problem: problem },
    },
  };
}

const problem = {
  type: "object",
  required: ["error", "code"],
  properties: {
    error: { type: "string", description: "What went wrong, for people." },
    code: { type: "string", description: "What went wrong, for programs." },
    outcome: { enum: ["not-applied", "unknown"], description: "What became of what was asked for." },
    leader: { type: ["object", "null"], description: "Whom to ask instead: its id and address." },
    reason: { type: "string", description: "Why a change of the servers or a transfer failed." },
  },
};

function operationOf({ path, summary, body, consumes, query = {}, produces = "application/json" }: Route): object {
  const id = path.includes(":id") ? [{ name: "id", in: "path", required: true, schema: { type: "string" } }] : [];
  const parameters = Object.entries(query).map(([name, field]) => ({
    name,
    in: "query",
    required: field.isRequired === true,
    description: field.text,
    schema: schemaOf(field),
  }));
  const all = [...id, ...parameters];
  return {
    summary,
    ...(all.length === 0 ? {} : { parameters: all }),
    ...(body === undefined ? {} : { requestBody: requestBodyOf(body) }),
    ...(consumes === undefined ? {} : { requestBody: { required: true, content: { [consumes]: {} } } }),
    responses: {
      200: { description: "Done.", content: { [produces]: {} } },
      default: {
        description: "Refused, or failed.",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    },
  };
}

function requestBodyOf(fields: Fields): object {
  const entries = Object.entries(fields);
  const required = entries.filter(([, { isRequired }]) => isRequired === true).map(([name]) => name);
  const properties = Object.fromEntries(
    entries.map(([name, field]) => [name, { ...schemaOf(field), description: field.text }]),
  );
  const schema = { type: "object", properties, required, additionalProperties: false };
  return { required: required.length > 0, content: { "application/json": { schema } } };
}

function schemaOf({ type, values }: Field): object {
  if (type === "index") return { type: "integer", minimum: 0 };
  if (type === "array") return { type, items: { type: "object" } };
  return values === undefined ? { type } : { type, enum: values };
}
