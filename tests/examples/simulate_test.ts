// How a program tests its own machine, and the kind of bug that only faults show: docs/testing.md.
import { assert, assertRejects } from "@std/assert";
import { simulate, type SimulatedServer, SimulationFailure } from "@securecollc/raft/testing";
import { test } from "../harness.ts";

type Order = { readonly item: string; readonly count: number };

/** What is left of each item: rows of a database beside the server, which a restart finds as it left them. */
class Stock {
  readonly left = new Map([["pen", 100_000], ["cup", 100_000]]);
}

/** Takes items out of the stock. */
class Shop {
  readonly stock: Stock;

  constructor(stock: Stock) {
    this.stock = stock;
  }

  apply({ item, count }: Order): number {
    const left = this.stock.left.get(item)! - count;
    this.stock.left.set(item, left);
    return left;
  }
}

const orders = {
  operations: (chance: { pick<T>(items: readonly T[]): T; between(min: number, max: number): number }): Order => ({
    item: chance.pick(["pen", "cup"]),
    count: chance.between(1, 5),
  }),
  hash: (shop: Shop) => shop.stock.left,
  servers: 3,
};

test("example: a machine whose state outlives its process passes as long as nothing fails", async () => {
  await simulate(shopsThatKeepTheirRows(), { ...orders, faults: [], seeds: 2 });
});

test("example: when a server dies, the log is applied to rows that have seen it", async () => {
  const failure = await assertRejects(
    () => simulate(shopsThatKeepTheirRows(), { ...orders, faults: ["kill"] }),
    SimulationFailure,
  );
  assert(/^seed \d+: A[34]: the /.test(failure.message), failure.message);
}, { timeoutMs: 120_000 });

test("example: it must begin with the rows that it had before the log", async () => {
  await simulate(() => new Shop(new Stock()), { ...orders, faults: ["kill", "power", "partition", "loss"] });
}, { timeoutMs: 120_000 });

/** Lends things, each to one reader at a time. */
class Library {
  readers = new Map<string, string>();

  apply({ item, reader }: { readonly item: string; readonly reader: string | null }): string | null {
    const before = this.readers.get(item) ?? null;
    if (reader === null) this.readers.delete(item);
    else if (before === null) this.readers.set(item, reader);
    return before;
  }

  snapshot(): ReadableStream<Uint8Array> {
    return new Response(JSON.stringify([...this.readers])).body!;
  }

  async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    this.readers = new Map(await new Response(bytes).json());
  }
}

/** What was given back long ago is lent again, to whoever had it when this server last looked. */
class CarelessLibrary extends Library {
  override async restore(bytes: ReadableStream<Uint8Array>): Promise<void> {
    for (const [item, reader] of await new Response(bytes).json()) this.readers.set(item, reader);
  }
}

const loans = {
  operations: (chance: { pick<T>(items: readonly T[]): T }) => ({
    item: chance.pick(["atlas", "novel", "poems", "score"]),
    reader: chance.pick(["anna", "bert", null]),
  }),
  hash: (library: Library) => library.readers,
  servers: 3,
};

test("example: a machine that adds a snapshot to what it holds passes as long as nothing fails", async () => {
  await simulate(() => new CarelessLibrary(), { ...loans, faults: [], seeds: 2 });
});

test("example: a server that was cut off for long begins anew with a snapshot, and holds too much", async () => {
  const failure = await assertRejects(
    () => simulate(() => new CarelessLibrary(), { ...loans, faults: ["partition"] }),
    SimulationFailure,
  );
  assert(/^seed \d+: S1: the machine of "s\d" restores /.test(failure.message), failure.message);
}, { timeoutMs: 120_000 });

test("example: it must replace what it holds", async () => {
  const report = await simulate(() => new Library(), { ...loans, faults: ["partition"], seeds: 4 });
  assert(report.restores > 0);
}, { timeoutMs: 120_000 });

function shopsThatKeepTheirRows() {
  const stocks = new Map<string, Stock>();
  return ({ id, seed }: SimulatedServer) => {
    const name = `${seed} ${id}`;
    const stock = stocks.get(name) ?? new Stock();
    stocks.set(name, stock);
    return new Shop(stock);
  };
}
