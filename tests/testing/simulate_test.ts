import { assert, assertEquals, assertRejects } from "@std/assert";
import { InvariantError } from "../../mod.ts";
import type { Model } from "../../src/testing/linearizability.ts";
import { simulate, type SimulatedServer, SimulationFailure } from "../../src/testing/simulate.ts";
import { test } from "../harness.ts";

type Deposit = { readonly to: string; readonly amount: number };

/** Accounts as they should be. */
class Accounts {
  readonly sums = new Map<string, number>();

  apply({ to, amount }: Deposit): number {
    const sum = (this.sums.get(to) ?? 0) + amount;
    this.sums.set(to, sum);
    return sum;
  }
}

const model: Model<number, Deposit | string, number> = {
  init: () => 0,
  step: (state, { input, outcome, output }) => {
    const after = typeof input === "string" ? state : state + input.amount;
    return { ok: outcome !== "ok" || output === after, state: after };
  },
  equal: (a, b) => a === b,
  hash: (state) => state,
  isRead: (input) => typeof input === "string",
};

const options = {
  operations: (chance: { pick<T>(of: readonly T[]): T; between(a: number, b: number): number }): Deposit => ({
    to: chance.pick(["anna", "bert", "cleo"]),
    amount: chance.between(1, 9),
  }),
  steps: 1500,
} as const;

const checked = {
  ...options,
  queries: {
    draw: (chance: { pick<T>(of: readonly T[]): T }) => chance.pick(["anna", "bert", "cleo"]),
    answer: (machine: Accounts, of: string) => machine.sums.get(of) ?? 0,
  },
  hash: (machine: Accounts) => machine.sums,
  keyOf: (input: Deposit | string) => typeof input === "string" ? input : input.to,
  model,
};

async function failing(run: Promise<unknown>): Promise<SimulationFailure> {
  return await assertRejects(() => run, SimulationFailure);
}

test("simulate: a machine that is as it should be passes every seed, with all faults", async () => {
  const report = await simulate(() => new Accounts(), { ...checked, seeds: 12 });
  assertEquals(report.seeds, 12);
  assert(report.operations > 300 && report.crashes > 0 && report.timeMs > 1000 && report.steps >= 12 * options.steps);
  assertEquals(await simulate(() => new Accounts(), { ...checked, seeds: 12 }), report);
}, { timeoutMs: 120_000 });

test("simulate: results that differ between replicas are found, with how to see it again", async () => {
  let calls = 0;
  const machine = () => ({ apply: ({ amount }: Deposit) => amount + calls++ });
  const failure = await failing(simulate(machine, { ...options, servers: 3 }));
  assertEquals([failure.invariant, failure.seed, failure.name], ["A3", 0, "SimulationFailure"]);
  assert(failure.message.startsWith('seed 0: A3: the machine of "s'), failure.message);
  assert(failure.message.includes("replay: simulate(machine, { ...options, seed: 0, seeds: 1 })"), failure.message);
});

test("simulate: states that differ between replicas are found though their results do not", async () => {
  class Drifting extends Accounts {
    readonly id: string;
    constructor(id: string) {
      super();
      this.id = id;
    }
    override apply(deposit: Deposit): number {
      const sum = super.apply(deposit);
      if (sum > 50) this.sums.set(`last of ${this.id}`, sum);
      return sum;
    }
  }
  const machine = ({ id }: SimulatedServer) => new Drifting(id);
  const { hash: _hash, ...blind } = checked;
  await simulate(machine, { ...blind, servers: 3, seeds: 1, faults: [] });
  assertEquals((await failing(simulate(machine, { ...checked, servers: 3, seeds: 1, faults: [] }))).invariant, "A3");
}, { timeoutMs: 60_000 });

test("simulate: what only a restart shows is found where servers die, and nowhere else", async () => {
  const tables = new Map<string, Accounts>();
  const machine = ({ id, seed }: SimulatedServer) => {
    const name = `${seed} ${id}`;
    if (!tables.has(name)) tables.set(name, new Accounts());
    return tables.get(name)!;
  };
  await simulate(machine, { ...checked, servers: 3, seeds: 2, faults: ["loss", "partition"] });
  tables.clear();
  const found = await failing(simulate(machine, { ...checked, servers: 3, faults: ["kill", "power"] }));
  assertEquals(["A3", "A4"].includes(found.invariant), true, found.message);
  tables.clear();
  const again = await failing(
    simulate(machine, { ...checked, servers: 3, faults: ["kill", "power"], seed: found.seed, seeds: 1 }),
  );
  assertEquals(again.message, found.message);
}, { timeoutMs: 60_000 });

test("simulate: a history that does not follow the model is found", async () => {
  // All replicas agree, and all are wrong.
  class Generous extends Accounts {
    override apply(deposit: Deposit): number {
      return super.apply(deposit.amount === 7 ? { ...deposit, amount: 8 } : deposit);
    }
  }
  const failure = await failing(simulate(() => new Generous(), { ...checked, servers: 3, faults: [] }));
  assertEquals(failure.invariant, "R4");
  assert(/does not follow the model: \w+ was answered \d+ to /.test(failure.message), failure.message);
});

test("simulate: what a machine throws is an answer, unless it says that it is broken", async () => {
  class Refusing extends Accounts {
    override apply(deposit: Deposit): number {
      if (deposit.amount === 9) throw new RangeError("too much");
      return super.apply(deposit);
    }
  }
  const refusing: Model<number, Deposit | string, number> = {
    ...model,
    step: (state, operation) => {
      const { input, outcome, output } = operation;
      if (typeof input === "string" || input.amount !== 9) return model.step(state, operation);
      return { ok: outcome !== "ok" || (output as unknown) instanceof RangeError, state };
    },
  };
  await simulate(() => new Refusing(), { ...checked, model: refusing, seeds: 4 });
  const broken = () => ({
    apply: ({ amount }: Deposit): number => {
      if (amount === 9) throw new InvariantError("the accounts are gone");
      return amount;
    },
  });
  const failure = await failing(simulate(broken, { ...options, servers: 3, faults: [] }));
  assertEquals(failure.invariant, "V0");
}, { timeoutMs: 60_000 });

test("simulate: commands go through the codec that is given", async () => {
  const codec = {
    encode: ({ to, amount }: Deposit) => new TextEncoder().encode(`${to} ${amount}`),
    decode: (bytes: Uint8Array): Deposit => {
      const [to, amount] = new TextDecoder().decode(bytes).split(" ");
      return { to: to!, amount: Number(amount) };
    },
  };
  await simulate(() => new Accounts(), { ...checked, codec, seeds: 2 });
  const lossy = { ...codec, encode: ({ to }: Deposit) => codec.encode({ to, amount: 1 }) };
  assertEquals(
    (await failing(simulate(() => new Accounts(), { ...checked, codec: lossy, faults: [] }))).invariant,
    "R4",
  );
});

test("simulate: what cannot be used is refused", async () => {
  const run = (wrong: object) => simulate(() => new Accounts(), { ...options, ...wrong });
  await assertRejects(() => run({ servers: 8 }), RangeError, "Cannot use servers 8: it must be an integer from 1 to 7");
  await assertRejects(() => run({ servers: 0 }), RangeError, "Cannot use servers 0");
  await assertRejects(() => run({ seed: -1 }), RangeError, "Cannot use seed -1");
  await assertRejects(() => run({ seed: 0.5 }), RangeError, "Cannot use seed 0.5");
  await assertRejects(() => run({ seeds: 0 }), RangeError, "Cannot use seeds 0");
  await assertRejects(() => run({ steps: NaN }), RangeError, "Cannot use steps NaN");
  await assertRejects(() => run({ faults: ["flood"] }), RangeError, 'Cannot use faults "flood": there are loss,');
});
