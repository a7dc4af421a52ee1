import { assertEquals } from "@std/assert";
import { countTestCases } from "../../tools/junit.ts";
import { test } from "../harness.ts";

test("junit: counts passed, failed and skipped, each apart", () => {
  const report = `<testsuites><testsuite name="a">
    <testcase name="one" time="1"/>
    <testcase name="two" time="1"></testcase>
    <testcase name="three"><failure message="no">at x</failure></testcase>
    <testcase name="four"><skipped/></testcase>
    <testcase name="five">
      <error message="no"/>
    </testcase>
  </testsuite></testsuites>`;
  assertEquals(countTestCases(report), { passed: 2, failed: 2, skipped: 1 });
});

test("junit: what a test prints or is called doesn't count", () => {
  const report =
    `<testcase name="&lt;testcase> a > b"><system-out><![CDATA[<testcase name="x"/><failure>]]></system-out></testcase>`;
  assertEquals(countTestCases(report), { passed: 1, failed: 0, skipped: 0 });
});

test("junit: a name with > in it swallows no test after it", () => {
  const report = `<testcase name="a->b" time="1"/>
    <testcase name="two" time="1"/>
    <testcase name="three" time="1"><failure/></testcase>`;
  assertEquals(countTestCases(report), { passed: 2, failed: 1, skipped: 0 });
});

test("junit: an empty file that Node calls a test doesn't count, a broken one does", () => {
  const report = `<testcase name="tests/a_test.ts" classname="test"/>
    <testcase name="/x/tests/b_test.ts" classname="test"><failure/></testcase>`;
  assertEquals(countTestCases(report), { passed: 0, failed: 1, skipped: 0 });
});

test("junit: no report is no test", () => {
  assertEquals(countTestCases(""), { passed: 0, failed: 0, skipped: 0 });
});
