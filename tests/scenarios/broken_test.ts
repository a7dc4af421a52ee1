import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { faults } from "../explore/broken.ts";
import { test } from "../harness.ts";
import { readScript } from "./files.ts";
import { record, ScriptFailure } from "./script.ts";

// A script whose record reads well may still not notice the bug that it is about: these must fail, and say why.
const noticed: readonly (readonly [code: string, script: string, complaint: RegExp])[] = [
  ["BC01", "entries_of_an_earlier_term_are_not_committed_by_counting", /: C2: "a" commits an entry of an earlier term/],
  ["BC07", "a_leader_with_a_slow_disk_commits_by_the_others", /: C2: "a" commits entry 3 that few have/],
  ["BC03", "a_follower_commits_only_what_its_leader_verified", /: C6: "e" commits 3, verified up to 2/],
  ["BL03", "a_follower_commits_only_what_its_leader_verified", /: L5: "e" acknowledges 4, verified up to 2/],
  ["BL06", "a_write_from_before_a_truncation_is_not_credited", /: L4: "b" acknowledges 3 beyond its disk/],
  ["BE06", "a_vote_leaves_only_when_it_is_durable", /: E4: "b" speaks in term 2 before it is durable/],
  ["BE01", "a_follower_restarts_in_the_same_term", /not so: voted=a/],
  ["BE09", "logs_that_differ_for_terms_are_repaired_in_few_rounds", /: E7: "c" votes for "l", whose log is behind/],
  ["BE07", "votes_of_an_earlier_campaign_do_not_count", /: E6: "a" leads with 1 votes/],
  ["BL09", "an_answer_to_the_leadership_before_is_none_to_this_one", /not so: match\.b=0/],
  ["BL04", "a_follower_with_a_slow_disk_acknowledges_late", /: L4: "\w" acknowledges \d beyond its disk/],
  ["BL01", "a_delayed_append_removes_nothing_acknowledged", /not so: log=1,2,2,2,2/],
  ["BC05", "a_leader_is_elected_and_commits_two_commands", /: (C2|E6): "a" (commits|leads)/],
  ["BE02", "one_transfer_at_a_time", /: E2: "a" votes twice in term 3/],
  ["BE26", "a_late_order_to_campaign_loses_nothing", /: E7: "a" votes for "c", whose log is behind/],
  ["BE18", "a_leader_is_elected_and_commits_two_commands", /: E8: a pre-vote changed "b"/],
  ["BC10", "a_sole_voter_commits_what_its_disk_has", /not so: commit=2/],
];

for (const [code, script, complaint] of noticed) {
  for (const { name, step } of faults.filter(({ name }) => name.endsWith(`(${code})`))) {
    test(`scenario: ${script.replaceAll("_", " ")}: unless ${name}`, () => {
      const { message } = assertThrows(() => record(script, readScript(script), step), ScriptFailure);
      assertMatch(message, complaint);
    });
  }
}

test("scenario: there is one that notices each fault", () => {
  const codes = faults.map(({ name }) => name.slice(name.lastIndexOf("(") + 1, -1));
  assertEquals(new Set(noticed.map(([code]) => code)), new Set(codes));
});
