/**
 * Ours and the peers in one run: they take turns, and what is compared was measured side by side.
 *
 * @module
 */
import { median } from "./statistics.ts";

/** What takes part, and how it is measured once. */
export type Sides<T> = Readonly<Record<string, (pair: number) => Promise<T>>>;

/** So many pairs more are tried when some fail. */
export const spareTries = 2;

/**
 * Measures every side once per pair, in an order that turns round with every pair: a machine that slows down is unkind
 * to all alike. A pair in which one side fails counts for none. Rejects when none is left.
 */
export async function runPairs<T>(
  sides: Sides<T>,
  pairs: number,
  say: (line: string) => void,
): Promise<Record<string, T[]>> {
  const names = Object.keys(sides);
  const results: Record<string, T[]> = Object.fromEntries(names.map((name) => [name, []]));
  let done = 0;
  for (let attempt = 0; done < pairs && attempt < pairs + spareTries; attempt++) {
    const order = attempt % 2 === 0 ? names : names.toReversed();
    const pair = await onePair(sides, order, attempt, say);
    if (pair === undefined) continue;
    names.forEach((name) => results[name]!.push(pair.get(name)!));
    done += 1;
  }
  if (done === 0) throw new Error(`Cannot compare: none of ${pairs + spareTries} pairs was measured`);
  return results;
}

async function onePair<T>(
  sides: Sides<T>,
  order: readonly string[],
  attempt: number,
  say: (line: string) => void,
): Promise<Map<string, T> | undefined> {
  const pair = new Map<string, T>();
  for (const name of order) {
    try {
      pair.set(name, await sides[name]!(attempt));
    } catch (error) {
      say(`pair ${attempt + 1} does not count, as ${name} failed: ${(error as Error).message}`);
      return undefined;
    }
  }
  return pair;
}

/** What several measurements of the same say. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** Throws unless there are values, all of them numbers above 0. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError("Cannot say anything of no measurements");
  const wrong = values.find((value) => !(value > 0 && Number.isFinite(value)));
  if (wrong !== undefined) throw new RangeError(`Cannot compare a measurement of ${wrong}`);
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), count: values.length };
}

/** Whether a larger or a smaller value is the better one. */
export type Better = "more" | "less";

/** Of each pair: ours divided by the best of the peers in that pair. */
export function ratiosOf(
  ours: readonly number[],
  peers: Readonly<Record<string, readonly number[]>>,
  better: Better,
): number[] {
  const others = Object.values(peers);
  if (others.length === 0) throw new RangeError("Cannot compare with nobody");
  if (others.some((values) => values.length !== ours.length)) {
    throw new RangeError("Cannot compare, as some pairs are not whole");
  }
  const best = better === "more" ? Math.max : Math.min;
  return ours.map((value, pair) => value / best(...others.map((values) => values[pair]!)));
}
