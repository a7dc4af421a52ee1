import { assert, assertEquals } from "@std/assert";
import { quorumValue } from "../../src/core/quorum.ts";
import { Cluster } from "./cluster.ts";
import { numbered, review } from "./review.ts";
import {
  accepted,
  append,
  configuration,
  coreOf,
  deadline,
  drained,
  following,
  leaderOf,
  receive,
  rejected,
  take,
} from "./states.ts";

const { entry, complete } = review("BC", numbered("BC", 16), {
  BC08: "needs membership changes: later",
  BC11: "the core counts no uncommitted bytes, the driver does: pending_test.ts",
  BC12: "there are no hooks before a commit",
  BC13: "there are no hooks before a commit",
});

entry("BC01", "an entry of an earlier term on a quorum is not committed by that", () => {
  const core = leaderOf({ terms: [1, 2, 4], progress: { b: { matchIndex: 1 }, c: { matchIndex: 2 } } });
  assertEquals(receive(core, "b", accepted({ term: 4, matchIndex: 2 })).effects, []);
  assertEquals(receive(core, "b", accepted({ term: 4, matchIndex: 3 })).effects, [{ type: "apply", upTo: 3 }]);
});

entry("BC02", "no index of a refusal counts as a match", () => {
  const core = leaderOf({ terms: [1, 2, 2] });
  receive(core, "b", { ...rejected(3, 3, 2, { term: 2, sequence: 9 }), matchIndex: 3 });
  assertEquals([core.state.leading!.progress.get("b")!.matchIndex, core.state.commitIndex], [0, 0]);
});

entry("BC03", "a follower commits nothing that this leader's appends have not verified", () => {
  const core = coreOf({ terms: [1, 2, 2, 2], term: 3 });
  receive(core, "b", append({ term: 3, prevIndex: 1, commitIndex: 4 }));
  assertEquals(core.state.commitIndex, 1);
  receive(core, "b", append({ term: 3, prevIndex: 1, terms: [2], commitIndex: 4 }));
  assertEquals(core.state.commitIndex, 2);
});

entry("BC04", "a quorum's value does not depend on the order of the voters", () => {
  const matches = [9, 1, 5, 7, 3];
  for (let shift = 0; shift < 5; shift++) {
    const of = (id: string) => matches[("abcde".indexOf(id) + shift) % 5]!;
    assertEquals(quorumValue(configuration("a b c d e"), of), 5);
  }
});

entry("BC05", "half of an even number is no majority, and nonvoters make none", () => {
  const core = leaderOf({ servers: "a b c d ~e", terms: [1, 2] });
  for (const id of ["b", "e"]) assertEquals(receive(core, id, accepted({ term: 2, matchIndex: 2 })).effects, []);
  assertEquals(receive(core, "c", accepted({ term: 2, matchIndex: 2 })).effects.length, 1);
});

entry("BC06", "a single server loses nothing that it called committed", () => {
  const cluster = new Cluster({ servers: "a", persistence: "delayed" });
  cluster.tick("a");
  cluster.persist("a");
  cluster.propose("a", 2);
  assertEquals(cluster.of("a").core.state.commitIndex, 2);
  cluster.restart("a");
  assertEquals(cluster.of("a").log.length, 2);
});

entry("BC07", "a leader counts its own first entry only when it is durable", () => {
  const core = leaderOf({ servers: "a b", terms: [1, 2], state: { persistedIndex: 1 } });
  assertEquals(receive(core, "b", accepted({ term: 2, matchIndex: 2 })).effects, []);
  assertEquals(take(core, { type: "entries-persisted", end: 3, epoch: 0 }).effects, [{ type: "apply", upTo: 2 }]);
});

entry("BC09", "a commit index never goes back", () => {
  const core = coreOf({ terms: [1, 1, 1], state: following("b") });
  for (const commitIndex of [3, 1, 0]) receive(core, "b", append({ prevIndex: 3, commitIndex }));
  assertEquals(core.state.commitIndex, 3);
});

entry("BC10", "entries of earlier terms below don't keep an own one from being committed (C7)", () => {
  const core = leaderOf({ terms: [1, 2, 3, 4], servers: "a b", state: { commitIndex: 1 } });
  assertEquals(receive(core, "b", accepted({ term: 4, matchIndex: 4 })).effects, [{ type: "apply", upTo: 4 }]);
});

entry("BC14", "entries are compared by term one by one, those behind the first conflict go", () => {
  const core = coreOf({ terms: [1, 2, 2, 3, 3], term: 4 });
  receive(core, "b", append({ term: 4, prevIndex: 1, terms: [2, 2, 4] }));
  assertEquals(core.state.log.runs, [{ term: 1, from: 1 }, { term: 2, from: 2 }, { term: 4, from: 4 }]);
});

entry("BC15", "times beyond 2^31 ms make no difference", () => {
  const now = 2 ** 31 - 10;
  const core = leaderOf({ progress: { b: { heardAt: now - 400 } }, leading: { heartbeatAt: now } });
  take(core, deadline, now);
  assertEquals([core.state.role, core.deadline], ["leader", now + 50]);
  take(core, deadline, now + 150);
  assertEquals(core.state.role, "follower");
});

entry("BC16", "nothing beyond the commit index is to be applied, however long the log", () => {
  const core = coreOf({ terms: [1, 1, 1, 1], state: following("b") });
  const { effects } = receive(core, "b", append({ prevIndex: 4, commitIndex: 2 }));
  assertEquals(effects[0], { type: "apply", upTo: 2 });
  assert(!take(core, drained).effects.some(({ type }) => type === "apply"));
});

complete();
