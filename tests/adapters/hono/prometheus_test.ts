import { assertEquals, assertMatch } from "@std/assert";
import { prometheusText } from "../../../adapters/hono/prometheus.ts";
import { test } from "../../harness.ts";
import { fakeTarget } from "./fake_target.ts";

function linesOf(metrics: Parameters<typeof fakeTarget>[1], prefix: string): string[] {
  return prometheusText(fakeTarget({}, metrics).metrics()).split("\n").filter((line) => line.startsWith(prefix));
}

test("prometheusText() gives every number its own metric", () => {
  const expected: Record<string, number> = {
    raft_term: 3,
    raft_has_leader: 1,
    raft_last_index: 42,
    raft_commit_index: 41,
    raft_applied_index: 40,
    raft_elections_total: 1,
    raft_leader_changes_total: 2,
    raft_proposals_total: 30,
    raft_proposals_failed_total: 4,
    raft_proposals_pending: 5,
    raft_proposals_pending_bytes: 600,
    raft_reads_total: 7,
    raft_protocol_errors_total: 8,
    raft_sends_dropped_total: 9,
  };
  for (const [name, value] of Object.entries(expected)) assertEquals(linesOf({}, `${name} `), [`${name} ${value}`]);
  assertEquals(linesOf({ hasLeader: false }, "raft_has_leader "), ["raft_has_leader 0"]);
});

test("prometheusText() marks the role that the server has", () => {
  assertEquals(linesOf({ role: "candidate" }, "raft_role"), [
    'raft_role{role="follower"} 0',
    'raft_role{role="pre-candidate"} 0',
    'raft_role{role="candidate"} 1',
    'raft_role{role="leader"} 0',
    'raft_role{role="shutdown"} 0',
  ]);
});

test("prometheusText() gives histograms in seconds, each bucket with all that is below", () => {
  assertEquals(linesOf({}, "raft_sync_duration_seconds"), [
    'raft_sync_duration_seconds_bucket{le="0.00005"} 1',
    'raft_sync_duration_seconds_bucket{le="0.0001"} 3',
    'raft_sync_duration_seconds_bucket{le="0.0002"} 3',
    'raft_sync_duration_seconds_bucket{le="+Inf"} 6',
    "raft_sync_duration_seconds_sum 0.0125",
    "raft_sync_duration_seconds_count 6",
  ]);
});

test("prometheusText() gives a histogram for each stage of a command, by label", () => {
  const lines = linesOf({}, "raft_stage_duration_seconds");
  assertEquals(lines.length, 6 * 4);
  assertEquals(lines.slice(0, 4), [
    'raft_stage_duration_seconds_bucket{stage="appended",le="0.0001"} 3',
    'raft_stage_duration_seconds_bucket{stage="appended",le="+Inf"} 4',
    'raft_stage_duration_seconds_sum{stage="appended"} 0.0005',
    'raft_stage_duration_seconds_count{stage="appended"} 4',
  ]);
});

test("prometheusText() tells of each peer, and no contact where there was none", () => {
  const peers = [{ id: "b", lag: 7, lastContactMs: 1500 }, { id: "c", lag: 0, lastContactMs: undefined }];
  assertEquals(linesOf({ peers }, "raft_peer"), [
    'raft_peer_lag_entries{peer="b"} 7',
    'raft_peer_lag_entries{peer="c"} 0',
    'raft_peer_last_contact_seconds{peer="b"} 1.5',
  ]);
  assertEquals(linesOf({ peers: [] }, "# HELP raft_peer"), []);
});

test("prometheusText() escapes what a label can't hold as it is", () => {
  const peers = [{ id: 'a"b\\c\nd', lag: 1, lastContactMs: undefined }];
  assertEquals(linesOf({ peers }, "raft_peer_lag"), ['raft_peer_lag_entries{peer="a\\"b\\\\c\\nd"} 1']);
});

test("prometheusText() is well-formed: help and type before the samples of each metric, a line break at the end", () => {
  const peers = [{ id: "b", lag: 7, lastContactMs: 1500 }];
  const text = prometheusText(fakeTarget({}, { peers }).metrics());
  const sample = /^[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+$/;
  let family = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const name = line.startsWith("# HELP ") ? line.split(" ")[2]! : family;
    if (name !== family) family = name;
    else if (line.startsWith("# TYPE ")) {
      assertMatch(line, new RegExp(`^# TYPE ${family} (?:gauge|counter|histogram)$`));
    } else {
      assertMatch(line, sample);
      assertEquals(line.startsWith(family), true, line);
    }
  }
  assertEquals(text.at(-1), "\n");
});
