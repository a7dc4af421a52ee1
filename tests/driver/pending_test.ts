import { assertEquals, assertInstanceOf } from "@std/assert";
import fc from "fast-check";
import type { Applied } from "../../src/driver/applier.ts";
import { Pending } from "../../src/driver/pending.ts";
import { Proposal, type ProposalManner } from "../../src/driver/proposal.ts";
import {
  type LeadershipLostError,
  type NotLeaderError,
  type OverloadedError,
  ShutdownError,
  StorageError,
} from "../../src/errors.ts";
import type { ForwardResponse } from "../../src/message.ts";
import { EntryType } from "../../src/types.ts";
import { test } from "../harness.ts";
import { VirtualEnvironment } from "../virtual_environment.ts";

const limits = { inFlightCountMax: 3, inFlightBytesMax: 100, leaderWaitMs: 1_000 };

function setUp() {
  const environment = new VirtualEnvironment();
  const pending = new Pending(environment, limits);
  const outcomes = new Map<string, string[]>();
  const errors = new Map<string, unknown>();
  /** A command whose outcomes are collected under this name: there must be one in the end. */
  const command = (name: string, bytes = 10, manner: ProposalManner = {}) => {
    const told: string[] = [];
    outcomes.set(name, told);
    const entry = { type: EntryType.command, flags: 0, payload: new Uint8Array(bytes) };
    return new Proposal(entry, environment.now(), ({ index, term, applied }) => {
      told.push(`${index}/${term}:${applied.ok ? applied.value : `threw ${applied.error}`}`);
    }, (error) => {
      errors.set(name, error);
      const { code, outcome } = error as { code?: string; outcome?: string };
      told.push(`${code ?? error} ${outcome}`);
    }, manner);
  };
  const add = (...names: string[]) => {
    const proposals = names.map((name) => command(name));
    for (const proposal of proposals) pending.add(proposal);
    return proposals;
  };
  /** Adds and takes them as the driver does before it proposes them. */
  const take = (...names: string[]) => {
    add(...names);
    return pending.takeQueued();
  };
  const of = (name: string) => outcomes.get(name)!.join();
  return { environment, pending, command, add, take, of, errors };
}

const ok = (value: unknown): Applied => ({ ok: true, value });

const response = (id: number, from: number, entryTerm: number, refusal?: ForwardResponse["refusal"]) =>
  ({ type: "forward-response", term: 9, id, from, entryTerm, refusal, leader: undefined }) as const;

test("Pending gives a command the result of its entry", () => {
  const { pending, take, of } = setUp();
  pending.place(take("x", "y"), 5, 2);
  pending.onApplied(5, 2, ok("first"));
  pending.onApplied(6, 2, { ok: false, error: "no" });
  assertEquals([of("x"), of("y")], ["5/2:first", "6/2:threw no"]);
  assertEquals([pending.count, pending.bytes, pending.accepted, pending.failed], [0, 0, 2, 0]);
  assertEquals(pending.latency.snapshot().count, 2);
});

test("Pending says not-applied when another term's entry was committed at the index", () => {
  const { pending, take, of, errors } = setUp();
  pending.place(take("x"), 5, 2);
  pending.onApplied(5, 3, ok(0));
  assertEquals(of("x"), "leadership-lost not-applied");
  assertEquals([(errors.get("x") as LeadershipLostError).index, (errors.get("x") as LeadershipLostError).term], [5, 2]);
  assertEquals([pending.count, pending.bytes, pending.failed], [0, 0, 1]);
});

test("Pending leaves it open which of two commands at one index is committed, until one is (Raft figure 8, K5)", () => {
  for (const committed of [2, 4]) {
    const { pending, take, of } = setUp();
    pending.place(take("x"), 5, 2);
    // Our log lost entry 5 of term 2 and got a new one, but a server that has the old one may yet be elected.
    pending.place(take("y"), 5, 4);
    assertEquals([of("x"), of("y")], ["", ""]);
    pending.onApplied(5, committed, ok("done"));
    const overwritten = "leadership-lost not-applied";
    assertEquals([of("x"), of("y")], committed === 2 ? ["5/2:done", overwritten] : [overwritten, "5/4:done"]);
    assertEquals([pending.count, pending.bytes], [0, 0]);
  }
});

test("Pending gives up a command that lost its index when nothing is committed there for leaderWaitMs", () => {
  const { environment, pending, take, of } = setUp();
  pending.place(take("x"), 5, 2);
  pending.place(take("y"), 5, 4);
  environment.now = () => 1_000;
  pending.sweep();
  assertEquals([of("x"), of("y"), pending.count], ["leadership-lost unknown", "", 1]);
});

test("Pending does not let a late answer of an old leader displace a command of a later term (K5)", () => {
  const { pending, take, of } = setUp();
  const id = pending.forward("b", take("old"));
  pending.place(take("new"), 5, 4);
  pending.onForwardResponse("b", response(id, 5, 2), 4);
  assertEquals([of("old"), of("new")], ["", ""]);
  pending.onApplied(5, 4, ok("new"));
  assertEquals([of("old"), of("new")], ["leadership-lost not-applied", "5/4:new"]);
  assertEquals(pending.count, 0);
});

test("Pending.add() refuses one command too many, and one byte too many", () => {
  const { pending, add, command, of, errors } = setUp();
  add("a", "b", "c", "d");
  assertEquals(of("d"), "overloaded not-applied");
  assertEquals([(errors.get("d") as OverloadedError).pendingCount, pending.count], [3, 3]);
  for (const [bytes, expected] of [[90, ""], [91, "overloaded not-applied"]] as const) {
    const other = setUp();
    other.add("a");
    other.pending.add(other.command("b", bytes));
    assertEquals(other.of("b"), expected);
  }
  const alone = setUp();
  alone.pending.add(alone.command("huge", 1_000));
  assertEquals(alone.of("huge"), "");
  pending.add(command("e"));
  assertEquals(of("e"), "overloaded not-applied");
});

test("Pending.requeue() waits for a leader for leaderWaitMs from the command's arrival, then says not-applied", () => {
  const { environment, pending, take, of } = setUp();
  const proposals = take("x");
  const hint = { id: "b", address: "b:1" };
  environment.now = () => 999;
  pending.requeue(proposals, hint);
  assertEquals([of("x"), pending.hasQueued, pending.needsSweep], ["", true, true]);
  environment.now = () => 1_000;
  pending.requeue(pending.takeQueued(), hint);
  assertEquals(of("x"), "not-leader not-applied");
  assertEquals([pending.count, pending.needsSweep], [0, false]);
});

test("Pending.sweep() gives up queued commands, and names the leader that can't be reached", () => {
  const { environment, pending, add, of, errors } = setUp();
  add("x");
  environment.now = () => 1_000;
  pending.sweep({ id: "b", address: undefined });
  assertEquals(of("x"), "not-leader not-applied");
  assertEquals((errors.get("x") as NotLeaderError).leader?.id, "b");
});

test("Pending.takeQueued() leaves out callers that stopped waiting: their commands go nowhere", () => {
  const { pending, add } = setUp();
  const [x, y] = add("x", "y");
  x!.reject(new Error("aborted"));
  assertEquals(pending.takeQueued(), [y!]);
  assertEquals([pending.count, pending.bytes], [1, 10]);
});

test("Pending counts a command whose caller stopped waiting until its entry is applied", () => {
  const { pending, take, of } = setUp();
  const [x] = take("x");
  pending.place([x!], 5, 2);
  x!.reject("aborted");
  assertEquals(pending.count, 1);
  pending.onApplied(5, 2, ok(1));
  assertEquals([pending.count, pending.bytes, of("x")], [0, 0, "aborted undefined"]);
});

test("Pending.onForwardResponse() places what the leader appended", () => {
  const { pending, take, of } = setUp();
  const id = pending.forward("b", take("x", "y"));
  assertEquals(pending.onForwardResponse("b", response(id, 7, 3), 6), []);
  pending.onApplied(7, 3, ok("x"));
  pending.onApplied(8, 4, ok("other"));
  assertEquals([of("x"), of("y")], ["7/3:x", "leadership-lost not-applied"]);
  assertEquals(pending.count, 0);
});

test("Pending.onForwardResponse() overtaken by the commit still finds the results, by index and term", () => {
  const { pending, take, of } = setUp();
  const id = pending.forward("b", take("x", "y", "z"));
  pending.onApplied(6, 3, ok("not ours"));
  pending.onApplied(7, 3, ok("x"));
  pending.onApplied(8, 4, ok("other"));
  pending.onForwardResponse("b", response(id, 7, 3), 8);
  assertEquals([of("x"), of("y"), of("z")], ["7/3:x", "leadership-lost not-applied", ""]);
  pending.onApplied(9, 3, ok("z"));
  assertEquals(of("z"), "9/3:z");
  assertEquals(pending.count, 0);
});

test("Pending.onForwardResponse() says unknown when the result was not kept", () => {
  const { pending, take, of } = setUp();
  const id = pending.forward("b", take("x"));
  pending.onForwardResponse("b", response(id, 7, 3), 7);
  assertEquals(of("x"), "leadership-lost unknown");
});

test("Pending keeps a bounded number of results for forwards without an answer, the latest", () => {
  const { pending, take, of } = setUp();
  const id = pending.forward("b", take("old", "kept"));
  for (let index = 1; index <= 4_097; index++) pending.onApplied(index, 3, ok(index));
  pending.onForwardResponse("b", response(id, 1, 3), 4_097);
  assertEquals([of("old"), of("kept")], ["leadership-lost unknown", "2/3:2"]);
});

test("Pending lets who may wait have the room that others leave, in turn, and nobody overtake", async () => {
  const { environment, pending, command, add, of } = setUp();
  const waiting = (name: string, enqueueTimeoutMs: number) => command(name, 10, { enqueueTimeoutMs });
  pending.place((add("a", "b", "c"), pending.takeQueued()), 5, 2);
  for (const name of ["d", "e"]) pending.add(waiting(name, 100));
  assertEquals([of("d"), pending.count, pending.waitingCount], ["", 3, 2]);
  pending.onApplied(5, 2, ok(1));
  // It comes later, and may not wait.
  add("f");
  assertEquals([of("f"), pending.count, pending.waitingCount], ["overloaded not-applied", 3, 1]);
  pending.place(pending.takeQueued(), 8, 2);
  pending.onApplied(8, 2, ok("done"));
  assertEquals([of("d"), of("e")], ["8/2:done", ""]);
  pending.onApplied(6, 2, ok(1));
  pending.admit();
  assertEquals([pending.count, pending.waitingCount, pending.takeQueued().length], [2, 0, 1]);
  await environment.advance(200);
  assertEquals(of("e"), "", "once there is room for it, it waits for other things");
});

test("Pending refuses who has waited for enqueueTimeoutMs, and answers who waits when the server ends", async () => {
  const { environment, pending, command, add, of } = setUp();
  add("a", "b", "c");
  for (const [name, enqueueTimeoutMs] of [["d", 10], ["e", 20]] as const) {
    pending.add(command(name, 10, { enqueueTimeoutMs }));
  }
  await environment.advance(10);
  assertEquals([of("d"), of("e"), pending.failed], ["overloaded not-applied", "", 1]);
  pending.close(new ShutdownError());
  assertEquals([of("e"), pending.waitingCount, pending.count], ["shutdown not-applied", 0, 0]);
  await environment.advance(100);
  assertEquals(of("e"), "shutdown not-applied");
});

test("Pending counts the time until there is room for a command apart from the time that it waits for a leader", async () => {
  const { environment, pending, command, of } = setUp();
  for (const name of ["a", "b", "c"]) pending.add(command(name));
  pending.add(command("d", 10, { enqueueTimeoutMs: 5_000 }));
  await environment.advance(1_000);
  pending.sweep();
  pending.admit();
  assertEquals([of("a"), of("d"), pending.count], ["not-leader not-applied", "", 1]);
  await environment.advance(999);
  pending.sweep();
  assertEquals(of("d"), "");
  await environment.advance(1);
  pending.sweep();
  assertEquals([of("d"), pending.count], ["not-leader not-applied", 0]);
});

test("Pending asks a leader that had no room again, before all that came later, while its caller may wait", async () => {
  const { environment, pending, command, of } = setUp();
  pending.add(command("x", 10, { enqueueTimeoutMs: 60 }));
  const [x] = pending.takeQueued();
  assertEquals(pending.onForwardResponse("b", response(pending.forward("b", [x!]), 0, 0, "overloaded"), 0), []);
  pending.add(command("y"));
  assertEquals([of("x"), pending.count, pending.needsSweep], ["", 2, true]);
  await environment.advance(50);
  pending.sweep();
  const again = pending.takeQueued();
  assertEquals([again.length, again[0] === x], [2, true]);
  const id = pending.forward("b", again);
  await environment.advance(10);
  pending.onForwardResponse("b", response(id, 0, 0, "overloaded"), 0);
  assertEquals([of("x"), of("y"), pending.count], ["overloaded not-applied", "overloaded not-applied", 0]);
});

test("Pending.onForwardResponse() gives back what was refused; overload goes to the caller", () => {
  for (const refusal of ["not-leader", "transferring"] as const) {
    const { pending, take } = setUp();
    const proposals = take("x");
    const id = pending.forward("b", proposals);
    assertEquals(pending.onForwardResponse("b", response(id, 0, 0, refusal), 0), proposals);
    assertEquals(pending.count, 1);
  }
  const { pending, take, of } = setUp();
  const id = pending.forward("b", take("x"));
  assertEquals(pending.onForwardResponse("b", response(id, 0, 0, "overloaded"), 0), []);
  assertEquals([of("x"), pending.count], ["overloaded not-applied", 0]);
});

test("Pending.onForwardResponse() tells the caller of a command that is too large for the leader, when it went alone", () => {
  const { pending, take, errors, of } = setUp();
  const proposals = take("x", "y");
  const both = pending.forward("b", proposals);
  assertEquals(pending.onForwardResponse("b", response(both, 0, 0, "too-large"), 0), proposals);
  assertEquals([proposals.map(({ isAlone }) => isAlone), of("x")], [[true, true], ""]);
  const alone = pending.forward("b", [proposals[0]!]);
  assertEquals(pending.onForwardResponse("b", response(alone, 0, 0, "too-large"), 0), []);
  assertInstanceOf(errors.get("x"), RangeError);
  assertEquals([of("y"), pending.count], ["", 1]);
});

test("Pending.onForwardResponse() of another server, or a second one, changes nothing", () => {
  const { pending, take, of } = setUp();
  const id = pending.forward("b", take("x"));
  assertEquals(pending.onForwardResponse("c", response(id, 7, 3), 0), []);
  assertEquals(pending.onForwardResponse("b", response(id + 1, 7, 3), 0), []);
  pending.onForwardResponse("b", response(id, 8, 3), 0);
  pending.onForwardResponse("b", response(id, 0, 0, "not-leader"), 0);
  pending.onApplied(7, 3, ok("not ours"));
  pending.onApplied(8, 3, ok("x"));
  assertEquals(of("x"), "8/3:x");
});

test("Pending.forward() numbers differ between two starts, so that an answer to the last start fits nothing (BR03)", () => {
  const ids = [1, 2].map((seed) => {
    const environment = new VirtualEnvironment(0, seed * 1_000_003);
    return new Pending(environment, limits).forward("b", []);
  });
  assertEquals(ids[0] !== ids[1], true);
  assertEquals(ids.every((id) => Number.isSafeInteger(id) && id > 0), true);
});

test("Pending.onPeerLost() says unknown for what was forwarded there, and nothing to others", () => {
  const { pending, take, of } = setUp();
  pending.forward("b", take("x"));
  const id = pending.forward("c", take("y"));
  pending.onPeerLost("b");
  assertEquals([of("x"), of("y")], ["leadership-lost unknown", ""]);
  pending.onForwardResponse("c", response(id, 7, 3), 0);
  pending.onApplied(7, 3, ok("y"));
  assertEquals([of("y"), pending.count], ["7/3:y", 0]);
});

test("Pending.onLeaderLost() gives placed commands leaderWaitMs for the next leader's answer, then says unknown", () => {
  const { environment, pending, take, of } = setUp();
  pending.place(take("x", "y"), 5, 2);
  assertEquals(pending.needsSweep, false);
  pending.onLeaderLost();
  pending.onApplied(5, 2, ok("x"));
  environment.now = () => 999;
  pending.sweep();
  assertEquals([of("x"), of("y"), pending.needsSweep], ["5/2:x", "", true]);
  environment.now = () => 1_000;
  pending.sweep();
  assertEquals([of("y"), pending.count, pending.needsSweep], ["leadership-lost unknown", 0, false]);
});

test("Pending gives up a command whose leader was lost before it was placed", () => {
  const { environment, pending, take, of } = setUp();
  const id = pending.forward("b", take("x"));
  pending.onLeaderLost();
  // The old leader's answer comes after all: nobody will tell that its entry is gone when no entry takes its place.
  pending.onForwardResponse("b", response(id, 50, 2), 5, true);
  assertEquals(pending.needsSweep, true);
  environment.now = () => 1_000;
  pending.sweep();
  assertEquals([of("x"), pending.count, pending.needsSweep], ["leadership-lost unknown", 0, false]);
});

test("Pending.sweep() says unknown for a forward without an answer", () => {
  const { environment, pending, take, of } = setUp();
  pending.forward("b", take("x"));
  environment.now = () => 999;
  pending.sweep();
  assertEquals(of("x"), "");
  environment.now = () => 1_000;
  pending.sweep();
  assertEquals([of("x"), pending.count, pending.needsSweep], ["leadership-lost unknown", 0, false]);
});

test("Pending.takeBack() of a forward that was not sent leaves it nowhere", () => {
  const { pending, take } = setUp();
  const proposals = take("x");
  assertEquals(pending.takeBack(pending.forward("b", proposals)), proposals);
  pending.onPeerLost("b");
  pending.requeue(proposals, undefined);
  assertEquals(pending.takeQueued(), proposals);
});

test("Pending.close() settles everything once, by where it was (P5, K4)", () => {
  const { pending, add, of, errors, environment } = setUp();
  const roomy = new Pending(environment, { ...limits, inFlightCountMax: 10 });
  const addTo = (name: string) => {
    const [proposal] = add(name);
    roomy.add(proposal!);
    pending.takeQueued();
  };
  addTo("placed");
  roomy.place(roomy.takeQueued(), 5, 2);
  addTo("forwarded");
  roomy.forward("b", roomy.takeQueued());
  addTo("taken");
  roomy.takeQueued();
  addTo("queued");
  const cause = new StorageError("disk", "write");
  roomy.close(cause);
  roomy.close(new ShutdownError());
  assertEquals(of("placed"), "shutdown unknown");
  assertEquals(of("forwarded"), "shutdown unknown");
  // Between the queue and a log when something broke: it may be in the log.
  assertEquals(of("taken"), "shutdown unknown");
  assertEquals((errors.get("placed") as Error).cause, cause);
  assertEquals([roomy.count, roomy.bytes, roomy.needsSweep], [0, 0, false]);
});

test("Pending.close() of queued commands says not-applied, and later ones are refused", () => {
  const { pending, add, of, errors } = setUp();
  add("x");
  pending.close(new ShutdownError());
  add("y");
  assertEquals([of("x"), of("y")], ["shutdown not-applied", "shutdown not-applied"]);
  assertInstanceOf(errors.get("x"), ShutdownError);
  assertEquals((errors.get("x") as Error).cause, undefined);
  assertEquals(pending.count, 0);
});

test("Pending settles every command exactly once and counts to zero, whatever happens (BC11)", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom("add", "propose", "forward", "requeue", "abort") }),
    fc.record({ do: fc.constantFrom("apply", "lose-leader", "sweep", "wait") }),
    fc.record({ do: fc.constant("answer"), term: fc.integer({ min: 1, max: 3 }), refuse: fc.boolean() }),
    fc.record({ do: fc.constant("lose-peer"), peer: fc.constantFrom("b", "c") }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let now = 0;
      const environment = new VirtualEnvironment();
      environment.now = () => now;
      const pending = new Pending(environment, { ...limits, inFlightCountMax: 8 });
      const settled: number[] = [];
      const live: Proposal[] = [];
      const forwards: [number, string][] = [];
      let applied = 0;
      let lastIndex = 0;
      for (const one of steps) {
        const count = settled.length;
        if (one.do === "add") {
          settled.push(0);
          const entry = { type: EntryType.command, flags: 0, payload: new Uint8Array(3) };
          const proposal = new Proposal(entry, now, () => settled[count]!++, () => settled[count]!++);
          live.push(proposal);
          pending.add(proposal);
        } else if (one.do === "propose") {
          const proposals = pending.takeQueued();
          pending.place(proposals, lastIndex + 1, 2);
          lastIndex += proposals.length;
        } else if (one.do === "forward") {
          const to = forwards.length % 2 === 0 ? "b" : "c";
          forwards.push([pending.forward(to, pending.takeQueued()), to]);
        } else if (one.do === "requeue") pending.requeue(pending.takeQueued(), undefined);
        else if (one.do === "abort") live.pop()?.reject("aborted");
        else if (one.do === "apply" && applied < lastIndex) pending.onApplied(++applied, 2, ok(0));
        else if (one.do === "lose-leader") pending.onLeaderLost();
        else if (one.do === "sweep") pending.sweep();
        else if (one.do === "wait") now += 400;
        else if ("peer" in one) pending.onPeerLost(one.peer);
        else if ("refuse" in one) {
          const [id, to] = forwards.pop() ?? [0, "b"];
          const from = one.refuse ? 0 : Math.max(1, lastIndex - 1);
          const answer = response(id, from, one.refuse ? 0 : one.term, one.refuse ? "not-leader" : undefined);
          pending.requeue(pending.onForwardResponse(to, answer, applied), undefined);
          if (!one.refuse) lastIndex += 2;
        }
      }
      pending.close(new ShutdownError());
      assertEquals(settled.every((times) => times === 1), true, settled.join());
      assertEquals([pending.count, pending.bytes], [0, 0]);
    }),
    { numRuns: 300 },
  );
});

test("Pending.onInstalled() settles what a snapshot took the place of as unknown, and nothing beyond (S2, BS06)", () => {
  const { pending, take, of } = setUp();
  pending.place(take("x"), 5, 2);
  pending.place(take("y"), 6, 2);
  pending.place(take("z"), 5, 3);
  pending.onInstalled(5);
  assertEquals([of("x"), of("y"), of("z")], ["leadership-lost unknown", "", "leadership-lost unknown"]);
  pending.onApplied(6, 2, ok("done"));
  assertEquals([of("y"), pending.count, pending.bytes], ["6/2:done", 0, 0]);
});
