import { accepted } from "../../core/states.ts";
import { committed, countsDisks, hasAllCommitted, learn } from "./commit_scenes.ts";
import { request, rule, type Stage } from "./stage.ts";

rule("C1", "what is known to be committed stays so", (stage, isBad) => {
  const [a] = committed(stage);
  stage.step(a, { type: "drained" }, (core) => core.commitIndex = isBad ? 1 : 2);
});

rule("C2", "a leader counts disks, its own too", countsDisks);

rule("C2", "a leader commits entries of its own term only (Raft, figure 8)", (stage, isBad) => {
  const [a, b] = [stage.server("a", { terms: [1, 1] }), stage.server("b", { terms: [1, 1] })];
  stage.lead(a, 3, b);
  stage.append(a, 3);
  stage.append(b, 3);
  stage.receive(b, "a", { ...request(3, 2, 1), end: 4, runs: [{ term: 3, from: 3 }] });
  stage.send(b, "a", accepted({ term: 3, matchIndex: 3 }));
  stage.step(a, { type: "drained" }, (core) => core.commitIndex = isBad ? 2 : 3);
});

rule("C2", "but for what an earlier leader's snapshot says, which may be whole only now", (stage, isBad) => {
  const [a, b] = [stage.server("a", { terms: [1, 2] }), stage.server("b", { terms: [1, 2] })];
  stage.lead(b, 2, a);
  stage.step(b, { type: "drained" }, (core) => core.commitIndex = 2);
  stage.end(b);
  stage.lead(a, 3, b);
  const received = { ...{ type: "snapshot-received", index: 2, term: 2 } as const, configurationIndex: 1 };
  const { configuration } = a.core.configurations[0]!;
  stage.step(a, isBad ? { type: "drained" } : { ...received, configuration }, (core) => core.commitIndex = 2);
});

rule("C2", "nobody knows of a commit before a leader made it", (stage, isBad) => {
  const [, b, c] = committed(stage);
  if (isBad) stage.uncommit(1);
  learn(stage, c);
  stage.end(b, c);
});

rule("C3", "what is committed is the same for everybody", (stage, isBad) => {
  const [, , c] = committed(stage);
  learn(stage, c, { content: isBad ? 7 : 0 });
  stage.ghost.entries.clear();
  for (const actor of [c]) stage.end(actor);
});

rule("C4", "a new leader has all that was committed before its term", hasAllCommitted);

rule("C5", "what is committed stays on the disks of its quorum", (stage, isBad) => {
  const [, b] = committed(stage);
  stage.vote(b, 3, undefined);
  stage.persist(b, () => isBad && stage.truncate(b, 2), 2);
});

rule("C6", "a follower takes as committed only what its leader has shown it", (stage, isBad) => {
  const [a, b] = committed(stage);
  stage.append(b, 2);
  stage.append(a, 2);
  stage.receive(b, "a", request(2, 2, 2, 3), (core) => core.commitIndex = isBad ? 3 : 2);
});

rule("C7", "a leader commits as soon as it may", (stage, isBad) => {
  const [a, b] = committed(stage);
  stage.append(a, 2);
  stage.receive(b, "a", { ...request(2, 2, 2), end: 4, runs: [{ term: 2, from: 3 }] }, () => stage.append(b, 2));
  const response = accepted({ term: 2, matchIndex: 3 });
  stage.send(b, "a", response);
  stage.receive(a, "b", response, (core) => {
    Object.assign(core.leading!.progress.get("b")!, { matchIndex: 3, nextIndex: 4 });
    if (!isBad) core.commitIndex = 3;
  });
});

rule("A1", "no more is applied than is committed, no more committed than there is", (stage, isBad) => {
  const [a] = committed(stage);
  a.core.appliedIndex = isBad ? 3 : 2;
  stage.end(a);
});

rule("A2", "entries are applied once, in their order", (stage, isBad) => {
  const [a] = committed(stage);
  stage.apply(a, 1);
  stage.apply(a, isBad ? 1 : 2, 2);
});

rule("A2", "nothing is applied that is not committed", (stage, isBad) => {
  const [a] = committed(stage);
  stage.apply(a, isBad ? 3 : 2);
});

rule("A3", "machines that applied the same are the same", (stage, isBad) => {
  const [a, b] = committed(stage);
  b.core.commitIndex = 2;
  stage.apply(a, 2, 5);
  stage.apply(b, 2, isBad ? 6 : 5);
});

rule("A3", "a command finds what the entries before it have left", (stage, isBad) => {
  const [a] = committed(stage);
  stage.apply(a, 1, 5);
  stage.apply(a, 2, 6, 1, 2, isBad ? 4 : 5);
});

rule("A3", "… also where a restore before it becomes known at the end of the event only", (stage, isBad) => {
  const [a] = committed(stage);
  stage.apply(a, 2, 6, 1, 2, 9);
  stage.ghost.applied.set(1, { term: 1, state: isBad ? 8 : 9, result: 0 });
});

rule("A3", "an entry is applied with its term", (stage, isBad) => {
  const [a, b] = committed(stage);
  b.core.commitIndex = 2;
  stage.apply(a, 2, 5, 1, 2);
  stage.apply(b, 2, 5, 1, isBad ? 1 : 2);
});

rule("A4", "machines answer alike", (stage, isBad) => {
  const [a, b] = committed(stage);
  b.core.commitIndex = 2;
  stage.apply(a, 2, 5, 8);
  stage.apply(b, 2, 5, isBad ? 9 : 8);
});

rule("A5", "nothing counts as applied when a life begins", (stage, isBad) => {
  const a = stage.server("a", { state: { appliedIndex: isBad ? 1 : 0, commitIndex: isBad ? 1 : 0 } });
  stage.begin(a);
});

rule("A1", "a life begins with no more committed than there is", (stage, isBad) => {
  stage.begin(stage.server("a", { state: { commitIndex: isBad ? 2 : 1 } }));
});

rule("R2", "a read waits for an entry of the leader's term to be committed", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  if (isBad) {
    stage.lead(a, 2, b);
    stage.append(a, 2);
  } else {
    stage.reign(a, 2, b);
  }
  stage.step(a, { type: "read-requested", id: 7 });
  const index = a.core.commitIndex;
  stage.send(a, "b", { ...request(2, a.log.last, 2), sequence: 11 });
  a.core.leading!.progress.get("b")!.sequence = 12;
  stage.receive(a, "b", accepted({ term: 2, sequence: 11 }), () => {}, [{ type: "answer-read", id: 7, index }]);
});

rule("R2", "a read waits for answers to what was sent after it came (BR03)", (stage, isBad) => {
  const [a] = committed(stage);
  a.core.leading!.progress.get("b")!.sequence = 20;
  stage.send(a, "b", { ...request(2, 2, 2), sequence: 11 });
  stage.step(a, { type: "read-requested", id: 7 });
  stage.send(a, "b", { ...request(2, 2, 2), sequence: 12 });
  stage.receive(a, "b", accepted({ term: 2, sequence: isBad ? 11 : 12 }), () => {}, [
    { type: "answer-read", id: 7, index: 2 },
  ]);
});

rule("R2", "… also from a server that has come again, with which sequences begin anew", (stage, isBad) => {
  const [a] = committed(stage);
  for (let sequence = 100; sequence < 200; sequence++) stage.send(a, "b", { ...request(2, 2, 2), sequence });
  a.core.leading!.progress.get("b")!.sequence = 13;
  stage.step(a, { type: "read-requested", id: 7 });
  stage.send(a, "b", { ...request(2, 2, 2), sequence: 12 });
  const effects = [{ type: "answer-read", id: 7, index: 2 }] as const;
  stage.receive(a, "b", accepted({ term: 2, sequence: 199 }), () => {}, isBad ? effects : []);
  stage.receive(a, "b", accepted({ term: 2, sequence: 12 }), () => {}, isBad ? [] : effects);
});

rule("R2", "a read sees all that was committed when it came", (stage, isBad) => {
  const [a] = committed(stage);
  a.core.leading!.progress.get("b")!.sequence = 20;
  stage.step(a, { type: "read-requested", id: 7 });
  stage.send(a, "b", { ...request(2, 2, 2), sequence: 12 });
  stage.receive(a, "b", accepted({ term: 2, sequence: 12 }), () => {}, [
    { type: "answer-read", id: 7, index: isBad ? 1 : 2 },
  ]);
});

rule("K1", "a command is applied once", (stage, isBad) => {
  stage.ghost.noteApplied("v1", 3, 1, null);
  stage.ghost.noteApplied("v1", isBad ? 4 : 3, 2, null);
});

rule("K2", "a command of a session that one machine has applied is passed over by none", (stage, isBad) => {
  const [a, b] = appliedInSession(stage, "v1");
  stage.apply(a, 2);
  stage.apply(a, 3);
  if (!isBad) stage.apply(b, 2);
  stage.apply(b, 3);
});

rule("K2", "… and one that a machine has passed over is applied by none", (stage, isBad) => {
  const [a, b] = appliedInSession(stage, undefined);
  stage.ghost.ofSessions.add("v1");
  stage.apply(b, 3);
  if (isBad) stage.ghost.noteApplied("v1", 2, 1, null);
  stage.apply(a, isBad ? 2 : 3);
});

rule("K2", "… so it is with a key", (stage, isBad) => {
  const [a, b] = appliedInSession(stage, undefined);
  stage.ghost.keyed.add("v1");
  stage.ghost.noteApplied(isBad ? "v1" : "v2", 2, 1, null);
  stage.apply(a, 2);
  stage.apply(b, 3);
});

rule("K2", "… a machine that begins with a snapshot applies what comes after it", (stage, isBad) => {
  const [a] = appliedInSession(stage, "v1");
  stage.apply(a, 2);
  const index = isBad ? 1 : 2;
  const c = stage.server("c", { terms: [1, 2, 2], state: { term: 2, snapshot: { index, term: index } } });
  Object.assign(c.core, { appliedIndex: index, commitIndex: index });
  stage.begin(c);
  Object.assign(c.core, { commitIndex: 3 });
  stage.apply(c, 3);
});

rule("K2", "… or goes on until it begins with one", (stage, isBad) => {
  const [a, b] = appliedInSession(stage, "v1");
  stage.apply(a, 2);
  if (!isBad) stage.step(b, undefined, undefined, [{ type: "restore-snapshot", index: 3 }]);
  stage.apply(b, 3);
});

rule("K2", "… and its own snapshot is no reason to pass over what it holds", (stage, isBad) => {
  const [a, b] = appliedInSession(stage, "v1");
  stage.apply(a, 2);
  if (!isBad) stage.apply(b, 2);
  Object.assign(b.core, { snapshot: { ...b.core.snapshot, index: 2 } });
  stage.apply(b, 3);
});

/** Three entries are committed, of which the second is a command, maybe one of a session. */
function appliedInSession(stage: Stage, value: string | undefined): ReturnType<typeof committed> {
  const actors = committed(stage);
  for (const { core } of actors) core.commitIndex = 3;
  if (value === undefined) return actors;
  stage.ghost.ofSessions.add(value);
  stage.ghost.noteApplied(value, 2, 1, null);
  return actors;
}

rule("K5", "what was said to be not applied is not", (stage, isBad) => {
  stage.ghost.noteNotApplied("v1");
  stage.ghost.noteApplied(isBad ? "v1" : "v2", 3, 1, null);
});

rule("K5", "what is applied is not said to be not", (stage, isBad) => {
  stage.ghost.noteApplied("v1", 3, 1, null);
  stage.ghost.noteNotApplied(isBad ? "v1" : "v2");
});
