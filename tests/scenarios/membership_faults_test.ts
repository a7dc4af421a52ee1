import { assertMatch, assertThrows } from "@std/assert";
import { test } from "../harness.ts";
import { readScript } from "./files.ts";
import { membershipFaults } from "./membership_faults.ts";
import { record, ScriptFailure } from "./script.ts";

for (const { name, step, script, complaint } of membershipFaults) {
  test(`scenario: ${script.replaceAll("_", " ")}: unless ${name}`, () => {
    const { message } = assertThrows(() => record(script, readScript(script), step), ScriptFailure);
    assertMatch(message, complaint);
  });
}
