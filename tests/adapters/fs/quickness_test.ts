import { assertEquals } from "@std/assert";
import { Quickness } from "../../../adapters/fs/quickness.ts";
import { test } from "../../harness.ts";

test("Quickness lets a small write wait for the disk, and no larger one", () => {
  const quickness = new Quickness();
  assertEquals([quickness.allows(512, 0), quickness.allows(4096, 0), quickness.allows(4097, 0)], [true, true, false]);
});

test("Quickness lets no write wait for a disk that took more than 2 ms, for a second", () => {
  const quickness = new Quickness();
  quickness.note(10, 12);
  assertEquals(quickness.allows(512, 12), true);
  quickness.note(20, 22.5);
  assertEquals([quickness.allows(512, 22.5), quickness.allows(512, 1022), quickness.allows(512, 1022.5)], [
    false,
    false,
    true,
  ]);
});
