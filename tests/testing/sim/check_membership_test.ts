import { configuration } from "../../core/states.ts";
import { type Actor, rule, type Stage } from "./stage.ts";

/** A leader appends these servers, in a step that changes nothing else; the entry is in its log and on its disk. */
function change(stage: Stage, leader: Actor, servers: string): void {
  const index = leader.log.last + 1;
  const { term } = leader.core;
  const to = configuration(servers);
  const effects = [{
    type: "append",
    source: "configuration",
    from: index,
    end: index + 1,
    term,
    epoch: 0,
    configuration: to,
  }] as const;
  stage.step(leader, { type: "drained" }, (core) => core.configurations.push({ index, configuration: to }), effects);
  stage.append(leader, term);
  for (const log of [leader.log, leader.disk.log]) log.configure(index, to);
}

rule("M2", "a leader changes nothing before an entry of its own is committed", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  if (isBad) stage.lead(a, 2, b);
  else stage.reign(a, 2, b);
  change(stage, a, "a b c ~d");
});

rule("M2", "… though it knows all that earlier leaders committed", (stage, isBad) => {
  const [a, b] = [stage.server("a", { state: { commitIndex: 1 } }), stage.server("b")];
  if (isBad) stage.lead(a, 2, b);
  else stage.reign(a, 2, b);
  change(stage, a, "a b c ~d");
});

rule("M2", "one change at a time", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  change(stage, a, "a b c ~d");
  if (!isBad) stage.follow(a, b);
  change(stage, a, "a b c");
});

rule("M3", "any two majorities of one configuration and the next share a server", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  change(stage, a, isBad ? "a d e" : "a b c d");
  stage.end(a);
});

rule("M3", "several votes move through both sets of voters", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  change(stage, a, isBad ? "a d e / d e" : "a d e -b -c / a b c");
  stage.end(a);
});

rule("M5", "a joint configuration is left when both halves hold it", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  change(stage, a, "a -b -c / a b c");
  // The new half has it; that this would be enough is what a bug says.
  if (isBad) a.core.commitIndex = a.log.last;
  else stage.follow(a, b);
  change(stage, a, "a");
});

rule("M5", "a joint configuration is left for the new servers", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  change(stage, a, "a -b -c / a b c");
  stage.follow(a, b);
  change(stage, a, isBad ? "a b" : "a");
});

rule("M6", "a leader without a vote makes way", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  change(stage, a, "b c");
  a.core.commitIndex = a.log.last;
  for (let i = 0; i < 30; i++) stage.step(a, { type: "drained" }, () => {}, [], i === 0 ? 0 : isBad ? 2001 : 1999);
});

rule("M6", "who is told that it is removed is in no committed configuration any more", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  change(stage, a, isBad ? "a b c ~d" : "a b");
  stage.follow(a, b);
  stage.end(a, b);
  stage.step(stage.server("c"), { type: "drained" }, () => {}, [{ type: "announce-removed", index: a.log.last }]);
  for (const check of stage.ghost.later.splice(0)) check();
});

rule("M6", "who is told that it is removed is so by what is committed", (stage, isBad) => {
  const [a, b] = [stage.server("a"), stage.server("b")];
  stage.reign(a, 2, b);
  change(stage, a, "a b");
  if (!isBad) stage.follow(a, b);
  stage.end(a, b);
  stage.step(stage.server("c"), { type: "drained" }, () => {}, [{ type: "announce-removed", index: a.log.last }]);
  for (const check of stage.ghost.later.splice(0)) check();
});

rule("M7", "somebody has a vote", (stage, isBad) => {
  stage.end(stage.server("a", { servers: isBad ? "~a ~b" : "a ~b" }));
});

rule("M7", "somebody has a vote in both halves", (stage, isBad) => {
  stage.end(stage.server("a", { servers: isBad ? "a b /" : "a b / a" }));
});

rule("V4", "who was told that it is removed campaigns no more", (stage, isBad) => {
  const a = stage.server("a");
  stage.step(a, { type: "drained" }, () => {}, isBad ? [{ type: "announce-removed", index: 2 }] : []);
  stage.step(a, { type: "deadline-reached" }, (core) => {
    Object.assign(core, { role: "pre-candidate", campaign: { pre: true, term: 2, transfer: false, votes: new Map() } });
  });
});

rule("V4", "unless the entry that is said to have removed it turns out to know it", (stage, isBad) => {
  const a = stage.server("a");
  stage.step(a, { type: "drained" }, () => {}, [{ type: "announce-removed", index: isBad ? 2 : 1 }]);
  stage.step(a, { type: "deadline-reached" }, (core) => {
    Object.assign(core, { role: "pre-candidate", campaign: { pre: true, term: 2, transfer: false, votes: new Map() } });
  });
});

rule("C2", "what a leader commits, both halves hold", (stage, isBad) => {
  const servers = "a b c -d / a d";
  const [a, b, d] = [stage.server("a", { servers }), stage.server("b", { servers }), stage.server("d", { servers })];
  stage.lead(a, 2, b, d);
  stage.append(a, 2);
  if (!isBad) stage.append(d, 2);
  stage.follow(a, b);
});

rule("C2", "who only learns counts for nothing in what a leader commits", (stage, isBad) => {
  const servers = isBad ? "a b c ~d" : "a c d";
  const [a, c, d] = [stage.server("a", { servers }), stage.server("c", { servers }), stage.server("d", { servers })];
  stage.lead(a, 2, c);
  stage.vote(d, 2, undefined);
  stage.append(a, 2);
  stage.follow(a, d);
});
