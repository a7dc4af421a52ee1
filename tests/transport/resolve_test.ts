import { assertEquals } from "@std/assert";
import { worldTest } from "./world.ts";

worldTest("resolveAddress() is asked before every dial, by id; the configured address is told, too", async (world) => {
  const asked: string[] = [];
  let at = "nowhere:1";
  const a = await world.join("a", {
    redialMinMs: 100,
    resolveAddress: (id, address) => {
      asked.push(`${id} ${address}`);
      return Promise.resolve(at);
    },
  });
  const b = await world.join("b");
  a.want(["b", "old:1"]);
  await world.clock.advance(0);
  assertEquals([asked, a.calls], [["b old:1"], []]);
  at = "b:1";
  await world.clock.advance(200);
  assertEquals([asked, a.calls], [["b old:1", "b old:1"], ["connect b consensus"]]);
  assertEquals(b.calls, ["connect a consensus"]);
});

for (
  const [name, answer] of [
    ["undefined", () => undefined],
    ["an error", () => Promise.reject(new Error("no such name"))],
    ["an error that is thrown", () => {
      throw new Error("no such name");
    }],
  ] as const
) {
  worldTest(`resolveAddress() that gives ${name}: the configured address is dialled`, async (world) => {
    const a = await world.join("a", { resolveAddress: answer });
    await world.join("b");
    a.want("b");
    await world.clock.advance(0);
    assertEquals(a.calls, ["connect b consensus"]);
    const told = world.lines.filter((line) => line.includes('Cannot resolve the address of "b"'));
    assertEquals(told.length, name === "undefined" ? 0 : 1, world.lines.join("\n"));
  });
}

worldTest("resolveAddress() that never answers is waited for as long as for a dial", async (world) => {
  const a = await world.join("a", { dialTimeoutMs: 500, resolveAddress: () => new Promise(() => {}) });
  await world.join("b");
  a.want("b");
  await world.clock.advance(499);
  assertEquals(a.calls, []);
  await world.clock.advance(1);
  assertEquals(a.calls, ["connect b consensus"]);
});

worldTest("a transport that is closed dials nobody whose address comes later", async (world) => {
  let answer: (address: string) => void = () => {};
  const a = await world.join("a", { resolveAddress: () => new Promise((resolve) => answer = resolve) });
  a.want("b");
  await a.transport.close();
  answer("b:1");
  await world.clock.advance(0);
  assertEquals(world.internet.dialCount, 0);
});
