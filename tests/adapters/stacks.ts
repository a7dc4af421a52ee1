/**
 * The TCP adapters, and where each of them runs.
 *
 * @module
 */
import type { NetworkOptions } from "../../src/transport/network_options.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";
import { type Runtime, runtime } from "../harness.ts";

/** What all `tcp` functions have in common. */
export type Tcp = (options: NetworkOptions & { readonly listen: string }) => TransportFactory;

/** Names of the adapters' folders. */
export type Adapter = "deno" | "bun" | "node";

/** The adapters that run on each runtime. */
export const ADAPTERS: Readonly<Record<Runtime, readonly Adapter[]>> = {
  deno: ["deno", "node"],
  bun: ["bun", "node"],
  node: ["node"],
};

/** Loads an adapter. */
export async function loadTcp(adapter: Adapter): Promise<Tcp> {
  const { tcp } = await import(`../../adapters/${adapter}/mod.ts`) as { tcp: Tcp };
  return tcp;
}

/** The adapters of this runtime, loaded. */
export const stacks: readonly { readonly name: Adapter; readonly tcp: Tcp }[] = await Promise.all(
  ADAPTERS[runtime].map(async (name) => ({ name, tcp: await loadTcp(name) })),
);

/** Waits for something that is about to happen, and fails when it doesn't within ten seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
