/**
 * Writes docs/options.md, and the table in README.md, from src/options.ts: one place says what an option is.
 *
 *     deno run -A tools/options_doc.ts
 *
 * @module
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { defaultOptions } from "../src/options.ts";
import { ROOT } from "./paths.ts";

/** A documented field of an interface. */
export interface DocumentedField {
  readonly name: string;
  readonly type: string;
  readonly isOptional: boolean;
  /** The comment in one line, without its tags. */
  readonly text: string;
  /** What `@default {…}` says. */
  readonly defaultText: string | undefined;
}

const TABLE_START = "<!-- options: written by tools/options_doc.ts -->";
const TABLE_END = "<!-- end of options -->";

/** The fields of one interface in a source text. */
export function fieldsOf(source: string, name: string): DocumentedField[] {
  const [, body] = new RegExp(`export interface ${name}\\b[^]*?\\{\\n([^]*?)\\n\\}`).exec(source) ?? [];
  if (body === undefined) throw new Error(`Cannot find the interface "${name}"`);
  const fields = /\/\*\*([^]*?)\*\/\s*readonly (\w+)(\??): ([^;]+);/g;
  return [...body.matchAll(fields)].map(([, comment, name, optional, type]) => {
    const lines = comment!.split("\n").map((line) => line.replace(/^\s*\*? ?/, "").trim());
    const [, defaultText] = /^@default \{(.*)\}/m.exec(lines.join("\n")) ?? [];
    const text = lines.filter((line) => line !== "" && !line.startsWith("@")).join(" ");
    return { name: name!, type: type!, isOptional: optional === "?", text, defaultText };
  });
}

/** A default as a reader wants it: 1_048_576 bytes are 1 MiB. */
export function formatDefault(name: string, value: number | boolean): string {
  if (typeof value === "boolean") return String(value);
  if (name.endsWith("Ms")) return `${grouped(value)} ms`;
  if (!/Bytes(?:Max)?$/.test(name)) return grouped(value);
  if (value >= 1024 * 1024 && value % (1024 * 1024) === 0) return `${value / (1024 * 1024)} MiB`;
  if (value >= 1024 && value % 1024 === 0) return `${value / 1024} KiB`;
  return `${grouped(value)} bytes`;
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** The table of all numbers a server runs by. */
export function settingsTable(source: string): string {
  const defaults = defaultOptions() as unknown as Record<string, number | boolean>;
  const rows = fieldsOf(source, "RaftSettings").map(({ name, text }) => {
    return `| \`${name}\` | ${formatDefault(name, defaults[name]!)} | ${escapeCell(text)} |`;
  });
  return ["| option | default | |", "|---|---|---|", ...rows].join("\n");
}

function partsTable(source: string): string {
  const rows = fieldsOf(source, "RaftOptions").map(({ name, isOptional, text }) => {
    return `| \`${name}\` | ${isOptional ? "no" : "yes"} | ${escapeCell(text)} |`;
  });
  return ["| option | required | |", "|---|---|---|", ...rows].join("\n");
}

function escapeCell(text: string): string {
  return text.replace(/\{@linkcode (\w+)\}/g, "`$1`").replaceAll("|", "\\|");
}

/** The page docs/options.md. */
export function optionsPage(source: string): string {
  return `# Options

What \`createRaft\` takes. This page is written by \`tools/options_doc.ts\` from \`src/options.ts\`: change it there.

${partsTable(source)}

## Numbers

All may be left out. Times end in \`Ms\` and are milliseconds, sizes end in \`Bytes…\` and are bytes. They are checked when a
server starts: a \`RangeError\` names the option, its bound and the current value.

${settingsTable(source)}

Every server of a cluster should run with the same \`heartbeatMs\`, \`electionMinMs\`, \`electionMaxMs\` and \`leaseMs\`. Raise
them together where the network or the disks are slow: an election must take longer than the slowest durable write and
round trip, or servers that are merely slow are taken for dead.
`;
}

/** README.md with its table brought up to date. */
export function withTable(readme: string, source: string): string {
  const [before, rest] = readme.split(TABLE_START);
  const [, after] = rest?.split(TABLE_END) ?? [];
  if (before === undefined || after === undefined) throw new Error(`Cannot find "${TABLE_START}" in README.md`);
  return `${before}${TABLE_START}\n\n${settingsTable(source)}\n\n${TABLE_END}${after}`;
}

/** Where everything is. */
export const FILES: { readonly source: string; readonly page: string; readonly readme: string } = {
  source: join(ROOT, "src/options.ts"),
  page: join(ROOT, "docs/options.md"),
  readme: join(ROOT, "README.md"),
};

if (import.meta.main) {
  const source = await readFile(FILES.source, "utf8");
  await writeFile(FILES.page, optionsPage(source));
  await writeFile(FILES.readme, withTable(await readFile(FILES.readme, "utf8"), source));
}
