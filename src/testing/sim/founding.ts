/**
 * How a cluster begins whose log goes on after many entries that nobody has any more.
 *
 * @module
 */
import { bootstrapConfiguration, bootstrapTerm } from "../../bootstrap.ts";
import type { StateMachine } from "../../machine.ts";
import type { SnapshotStoreFactory } from "../../store/snapshot_store.ts";
import type { StoreWrite } from "../../store/store.ts";
import type { ServerAddress, ServerId } from "../../types.ts";
import { encodeSnapshot } from "../../wire/snapshot.ts";
import type { Founding } from "./committed.ts";
import type { SimConfig } from "./config.ts";

/** With what founders begin; undefined where that is entry 1. */
export function foundingOf(
  { indexStart = 0 }: Pick<SimConfig, "indexStart">,
  bootstrap: Readonly<Record<ServerId, ServerAddress>>,
): Founding | undefined {
  if (indexStart === 0) return undefined;
  return { index: indexStart, configuration: bootstrapConfiguration(bootstrap, Object.keys(bootstrap)[0]!) };
}

/**
 * Makes the snapshot of a machine that has applied nothing durable, as if it were of the last entry that is gone.
 *
 * @returns What lets an empty log go on after it.
 */
export async function begunAfter(
  { index, configuration }: Founding,
  factory: SnapshotStoreFactory,
  machine: Pick<StateMachine<never, unknown>, "snapshot">,
): Promise<Pick<StoreWrite, "records" | "compactTo">> {
  const snapshots = await factory.open();
  await snapshots.open();
  const origin = { index, term: bootstrapTerm, configuration, configurationIndex: index, timeMs: 0 };
  const sink = await snapshots.create(origin);
  for await (const piece of encodeSnapshot({ origin, beginning: configuration, user: machine.snapshot!() })) {
    await sink.write(piece);
  }
  await sink.close();
  await snapshots.close();
  return { records: [], compactTo: { firstIndex: index + 1, prevTerm: bootstrapTerm } };
}
