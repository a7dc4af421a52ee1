/**
 * What servers commit, for rules that hold wherever a log begins.
 *
 * @module
 */
import { type Actor, request, type Stage } from "./stage.ts";

/** A leader of term 2 with one entry of its term, which b holds as well and which is committed. */
export function committed(stage: Stage): readonly [a: Actor, b: Actor, c: Actor] {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  stage.reign(a, 2, b);
  stage.end(a);
  return [a, b, c];
}

/** A follower learns that the leader's entry, the one after `before`, is committed, and has this in its place. */
export function learn(
  stage: Stage,
  actor: Actor,
  { before = 1, content = 0 }: { readonly before?: number; readonly content?: number } = {},
): void {
  const [index, runs] = [before + 1, [{ term: 2, from: before + 1 }]];
  stage.receive(actor, "a", { ...request(2, before, 1), end: index + 1, runs, commitIndex: index }, (core) => {
    Object.assign(core, { term: 2, leader: "a" });
    stage.append(actor, 2, 1, { content });
    core.commitIndex = index;
  });
}

/** C2: a leader counts disks, its own too. */
export function countsDisks(stage: Stage, isBad: boolean): void {
  const [a, b] = committed(stage);
  stage.append(a, 2, 1, { durable: !isBad });
  stage.follow(a, b);
  stage.end(a);
}

/** C4: a new leader has all that was committed before its term. */
export function hasAllCommitted(stage: Stage, isBad: boolean): void {
  const [, b, c] = committed(stage);
  const d = stage.server("d", { servers: "d" });
  if (!isBad) stage.append(d, 2);
  stage.vote(b, 3, undefined);
  stage.vote(c, 3, undefined);
  stage.lead(d, 3);
}
