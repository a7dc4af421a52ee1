import { assertEquals } from "@std/assert";
import { Quickness } from "../../../adapters/fs/quickness.ts";
import { test } from "../../harness.ts";

test("Quickness lets a small write wait for the disk, and no larger one", () => {
  const quickness = new Quickness();
  assertEquals([512, 16_384, 16_385].map((bytes) => quickness.allows(bytes, 0)), [true, true, false]);
});

test("Quickness lets no write wait for a disk that took more than 5 ms, for 200 ms", () => {
  const quickness = new Quickness();
  quickness.note(10, 15);
  assertEquals(quickness.allows(512, 15), true);
  quickness.note(20, 25.5);
  const at = [25.5, 225, 225.5];
  assertEquals(at.map((now) => quickness.allows(512, now)), [false, false, true]);
});
