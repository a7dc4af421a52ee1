/**
 * Who may decide something, where servers come and go.
 *
 * @module
 */
import type { LogIndex, ServerId } from "../../../types.ts";
import type { ChainLog } from "../chain.ts";
import { setsOf } from "../check/checker.ts";
import type { Ghost } from "../ghost.ts";

/**
 * Sets of voters that may still decide: of the last configuration that is committed, and of every later one that is in
 * one of these logs, with both halves of a joint one. A log that ends before the last committed one can't be elected by
 * it, and who goes by an earlier configuration needs somebody who knows the later one.
 */
export function electorates(
  { commits }: Pick<Ghost, "commits">,
  logs: Iterable<ChainLog>,
): readonly (readonly ServerId[])[] {
  const committed: LogIndex = commits.configuredAt();
  const known = committed === 0 ? [] : [commits.at(committed)!.configuration!];
  for (const { configurations } of logs) {
    for (const { index, configuration } of configurations) if (index > committed) known.push(configuration);
  }
  return known.flatMap(setsOf);
}
