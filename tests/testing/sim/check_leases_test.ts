import type { CoreSettings } from "../../../src/core/state.ts";
import { append, voteRequest } from "../../core/states.ts";
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

/** A server is given other settings. */
function change(stage: Stage, actor: Actor, over: Partial<CoreSettings>, now = 0): void {
  const settings = { ...actor.core.settings, ...over };
  stage.step(actor, { type: "settings-changed", settings }, (core) => core.settings = settings, [], now);
}

rule("R3", "whoever was given other settings since may have promised something by the shortest", (stage, isBad) => {
  const [a, b] = leased(stage);
  const { electionMinMs } = a.core.settings;
  const given = isBad ? [electionMinMs * 2, electionMinMs] : [electionMinMs / 2, electionMinMs * 2];
  for (const electionMinMs of given) change(stage, b, { electionMinMs });
  a.clock.now = () => 2_000 - a.core.settings.leaseMs + electionMinMs / 2;
  stage.receive(
    b,
    "c",
    voteRequest({ term: 3, lastIndex: 2, lastTerm: 2 }),
    (core) => Object.assign(core, { term: 3, votedFor: "c" }),
  );
});

/** What `b` has promised to `a` at 100, while it was to wait for 400. */
function bound(stage: Stage, isLeased = true, from = "a"): Actor {
  const [, b] = leased(stage);
  change(stage, b, { electionMinMs: 400 });
  stage.receive(b, from, append({ term: 2, prevIndex: 2, prevTerm: 2, isLeased }), () => {}, [], 100);
  return b;
}

/** A round at which `a` might count on somebody is not what these are about. */
function votes(stage: Stage, b: Actor, now: number, transfer = false): void {
  stage.ghost.keepsTime = false;
  const asked = voteRequest({ term: 3, lastIndex: 2, lastTerm: 2, transfer });
  stage.receive(b, "c", asked, (core) => Object.assign(core, { term: 3, votedFor: "c" }), [], now);
}

rule("R3", "a promise is kept until it is over, by the own clock", (stage, isBad) => {
  votes(stage, bound(stage), isBad ? 499 : 500);
});

rule("R3", "… also when less is to be promised from now on", (stage, isBad) => {
  const b = bound(stage);
  change(stage, b, { electionMinMs: 200 }, 150);
  stage.receive(b, "a", append({ term: 2, prevIndex: 2, prevTerm: 2, isLeased: true }), () => {}, [], 160);
  votes(stage, b, isBad ? 499 : 500);
});

rule("R3", "… and when a server would have its own vote", (stage, isBad) => {
  const b = bound(stage);
  const own = { term: 3, votedFor: "b" };
  stage.step(b, { type: "drained" }, (core) => void Object.assign(core, own), [], isBad ? 499 : 500);
});

rule("R3", "nothing is promised to a leader that counts on nobody", (stage, isBad) => {
  votes(stage, bound(stage, isBad), 200);
});

rule("R3", "nothing is kept from whom the leader itself tells to campaign", (stage, isBad) => {
  votes(stage, bound(stage), 200, !isBad);
});

rule("R3", "nothing is promised by what somebody has handed back to who sent it", (stage, isBad) => {
  votes(stage, bound(stage, true, isBad ? "a" : "b"), 200);
});
