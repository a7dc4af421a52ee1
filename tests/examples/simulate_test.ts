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
});

test("example: it must begin with the rows that it had before the log", async () => {
  await simulate(() => new Shop(new Stock()), { ...orders, faults: ["kill", "power", "partition", "loss"] });
});

function shopsThatKeepTheirRows() {
  const stocks = new Map<string, Stock>();
  return ({ id, seed }: SimulatedServer) => {
    const name = `${seed} ${id}`;
    const stock = stocks.get(name) ?? new Stock();
    stocks.set(name, stock);
    return new Shop(stock);
  };
}
