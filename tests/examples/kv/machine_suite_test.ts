import { type Command, KvMachine, type Result } from "../../../examples/kv/machine.ts";
import { testMachine } from "../../../src/testing/conformance/machine_suite.ts";
import { sampleBytes } from "../../../src/testing/case_checks.ts";
import { test } from "../../harness.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const commands: readonly Command[] = [
  { op: "delete", key: "absent" },
  { op: "cas", key: "a", expect: bytes("x"), value: bytes("y") },
  { op: "cas", key: "a", expect: null, value: bytes("one") },
  { op: "put", key: "b", value: new Uint8Array(0) },
  { op: "cas", key: "a", expect: bytes("one"), value: bytes("two") },
  { op: "put", key: "large", value: sampleBytes(100_000, 1) },
  { op: "put", key: "ключ", value: bytes("значение") },
  { op: "put", key: "", value: bytes("of the empty key") },
  ...Array.from({ length: 40 }, (_, i): Command => ({ op: "put", key: `k${i * 7 % 31}`, value: sampleBytes(i, i) })),
  ...Array.from({ length: 20 }, (_, i): Command => ({ op: "delete", key: `k${i * 3 % 31}` })),
  { op: "put", key: "large", value: bytes("small") },
  { op: "cas", key: "k30", expect: null, value: bytes("new") },
];

testMachine<Command, Result>(test, { name: "KvMachine", create: () => new KvMachine(), commands });
