import { compactTerms, resetTerms } from "../../../src/core/term_index.ts";
import type { DiskView } from "../../../src/testing/sim/view.ts";
import { configuration } from "../../core/states.ts";
import { type Actor, rule, type Stage } from "./stage.ts";

/** Servers of which the first has committed entry 2, of term 2, with the second, and has applied it. */
function committed(stage: Stage): readonly [Actor, Actor, Actor] {
  const [a, b, c] = [stage.server("a"), stage.server("b"), stage.server("c")];
  stage.reign(a, 2, b);
  stage.end(a);
  stage.apply(a, 2, 7, 1, 2);
  a.core.appliedIndex = 2;
  return [a, b, c];
}

const persisted = (index: number, term: number) => ({ type: "snapshot-persisted", index, term }) as const;
const isIn = (index: number, term: number) => ({ type: "compact", firstIndex: index + 1, prevTerm: term }) as const;
const has = ({ disk }: Actor, more: Partial<DiskView>): DiskView => ({ ...disk, ...more });

rule("S1", "a snapshot stands for what is committed", (stage, isBad) => {
  const [a] = committed(stage);
  stage.step(a, persisted(2, isBad ? 1 : 2));
});

rule("S1", "a snapshot ends at an entry that is committed", (stage, isBad) => {
  const [a] = committed(stage);
  stage.append(a, 2);
  stage.step(a, persisted(isBad ? 3 : 2, 2));
});

rule("S1", "a snapshot on a disk holds what the machine was after its last entry", (stage, isBad) => {
  const [a] = committed(stage);
  stage.recover("a", has(a, { snapshot: 2, state: isBad ? 8 : 7 }));
});

rule("S1", "a snapshot from before the first command holds nothing", (stage, isBad) => {
  const [a] = committed(stage);
  stage.recover("a", has(a, { snapshot: 1, state: isBad ? 7 : 0 }));
});

/** A leader offers a snapshot up to entry 2, and the server asks for its bytes. */
function ask(stage: Stage, actor: Actor): void {
  const request = {
    ...{ type: "snapshot-request", term: 2, id: 7, index: 2, lastTerm: 2, timeMs: 0, bytes: 1, checksum: 0 } as const,
    ...{ configuration: configuration("a b c"), configurationIndex: 1 },
  };
  const effect = { type: "receive-snapshot", from: "a", request } as const;
  stage.receive(actor, "a", request, (core) => Object.assign(core, { term: 2, leader: "a" }), [effect]);
}

rule("S2", "a snapshot is asked for only where the log lacks its last entry", (stage, isBad) => {
  const [, b, c] = committed(stage);
  ask(stage, isBad ? b : c);
});

rule("S2", "a snapshot is asked for where the log has another entry in the place of its last one", (stage, isBad) => {
  const [, , c] = committed(stage);
  // Of an earlier leader.
  stage.append(c, isBad ? 2 : 1, 2);
  ask(stage, c);
});

rule("S2", "a snapshot that the log has is asked for only when an entry up to its end is damaged", (stage, isBad) => {
  const [, b] = committed(stage);
  b.core.damaged = [{ from: isBad ? 3 : 2, end: 4, isTermKnown: true }];
  ask(stage, b);
});

rule("S2", "a snapshot that the log has is asked for while an entry of it is repaired", (stage, isBad) => {
  const [, b] = committed(stage);
  b.core.repairing = [{ from: isBad ? 3 : 2, end: 4, sequence: 1 }];
  ask(stage, b);
});

rule("S2", "a snapshot that the log has is asked for only when the machine wants what it brings", (stage, isBad) => {
  const [, b] = committed(stage);
  b.core.wantedBeyond = isBad ? 2 : 1;
  ask(stage, b);
});

rule("S2", "a snapshot is installed only where the log lacks its last entry", (stage, isBad) => {
  const [, b, c] = committed(stage);
  const actor = isBad ? b : c;
  const received = { ...{ type: "snapshot-received", index: 2, term: 2 } as const, configurationIndex: 1 };
  stage.step(actor, { ...received, configuration: configuration("a b c") }, (core) => {
    resetTerms(core.log, 2, 2);
    Object.assign(core, { term: 2, commitIndex: 2, snapshot: { index: 2, term: 2 } });
  }, [{ type: "install-snapshot", index: 2, term: 2, truncateFrom: undefined, epoch: 1 }]);
});

rule(
  "S2",
  "a snapshot is installed where the log has its last entry only when one before it is damaged",
  (stage, isBad) => {
    const [, actor] = committed(stage);
    actor.core.damaged = [{ from: isBad ? 3 : 2, end: 4, isTermKnown: true }];
    const received = { ...{ type: "snapshot-received", index: 2, term: 2 } as const, configurationIndex: 1 };
    stage.step(actor, { ...received, configuration: configuration("a b c") }, (core) => {
      resetTerms(core.log, 2, 2);
      Object.assign(core, { term: 2, commitIndex: 2, snapshot: { index: 2, term: 2 }, damaged: [] });
    }, [{ type: "install-snapshot", index: 2, term: 2, truncateFrom: undefined, epoch: 1 }]);
  },
);

/** A server that lacks entry 2 installs a snapshot up to there, after which its log is said to begin with `firstIndex`. */
function install(stage: Stage, actor: Actor, firstIndex = 3): void {
  stage.step(actor, received, (core) => {
    resetTerms(core.log, firstIndex - 1, 2);
    Object.assign(core, { term: 2, commitIndex: 2, snapshot: { index: firstIndex - 1, term: 2 } });
  }, [{ type: "install-snapshot", index: 2, term: 2, truncateFrom: undefined, epoch: 1 }]);
}

rule("S2", "a snapshot is installed that goes beyond what is known to be committed", (stage, isBad) => {
  const [, , c] = committed(stage);
  c.core.commitIndex = isBad ? 2 : 1;
  install(stage, c);
});

rule("S2", "a log goes on right after the snapshot that takes its place", (stage, isBad) => {
  const [, , c] = committed(stage);
  install(stage, c, isBad ? 4 : 3);
});

const received = {
  ...{ type: "snapshot-received", index: 2, term: 2 } as const,
  ...{ configuration: configuration("a b c"), configurationIndex: 1 },
};

rule("S2", "a machine begins anew from what goes beyond what it has applied", (stage, isBad) => {
  const [, b] = committed(stage);
  Object.assign(b.core, { commitIndex: 2, appliedIndex: isBad ? 2 : 1, wantedBeyond: 1 });
  stage.step(b, received, () => {}, [{ type: "restore-snapshot", index: 2 }]);
});

rule("S2", "a machine begins anew from what is committed", (stage, isBad) => {
  const [, b] = committed(stage);
  Object.assign(b.core, { commitIndex: isBad ? 1 : 2, appliedIndex: 1, wantedBeyond: 1 });
  stage.step(b, received, () => {}, [{ type: "restore-snapshot", index: 2 }]);
});

rule("S2", "a machine that begins anew leaves the log as it is", (stage, isBad) => {
  const [, b] = committed(stage);
  Object.assign(b.core, { commitIndex: 2, appliedIndex: 1, wantedBeyond: 1 });
  stage.step(b, received, (core) => isBad && resetTerms(core.log, 3, 2), [{ type: "restore-snapshot", index: 2 }]);
});

rule("S4", "nothing is let go that the machine has not applied", (stage, isBad) => {
  const [a] = committed(stage);
  a.core.snapshot = { index: 2, term: 2 };
  a.core.appliedIndex = isBad ? 1 : 2;
  stage.step(a, { type: "drained" }, () => {}, [isIn(2, 2)]);
});

rule("S4", "no more is let go than the machine begins anew with", (stage, isBad) => {
  const [, b] = committed(stage);
  Object.assign(b.core, { commitIndex: 2, appliedIndex: 0, snapshot: { index: 2, term: 2 } });
  stage.step(b, received, () => {}, [{ type: "restore-snapshot", index: isBad ? 1 : 2 }, isIn(2, 2)]);
});

rule("S4", "nothing is let go on a disk that no snapshot there holds", (stage, isBad) => {
  const [a] = committed(stage);
  stage.persist(a, (disk) => disk.snapshot = isBad ? 1 : 2, undefined, { firstIndex: 3, prevTerm: 2 });
});

rule("A1", "a log begins no later than where the snapshot ends", (stage, isBad) => {
  const [a] = committed(stage);
  a.core.snapshot = { index: isBad ? 1 : 2, term: 2 };
  compactTerms(a.core.log, 3);
  stage.end(a);
});
