/**
 * The rules of the house that a type checker cannot see: which folder may import which, and what would make the core
 * nondeterministic. `deno lint` runs them; CONTRIBUTING.md says why they are as they are.
 *
 * @module
 */
import { fromRoot, importedPath } from "./paths.ts";

const PACKAGE = "@securecollc/raft";

/** Stands for the importer's folder right below the first one: `adapters/fs/` for `adapters/fs/files.ts`. */
const OWN_FOLDER = "own folder";

const VOCABULARY = ["src/types.ts", "src/errors.ts", "src/damage.ts"];
/** Set by whoever decides or performs, read by the simulator alone. */
const MARKS = "src/marks.ts";
/** Asked about by whoever decides or performs, answered by the simulator alone. */
const POINTS = "src/points.ts";
/** What options must be, for whoever takes some. */
const CHECKS = "src/checks.ts";
const MESSAGES = [...VOCABULARY, "src/message.ts"];
const STORES = ["src/store/", "src/wire/", MARKS, CHECKS, ...VOCABULARY];
const TRANSPORTS = ["src/transport/", "src/wire/", CHECKS, ...VOCABULARY];
const SETTINGS = ["src/machine.ts", "src/options.ts", "src/events.ts", "src/metrics.ts"];
const FACADE = ["src/*", "src/driver/", "src/wire/", "src/store/", "src/transport/", "@std/msgpack"];
const ADAPTER = ["mod.ts", "src/store/", "src/transport/*", CHECKS, ...VOCABULARY, "node:", "@std/"];
const PROGRAM = [PACKAGE, "mod.ts", "adapters/", "node:", "@std/", "hono", "@hono/"];

/**
 * Who may import what; the first matching row counts, and files without a row are free. `a/` is a folder with all it
 * holds, `a/*` only the files right in it, `node:` a scheme, anything else a file or package (with its subpaths).
 */
const DIRECTIONS: readonly (readonly [importer: string, allowed: readonly string[]])[] = [
  ["src/core/", ["src/core/", MARKS, POINTS, ...MESSAGES]],
  ["src/wire/", ["src/wire/", ...MESSAGES, "@std/msgpack"]],
  ["src/store/", STORES],
  ["src/transport/", TRANSPORTS],
  ["src/driver/", [
    ...["src/driver/", "src/core/", "src/wire/", "src/store/*", "src/transport/*"],
    ...[...SETTINGS, MARKS, POINTS, ...MESSAGES],
  ]],
  ["src/testing/", ["src/", "mod.ts", "@std/"]],
  [MARKS, []],
  [POINTS, []],
  [CHECKS, []],
  ["src/types.ts", MESSAGES],
  ["src/errors.ts", MESSAGES],
  ["src/message.ts", MESSAGES],
  ["src/damage.ts", MESSAGES],
  ...SETTINGS.map((file): [string, string[]] => [
    file,
    [...SETTINGS, CHECKS, ...MESSAGES, "src/wire/", "src/store/*", "src/transport/*", "@std/msgpack"],
  ]),
  ["src/raft.ts", [...FACADE, "src/core/"]],
  ["src/*", FACADE],
  ["mod.ts", ["src/*", "src/store/*", "src/transport/*", "src/wire/record.ts"]],
  ["adapters/hono/", [OWN_FOLDER, ...ADAPTER, "hono"]],
  ["adapters/", [OWN_FOLDER, ...ADAPTER]],
  ["examples/", ["examples/", ...PROGRAM]],
  ["bench/ceiling.ts", [...["http", "listen", "machine"].map((name) => `examples/kv/${name}.ts`), ...PROGRAM]],
  ["bench/storage_server.ts", ["bench/", "examples/kv/machine.ts", ...PROGRAM]],
  ["bench/", ["bench/", "examples/kv/programs.ts", ...PROGRAM]],
];

const NONDETERMINISTIC = new Set([
  ...["Date", "performance", "Temporal", "crypto", "globalThis", "console", "fetch"],
  ...["setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval", "queueMicrotask", "Promise"],
  ...["WeakRef", "FinalizationRegistry", "Intl", "Deno", "Bun", "process"],
]);

const importDirection: Deno.lint.Rule = {
  create(context) {
    const importer = fromRoot(context.filename);
    const row = DIRECTIONS.find(([pattern]) => matches(importer, pattern));
    if (row === undefined) return {};
    const ownFolder = importer.split("/", 2).join("/") + "/";
    const allowed = row[1].map((pattern) => pattern === OWN_FOLDER ? ownFolder : pattern);
    const check = (node: Deno.lint.Node, source: unknown) => {
      const specifier = (source as { value?: unknown } | null)?.value;
      if (typeof specifier !== "string") return;
      const target = specifier.startsWith(".") ? importedPath(context.filename, specifier) : specifier;
      if (allowed.some((pattern) => matches(target, pattern))) return;
      context.report({ node, message: `${importer} may not import ${target}: it may import ${allowed.join(", ")}` });
    };
    return {
      ImportDeclaration: (node) => check(node, node.source),
      ExportNamedDeclaration: (node) => check(node, node.source),
      ExportAllDeclaration: (node) => check(node, node.source),
      ImportExpression: (node) => check(node, node.source),
      TSImportType: (node) => check(node, literalOf(node.argument)),
    };
  },
};

const deterministicCore: Deno.lint.Rule = {
  create(context) {
    if (!matches(fromRoot(context.filename), "src/core/")) return {};
    // In `{ process }` key and value are two nodes at one place.
    const reported = new Set<number>();
    const report = (node: Deno.lint.Node, what: string) => {
      if (reported.has(node.range[0])) return;
      reported.add(node.range[0]);
      context.report({ node, message: `${what} would make the core nondeterministic or asynchronous` });
    };
    const checkFunction = (node: Deno.lint.Node & { async: boolean }) => {
      if (node.async) report(node, "an async function");
    };
    return {
      Identifier(node) {
        if (NONDETERMINISTIC.has(node.name) && !isPropertyName(node)) report(node, node.name);
        if (node.name === "Math" && !isHarmlessMath(node)) report(node, "Math.random");
      },
      AwaitExpression: (node) => report(node, "await"),
      ImportExpression: (node) => report(node, "import()"),
      ForOfStatement(node) {
        if (node.await) report(node, "for await");
      },
      FunctionDeclaration: checkFunction,
      FunctionExpression: checkFunction,
      ArrowFunctionExpression: checkFunction,
    };
  },
};

/** Whether a path or package is what a pattern of {@linkcode DIRECTIONS} names. */
function matches(target: string, pattern: string): boolean {
  if (pattern.endsWith("/*")) {
    const folder = pattern.slice(0, -1);
    return target.startsWith(folder) && !target.slice(folder.length).includes("/");
  }
  if (pattern.endsWith("/") || pattern.endsWith(":")) return target.startsWith(pattern);
  return target === pattern || target.startsWith(pattern + "/");
}

/** Whether the identifier only names a member: `state.process` and `{ process: 1 }` are nobody's global. */
function isPropertyName(node: Deno.lint.Identifier): boolean {
  const parent = node.parent as unknown as { [field: string]: unknown };
  if (parent.computed === true || parent.shorthand === true) return false;
  const name = (parent.type === "MemberExpression" ? parent.property : parent.key) as Deno.lint.Node | undefined;
  return name !== undefined && isSame(name, node);
}

/** `Math.min` is fine; `Math.random`, and a `Math` that is passed on or indexed, is not. */
function isHarmlessMath(node: Deno.lint.Identifier): boolean {
  if (isPropertyName(node)) return true;
  const parent = node.parent;
  if (parent.type !== "MemberExpression" || parent.computed || !isSame(parent.object, node)) return false;
  return parent.property.type === "Identifier" && parent.property.name !== "random";
}

function isSame(a: Deno.lint.Node, b: Deno.lint.Node): boolean {
  return a.range[0] === b.range[0] && a.range[1] === b.range[1];
}

// `import("./x.ts")` as a type: the specifier sits in a literal type.
function literalOf(argument: unknown): unknown {
  const node = argument as { type?: string; literal?: unknown } | undefined;
  return node?.type === "TSLiteralType" ? node.literal : node;
}

const plugin: Deno.lint.Plugin = {
  name: "raft",
  rules: { "import-direction": importDirection, "deterministic-core": deterministicCore },
};

export default plugin;
