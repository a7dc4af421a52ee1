import { assert, assertEquals, assertRejects } from "@std/assert";
import type { StateMachine } from "../../../mod.ts";
import { HostedMachine, hostedStateIn, type HostedTap } from "../../../src/testing/sim/hosted_machine.ts";
import { test } from "../../harness.ts";

/** Sums of numbers, as text so long that it comes in several pieces. */
class Sums implements StateMachine<unknown, unknown> {
  sum = 0;

  apply(command: unknown): number {
    return this.sum += command as number;
  }

  snapshot(): ReadableStream<Uint8Array> {
    return new Response(JSON.stringify({ sum: this.sum, filler: "x".repeat(200) })).body!;
  }

  async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    this.sum = (await new Response(bytes).json()).sum;
  }
}

/** A machine in a life of its own, which has applied so many commands. */
function lifeOf(inner: StateMachine<unknown, unknown>, commands = 0, isBlind = false) {
  const broken: string[] = [];
  const states: number[] = [];
  const tap: HostedTap = {
    onApplied: (_command, { state }) => void states.push(state),
    work: () => undefined,
    onResult() {},
    onSnapshot() {},
    onRestored() {},
    must: (condition, invariant, detail) => {
      if (!condition) broken.push(`${invariant}: ${detail()}`);
    },
    hold: (_what, work) => work,
    isOver: false,
  };
  const stateOf = (machine: unknown) => isBlind ? undefined : { state: (machine as Sums).sum };
  const machine = new HostedMachine({ machine: () => inner, stateOf }, "a", tap);
  const apply = (index: number) => machine.apply({ value: `v${index}`, command: index }, { index, term: 1, timeMs: 0 });
  for (let index = 1; index <= commands; index++) apply(index);
  return { machine, broken, states, apply };
}

test("hosted machine: a life that begins with a snapshot says of the next command what the one says that went on", async () => {
  for (const isBlind of [false, true]) {
    const [from, to] = [lifeOf(new Sums(), 3, isBlind), lifeOf(new Sums(), 1, isBlind)];
    await to.machine.restore!(from.machine.snapshot!());
    for (const life of [from, to]) life.apply(4);
    assertEquals(to.states.at(-1), from.states.at(-1));
    assertEquals([...from.broken, ...to.broken], []);
  }
});

test("hosted machine: S1: a machine that is not what the snapshot was taken of is found", async () => {
  class Adding extends Sums {
    override async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
      this.sum += (await new Response(bytes).json()).sum;
    }
  }
  const from = lifeOf(new Adding(), 3);
  const empty = lifeOf(new Adding());
  await empty.machine.restore!(from.machine.snapshot!());
  assertEquals(empty.broken, []);
  const full = lifeOf(new Adding(), 1);
  await full.machine.restore!(from.machine.snapshot!());
  assertEquals(full.broken, ['S1: the machine of "a" restores 7 from a snapshot that was taken of 6 after entry 3']);
});

test("hosted machine: S1: a state that is read after it has changed is found", async () => {
  class Late extends Sums {
    override snapshot(): ReadableStream<Uint8Array> {
      const bytes = () => super.snapshot();
      return new ReadableStream({
        async pull(controller) {
          for await (const piece of bytes()) controller.enqueue(piece);
          controller.close();
        },
      }, { highWaterMark: 0 });
    }
  }
  const [from, to] = [lifeOf(new Late(), 3), lifeOf(new Late())];
  const taken = from.machine.snapshot!();
  from.apply(4);
  await to.machine.restore!(taken);
  assertEquals(to.broken, ['S1: the machine of "a" restores 10 from a snapshot that was taken of 6 after entry 3']);
});

test("hosted machine: V0: a snapshot that can't be given or restored is found", async () => {
  class Failing extends Sums {
    override snapshot(): ReadableStream<Uint8Array> {
      throw new RangeError("not now");
    }
    override restore(): Promise<void> {
      throw new RangeError("not this");
    }
  }
  class Wordy extends Sums {
    override snapshot(): ReadableStream<Uint8Array> {
      return ReadableStream.from(["text"]) as ReadableStream<unknown> as ReadableStream<Uint8Array>;
    }
  }
  const { machine, broken } = lifeOf(new Failing());
  await assertRejects(async () => await new Response(machine.snapshot!()).text(), RangeError);
  await assertRejects(() => machine.restore!(lifeOf(new Sums()).machine.snapshot!()), RangeError);
  assertEquals(broken.map((it) => it.split("\n")[0]), [
    'V0: the machine of "a" fails to give a snapshot: RangeError: not now',
    'V0: the machine of "a" fails to restore a snapshot: RangeError: not this',
  ]);
  const wordy = lifeOf(new Wordy());
  await assertRejects(async () => await new Response(wordy.machine.snapshot!()).text(), TypeError);
  assert(wordy.broken[0]?.includes('Its stream gives "text", which is no Uint8Array'), wordy.broken[0]);
});

test("hosted machine: of a snapshot that breaks off a machine must not make a state", async () => {
  const from = lifeOf(new Sums(), 3);
  const broken = async () => {
    const whole = new Uint8Array(await new Response(from.machine.snapshot!()).arrayBuffer());
    return new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(whole.subarray(0, whole.length - 60));
      },
      pull: (controller) => controller.error(new Error("that was not all")),
    });
  };
  const right = lifeOf(new Sums());
  await assertRejects(async () => right.machine.restore!(await broken()), Error, "that was not all");
  assertEquals(right.broken, []);
  class Careless extends Sums {
    override restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
      return super.restore(bytes).catch(() => {});
    }
  }
  const careless = lifeOf(new Careless());
  await careless.machine.restore!(await broken());
  assertEquals(careless.broken.map((it) => it.slice(0, 2)), ["S1"]);
});

test("hosted machine: who has only one half of it has no snapshots", () => {
  const { apply, snapshot, restore } = Sums.prototype;
  for (const inner of [{ apply }, { apply, snapshot }, { apply, restore }]) {
    const { machine } = lifeOf(inner);
    assertEquals([machine.snapshot, machine.restore], [undefined, undefined]);
  }
});

test("hosted machine: the state of a snapshot on a disk is the one that was told of its last command", async () => {
  const { machine, states } = lifeOf(new Sums(), 3);
  assertEquals(await hostedStateIn(machine.snapshot!()), states.at(-1));
  assertEquals(await hostedStateIn(lifeOf(new Sums()).machine.snapshot!()), 0);
  assertEquals(await hostedStateIn(new Response("no").body!), NaN);
});
