/**
 * Servers on the fake internet, all on one virtual clock.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { networkTransport } from "../../src/transport/network.ts";
import type { NetworkOptions } from "../../src/transport/network_options.ts";
import type { LocalServer } from "../../src/transport/transport.ts";
import { test } from "../harness.ts";
import { FakeInternet } from "./fake_layer.ts";
import { join, type Party } from "./party.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** See the module. */
export class World {
  readonly clock: VirtualClock = new VirtualClock();
  readonly internet: FakeInternet = new FakeInternet();
  readonly lines: string[] = [];
  readonly #parties: Party[] = [];

  /** Opens the server `id` at `id:1`. */
  async join(id: string, options: NetworkOptions = {}, local: Partial<LocalServer> = {}): Promise<Party> {
    const layer = this.internet.layer(`${id}:1`, undefined);
    const factory = networkTransport(layer, { clock: this.clock, random: () => 0.5, ...options });
    const party = await join(factory, id, local, (line) => this.lines.push(line));
    this.#parties.push(party);
    return party;
  }

  /** Two connected servers, `a` having dialled. */
  async pair(options: NetworkOptions = {}): Promise<readonly [Party, Party]> {
    const [a, b] = [await this.join("a", options), await this.join("b", options)];
    a.want("b");
    await this.clock.advance(0);
    b.want("a");
    assertEquals([a.calls, b.calls], [["connect b consensus"], ["connect a consensus"]]);
    return [a, b];
  }

  /** Closes all servers and looks for what they left behind. */
  async close(): Promise<void> {
    for (const { transport } of this.#parties) await transport.close();
    await this.clock.advance(0);
    assertEquals(this.clock.pendingCount, 0, "a timer outlives its transport");
    for (const ends of this.internet.pairs) {
      assert(ends.some((end) => end.isClosed), "a stream outlives its transport");
    }
  }
}

/** A test in a world of its own, which is closed and looked through afterwards. */
export function worldTest(name: string, body: (world: World) => Promise<void>): void {
  test(name, async () => {
    const world = new World();
    await body(world);
    await world.close();
  });
}
