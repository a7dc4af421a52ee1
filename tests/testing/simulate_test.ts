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

/** Accounts that are closed when nothing is left on them. */
class Bank extends Accounts {
  override apply(deposit: Deposit): number {
    const sum = super.apply(deposit);
    if (sum % 7 === 0) this.sums.delete(deposit.to);
    return sum;
  }

  snapshot(): ReadableStream<Uint8Array> {
    return new Response(JSON.stringify([...this.sums])).body!;
  }

  async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    const sums: [string, number][] = await new Response(bytes).json();
    this.sums.clear();
    for (const [to, sum] of sums) this.sums.set(to, sum);
  }
}

class ForgetfulBank extends Bank {
  override snapshot(): ReadableStream<Uint8Array> {
    return new Response(JSON.stringify([...this.sums].slice(1))).body!;
  }
}

class MergingBank extends Bank {
  override async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    for (const [to, sum] of await new Response(bytes).json()) this.sums.set(to, sum);
  }
}

/** What streams do on a thread of its own takes any number of turns. */
class ZippedBank extends Bank {
  override snapshot(): ReadableStream<Uint8Array> {
    return super.snapshot().pipeThrough(new CompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>);
  }

  override restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    const unzip = new DecompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>;
    return super.restore(bytes.pipeThrough(unzip));
  }
}

const banks = { ...options, hash: (bank: Accounts) => bank.sums, seeds: 4 };

test("simulate: a machine that has snapshots begins with them, and passes when they are right", async () => {
  const report = await simulate(() => new Bank(), banks);
  assert(report.snapshots > 10 && report.restores > 2, JSON.stringify(report));
  assertEquals(await simulate(() => new Bank(), banks), report);
  // Bytes that are others take other times.
  const zipped = await simulate(() => new ZippedBank(), { ...banks, seeds: 2 });
  assertEquals(await simulate(() => new ZippedBank(), { ...banks, seeds: 2 }), zipped);
  const { snapshots, restores } = await simulate(() => new Accounts(), { ...banks, seeds: 2 });
  assertEquals([snapshots, restores], [0, 0]);
}, { timeoutMs: 300_000 });

test("simulate: a snapshot that lacks a part of the state is found where servers die, and nowhere else", async () => {
  // In few seeds is anybody so slow that the log is not enough.
  const calm = { ...banks, servers: 3, faults: [], seed: 3, seeds: 3 } as const;
  const quiet = await simulate(() => new ForgetfulBank(), calm);
  assert(quiet.snapshots > 0 && quiet.restores === 0);
  const dying = { ...banks, servers: 3, faults: ["kill"], seeds: 10 } as const;
  assertEquals((await failing(simulate(() => new ForgetfulBank(), dying))).invariant, "S1");
}, { timeoutMs: 120_000 });

test("simulate: a restore that leaves what was there before is found", async () => {
  const cut = { ...banks, servers: 3, faults: ["partition", "pause"], seeds: 10 } as const;
  assertEquals((await failing(simulate(() => new MergingBank(), cut))).invariant, "S1");
}, { timeoutMs: 120_000 });

test("simulate: what a restored machine answers is compared though its state is not", async () => {
  const { hash: _hash, ...blind } = { ...banks, servers: 3, faults: ["kill", "power"], seeds: 10 } as const;
  const { invariant, message } = await failing(simulate(() => new ForgetfulBank(), blind));
  assertEquals(invariant, "A3", message);
}, { timeoutMs: 120_000 });

test("simulate: a machine that fails to give a snapshot is found", async () => {
  class Failing extends Bank {
    override snapshot(): ReadableStream<Uint8Array> {
      throw new RangeError("not now");
    }
  }
  const { invariant, message } = await failing(simulate(() => new Failing(), { ...banks, faults: [] }));
  assertEquals(invariant, "V0");
  assert(/V0: the machine of "s\d" fails to give a snapshot: RangeError: not now/.test(message), message);
}, { timeoutMs: 120_000 });

test("simulate: servers come and go when they are asked to", async () => {
  const seen = new Map<string, number>();
  const machine = ({ id }: SimulatedServer) => {
    const bank = new Bank();
    const apply = bank.apply.bind(bank);
    bank.apply = (deposit) => {
      seen.set(id, (seen.get(id) ?? 0) + 1);
      return apply(deposit);
    };
    return bank;
  };
  const moving = { ...banks, servers: 2, membership: true, faults: ["kill"], seeds: 2 } as const;
  await simulate(machine, moving);
  assert(seen.get("s2")! > 0, [...seen.keys()].join());
  seen.clear();
  await simulate(machine, { ...moving, membership: false });
  assertEquals([...seen.keys()].sort(), ["s0", "s1"]);
}, { timeoutMs: 120_000 });

test("simulate: a failure shows configuration and last events, a report its first seed", async () => {
  const { seed, seeds } = await simulate(() => new Accounts(), {
    ...options,
    servers: 1,
    faults: [],
    seed: 7,
    seeds: 2,
  });
  assertEquals([seed, seeds], [7, 2]);
  // Another run of it would not fail alike.
  let calls = 0;
  const machine = () => ({ apply: ({ amount }: Deposit) => amount + calls++ });
  const lines = (await failing(simulate(machine, { ...options, servers: 3, faults: [], seed: 7 }))).message.split("\n");
  assert(/^seed 7: A3: /.test(lines[0]!), lines[0]);
  assert(/^ {2}after \d+ events, \d+ steps, \d+\.\d{3} virtual seconds$/.test(lines[1]!), lines[1]);
  const configuration = JSON.parse(lines[2]!.replace("  configuration ", ""));
  assertEquals([configuration.servers, configuration.faults, configuration.steps], [3, [], 1500]);
  assertEquals(lines[3], "  last events:");
  assert(lines.slice(4, -1).every((line) => line.startsWith("    ")));
  assertEquals(lines.filter((line) => /^ {4}\d+\.\d{3} ms #\d+ /.test(line)).length, 50);
  assertEquals(lines.at(-1), "  replay: simulate(machine, { ...options, seed: 7, seeds: 1 })");
}, { timeoutMs: 120_000 });

test("simulate: what cannot be used is refused", async () => {
  const run = (wrong: object) => simulate(() => new Accounts(), { ...options, ...wrong });
  await assertRejects(() => run({ servers: 8 }), RangeError, "Cannot use servers 8: it must be an integer from 1 to 7");
  await assertRejects(() => run({ servers: 0 }), RangeError, "Cannot use servers 0");
  await assertRejects(() => run({ seed: -1 }), RangeError, "Cannot use seed -1");
  await assertRejects(() => run({ seed: 0.5 }), RangeError, "Cannot use seed 0.5");
  await assertRejects(() => run({ seeds: 0 }), RangeError, "Cannot use seeds 0");
  await assertRejects(() => run({ steps: NaN }), RangeError, "Cannot use steps NaN");
  await assertRejects(
    () => run({ membership: "false" as never }),
    TypeError,
    "'membership' must be a boolean, not string",
  );
  await assertRejects(() => run({ keyOf: "id" as never }), TypeError, "'keyOf' must be a function, not string");
  const moving = { membership: true, servers: 3 };
  const beyond = 'Cannot use faults "replace-beyond" with membership: nothing says what is left of a quorum';
  await assertRejects(() => run({ ...moving, faults: ["kill", "replace-beyond"] }), RangeError, beyond);
  await assertRejects(() => run({ faults: ["flood"] }), RangeError, 'Cannot use faults "flood": there are loss,');
});
