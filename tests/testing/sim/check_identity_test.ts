import { assertEquals } from "@std/assert";
import { Ghost } from "../../../src/testing/sim/ghost.ts";
import { Atlas } from "../../../src/testing/sim/disk/atlas.ts";
import { emptyView } from "../../../src/testing/sim/disk_view.ts";
import type { Configuration, Disk } from "../../../src/types.ts";
import { test } from "../../harness.ts";
import { accepted, configuration, rejected } from "../../core/states.ts";
import { type Actor, request, rule, type Stage } from "./stage.ts";

const disk = (incarnation: string, starts = 1): Disk => ({ incarnation, starts });

/** Three servers, the logs of which say by which disks they are known. */
function known(b = disk("B")): Configuration {
  const disks: Readonly<Record<string, Disk>> = { a: disk("A"), b, c: disk("C") };
  return { servers: configuration("a b c").servers.map((server) => ({ ...server, disk: disks[server.id]! })) };
}

/** What the log of a server says from this entry on. */
function configure(actor: Actor, index: number, configuration: Configuration): void {
  actor.core.configurations.push({ index, configuration });
  actor.log.configure(index, configuration);
}

/** The server is lost and comes back with this disk. */
function replace(stage: Stage, actor: Actor, now: Disk): Actor {
  return stage.replace(actor, now, "wipe");
}

rule("M8", "a vote of a server that has forgotten others counts for nothing", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  configure(a, 1, known());
  const other = replace(stage, b, disk("X"));
  stage.grant(other, 2, a);
  stage.lead(a, 2, ...isBad ? [] : [c]);
});

rule(
  "M8",
  "a vote of a server that was re-admitted counts as any, and so does one that was given before",
  (stage, isBad) => {
    const [a, b] = [stage.server("a"), stage.server("b")];
    configure(a, 1, known(isBad ? undefined : disk("X")));
    const other = replace(stage, b, disk("X"));
    stage.lead(a, 2, other);
  },
);

rule("M8", "an entry is not committed by who is seen to have forgotten", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  configure(a, 1, known());
  stage.lead(a, 2, b, c);
  const other = replace(stage, b, disk("X"));
  stage.vote(other, 2, undefined);
  stage.connect(a, "b", disk("X"));
  stage.append(a, 2);
  if (isBad) stage.follow(a, other);
  else {
    stage.follow(a, c);
    stage.follow(a, other);
  }
});

rule("M8", "a server that its own log knows by another disk does not campaign", (stage, isBad) => {
  const b = stage.server("b");
  const other = replace(stage, b, disk("X"));
  configure(other, 1, known(isBad ? undefined : disk("X")));
  stage.vote(other, 2, "b");
  stage.send(other, "a", { type: "vote-request", term: 2, pre: false, lastIndex: 1, lastTerm: 1, transfer: false });
});

rule("M8", "a server is re-admitted when something younger than its disk is committed", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  configure(a, 1, known());
  stage.lead(a, 2, b, c);
  replace(stage, b, disk("X"));
  stage.connect(a, "b", disk("X"));
  stage.append(a, 2);
  if (!isBad) stage.follow(a, c);
  configure(a, 3, known(disk("X")));
  const append = { type: "append", source: "configuration", from: 3, end: 4, term: 2, epoch: 0 } as const;
  stage.step(a, { type: "drained" }, () => {}, [{ ...append, configuration: known(disk("X")) }]);
});

rule("M8", "no read is confirmed by who has forgotten", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  configure(a, 1, known());
  stage.reign(a, 2, b, c);
  replace(stage, b, disk("X"));
  stage.connect(a, "b", disk("X"));
  stage.step(a, { type: "read-requested", id: 1 });
  const voter = isBad ? "b" : "c";
  Object.assign(a.core.leading!.progress.get("b")!, { matchIndex: 0, sequence: 8 });
  a.core.leading!.progress.get("c")!.sequence = 8;
  stage.send(a, voter, { ...request(2, 2, 2), sequence: 7 });
  stage.receive(a, voter, accepted({ term: 2, sequence: 7, matchIndex: 0 }));
  stage.step(a, { type: "drained" }, () => {}, [{ type: "answer-read", id: 1, index: a.core.commitIndex }]);
});

rule("L7", "what another disk acknowledged is worth nothing to a leader that has seen the new one", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  configure(a, 1, known());
  stage.reign(a, 2, b, c);
  replace(stage, b, disk("X"));
  if (isBad) stage.connect(a, "b", disk("X"));
  stage.receive(a, "b", accepted({ term: 2, matchIndex: 0 }));
});

rule("L7", "whose old copy comes back a second time may be believed to hold what it had meanwhile", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  configure(a, 1, known());
  stage.reign(a, 2, b, c);
  const other = replace(stage, b, disk("X"));
  stage.connect(a, "b", disk("X"));
  const now = disk(isBad ? "Y" : "X");
  replace(stage, other, now);
  stage.connect(a, "b", now);
  stage.receive(a, "b", accepted({ term: 2, matchIndex: 0 }));
});

rule("L7", "a leader forgets what a peer acknowledged when that denies it, and counts for nothing", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  stage.reign(a, 2, b, c);
  const { matchIndex } = a.core.leading!.progress.get("b")!;
  const denial = rejected(isBad ? matchIndex + 1 : matchIndex, 0, 0, { term: 2, sequence: 9 });
  stage.receive(a, "b", denial, (core) => {
    Object.assign(core.leading!.progress.get("b")!, { matchIndex: 0, hasForgotten: true });
  });
});

rule("E2", "a vote that was given with another disk binds nobody, one that was given since does", (stage, isBad) => {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  stage.grant(b, 2, a);
  const other = replace(stage, b, disk("X"));
  stage.grant(other, 2, c);
  if (isBad) stage.grant(other, 2, a);
});

/** A ghost of three servers whose logs have a committed configuration, but those that are left out. */
function ghostOf(recorded: Configuration, ...without: string[]): Ghost {
  const ghost = new Ghost();
  for (const id of ["a", "b", "c"]) {
    const view = emptyView();
    if (!without.includes(id)) {
      view.log.add(1, 7);
      view.log.configure(1, recorded);
    }
    ghost.disks.set(id, view);
  }
  const hash = (ghost.disks.get("a") ?? emptyView()).log.hashAt(1);
  ghost.commits.push({ term: 1, hash, committedIn: 1, sets: [["a", "b", "c"]], configuration: recorded });
  return ghost;
}

test("Atlas: a disk may be replaced where all others can tell, and so many at a time as the others make up for", () => {
  const atlas = (ghost: Ghost) => new Atlas(3, false, ghost);
  const forgotten = () => ({
    disks: new Set<string>(),
    current: new Set<string>(),
    doubled: new Set<string>(),
    since: 0,
    looked: 0,
  });
  const [recorded, x] = [known(disk("B", 3)), disk("X")];
  assertEquals(atlas(ghostOf(recorded)).allowsReplacement(1, x), true);
  assertEquals(atlas(ghostOf(recorded, "c")).allowsReplacement(1, x), false);
  assertEquals(atlas(ghostOf(configuration("a b c"))).allowsReplacement(1, x), false);
  assertEquals([2, 3, 4].map((starts) => atlas(ghostOf(recorded)).allowsReplacement(1, disk("B", starts))), [
    true,
    false,
    false,
  ]);
  const ghost = ghostOf(recorded);
  ghost.forgetful.set("b", forgotten());
  assertEquals([0, 1, 2].map((server) => atlas(ghost).allowsReplacement(server, x)), [false, true, false]);
  assertEquals([0, 1, 2].map((server) => atlas(ghost).allows(server)), [false, true, false]);
  assertEquals([2, 3].map((starts) => atlas(ghost).passes(1, disk("B", starts))), [false, true]);
  assertEquals(atlas(ghostOf(recorded)).passes(1, disk("B", 3)), false);
});
