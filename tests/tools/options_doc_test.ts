import { assertEquals, assertThrows } from "@std/assert";
import { readFile } from "node:fs/promises";
import { defaultOptions } from "../../src/options.ts";
import { fieldsOf, FILES, formatDefault, optionsPage, withTable } from "../../tools/options_doc.ts";
import { test } from "../harness.ts";

const source = await readFile(FILES.source, "utf8");

test("docs/options.md is up to date: else run tools/options_doc.ts", async () => {
  assertEquals(await readFile(FILES.page, "utf8"), optionsPage(source));
});

test("the options in README.md are up to date: else run tools/options_doc.ts", async () => {
  const readme = await readFile(FILES.readme, "utf8");
  assertEquals(readme, withTable(readme, source));
});

test("every setting is documented, with the default that it has", () => {
  const defaults = defaultOptions() as unknown as Record<string, unknown>;
  const fields = fieldsOf(source, "RaftSettings");
  assertEquals(fields.map(({ name }) => name), Object.keys(defaults));
  for (const { name, text, defaultText } of fields) {
    assertEquals([name, defaultText?.replaceAll("_", "")], [name, String(defaults[name])]);
    assertEquals(text.length > 10, true, name);
  }
});

test("fieldsOf() reads comments of one and of several lines", () => {
  const text = `
export interface Other {
  /** No. */
  readonly no: number;
}
export interface Some<A> extends Other {
  /** One line. */
  readonly one: A | B;
  /**
   * Two lines,
   * with a \`tag\`.
   *
   * @default {1_000}
   */
  readonly two?: Readonly<Record<string, number>>;
}
`;
  assertEquals(fieldsOf(text, "Some"), [
    { name: "one", type: "A | B", isOptional: false, text: "One line.", defaultText: undefined },
    {
      name: "two",
      type: "Readonly<Record<string, number>>",
      isOptional: true,
      text: "Two lines, with a `tag`.",
      defaultText: "1_000",
    },
  ]);
  assertThrows(() => fieldsOf(text, "None"), Error, "Cannot find");
});

test("formatDefault() writes numbers with their units", () => {
  assertEquals(formatDefault("heartbeatMs", 50), "50 ms");
  assertEquals(formatDefault("leaderWaitMs", 3000), "3,000 ms");
  assertEquals(formatDefault("commandBytesMax", 4 * 1024 * 1024), "4 MiB");
  assertEquals(formatDefault("chunkBytes", 256 * 1024), "256 KiB");
  assertEquals(formatDefault("chunkBytes", 1000), "1,000 bytes");
  assertEquals(formatDefault("entriesMax", 65_536), "65,536");
  assertEquals(formatDefault("preVote", true), "true");
});
