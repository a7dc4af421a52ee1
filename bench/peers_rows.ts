/**
 * Measurements of several sides as rows of a table, with the ratios.
 *
 * @module
 */
import { type Better, ratiosOf, type Spread, spreadOf } from "./pairs.ts";

/** The name of our side. */
export const ours = "ours";
/** The name of the side that is no peer but the limit of what a server over HTTP can do. */
export const ceilingName = "ceiling: one server, no Raft";

/** One figure of one side in one pair. */
export interface Sample {
  readonly name: string;
  readonly value: number;
  readonly better: Better;
}

/** One figure of all sides in all pairs. */
export interface Row {
  readonly name: string;
  readonly better: Better;
  /** Per side, a value per pair. */
  readonly values: Readonly<Record<string, readonly number[]>>;
  /** Per side. */
  readonly spreads: Readonly<Record<string, Spread>>;
  /** Ours to the best of the peers, pair by pair. */
  readonly ratio: Spread;
  /** Ours to the ceiling, pair by pair, where there is one. */
  readonly toCeiling?: Spread;
}

/** Turns what sides gave in each pair into a row per figure. Throws when a side lacks a figure or a pair. */
export function rowsOf(sides: Readonly<Record<string, readonly (readonly Sample[])[]>>): Row[] {
  const first = sides[ours]?.[0] ?? [];
  return first.map(({ name, better }) => {
    const values = mapValues(sides, (pairs) => pairs.map((samples) => valueOf(samples, name)));
    const { [ours]: mine = [], [ceilingName]: ceiling, ...peers } = values;
    return {
      name,
      better,
      values,
      spreads: mapValues(values, spreadOf),
      ratio: spreadOf(ratiosOf(mine, peers, better)),
      ...ceiling === undefined ? {} : { toCeiling: spreadOf(ratiosOf(mine, { ceiling }, better)) },
    };
  });
}

function valueOf(samples: readonly Sample[], name: string): number {
  const sample = samples.find((sample) => sample.name === name);
  if (sample === undefined) throw new RangeError(`Cannot compare "${name}", as a side did not measure it`);
  return sample.value;
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

/** Rows as Markdown. Every cell is a median with the least and the most of all pairs. */
export function peerTable(rows: readonly Row[]): string {
  const sides = Object.keys(rows[0]?.values ?? {});
  const hasCeiling = sides.includes(ceilingName);
  const peers = sides.filter((name) => name !== ours && name !== ceilingName);
  const ratio = peers.length > 1 ? "ratio to the better peer" : `ratio to ${peers[0]}`;
  const pairs = rows[0]?.ratio.count ?? 0;
  const head = [`median (min – max) of ${pairs} pairs`, ...sides, ratio, ...hasCeiling ? ["ratio to the ceiling"] : []];
  const lines = rows.map((row) => [
    row.name,
    ...sides.map((side) => cell(row.spreads[side]!, number)),
    `**${cell(row.ratio, fraction)}**`,
    ...row.toCeiling === undefined ? [] : [cell(row.toCeiling, fraction)],
  ]);
  return [head, head.map(() => "---"), ...lines].map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function cell({ median, min, max }: Spread, format: (value: number) => string): string {
  return `${format(median)} (${format(min)} – ${format(max)})`;
}

function number(value: number): string {
  return value < 100 ? value.toFixed(2) : Math.round(value).toLocaleString("en-US");
}

function fraction(value: number): string {
  return value.toFixed(2);
}
