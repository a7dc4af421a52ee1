import { voteRequest } from "../../core/states.ts";
import { type Actor, rule, type Stage } from "./stage.ts";

/** A leader of term 2 that `b` has promised until 2,000, when `c` has given up waiting. */
function leased(stage: Stage): readonly [a: Actor, b: Actor, c: Actor] {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  for (const actor of [a, b, c]) stage.begin(actor);
  stage.reign(a, 2, b);
  Object.assign(a.core.leading!, { firstIndex: a.log.last });
  a.core.leading!.progress.get("b")!.promisedAt = 2_000 - a.core.settings.leaseMs;
  stage.vote(c, 2, undefined);
  stage.follow(a, c);
  return [a, b, c];
}

/** `c` wins the next election, at that time of the leader's clock. */
function succeed(stage: Stage, [a, b, c]: readonly [Actor, Actor, Actor], at: number): void {
  a.clock.now = () => at;
  c.core.leader = undefined;
  stage.lead(c, 3, b);
}

rule("R3", "nobody else is elected while a leader holds a lease", (stage, isBad) => {
  succeed(stage, leased(stage), isBad ? 1_900 : 2_000);
});

rule("R3", "a leader that has slept looks at its clocks first", (stage, isBad) => {
  const actors = leased(stage);
  if (!isBad) actors[0].clock.stoppedMs = 500;
  succeed(stage, actors, 1_900);
});

rule("R3", "a server that was started anew leads nothing", (stage, isBad) => {
  const actors = leased(stage);
  if (!isBad) stage.begin(stage.server("a"));
  succeed(stage, actors, 1_900);
});

rule("R3", "nothing is asked where clocks were to break their bound", (stage, isBad) => {
  stage.ghost.keepsTime = isBad;
  succeed(stage, leased(stage), 1_900);
});

rule("R3", "a read by a lease misses nothing that is committed", (stage, isBad) => {
  const [a] = leased(stage);
  const index = stage.ghost.commits.last;
  stage.step(a, { type: "read-requested", id: 1, isLease: true }, () => {}, [
    { type: "answer-read", id: 1, index: isBad ? index - 1 : index },
  ]);
});

rule("R2", "only those that asked for it are answered by a lease", (stage, isBad) => {
  const [a] = leased(stage);
  stage.step(a, { type: "read-requested", id: 1, isLease: !isBad }, () => {}, [
    { type: "answer-read", id: 1, index: stage.ghost.commits.last },
  ]);
});

rule("R3", "whoever has promised something votes for nobody else meanwhile", (stage, isBad) => {
  const [a, b] = leased(stage);
  const { electionMinMs, leaseMs } = a.core.settings;
  a.clock.now = () => 2_000 - leaseMs + electionMinMs - (isBad ? 1 : 0);
  stage.receive(
    b,
    "c",
    voteRequest({ term: 3, lastIndex: 2, lastTerm: 2 }),
    (core) => Object.assign(core, { term: 3, votedFor: "c" }),
  );
});

rule("R3", "a leader that has another one campaign counts on nobody any more", (stage, isBad) => {
  const [a, b] = leased(stage);
  a.clock.now = () => 1_900;
  if (!isBad) a.core.leading!.leaseFrom = Infinity;
  stage.receive(
    b,
    "c",
    voteRequest({ term: 3, lastIndex: 2, lastTerm: 2 }),
    (core) => Object.assign(core, { term: 3, votedFor: "c" }),
  );
});
