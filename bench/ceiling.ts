/**
 * The key-value example's routes on its machine, without Raft: what HTTP alone costs.
 *
 * @module
 */
import process from "node:process";
import { kvApp, type KvServer } from "../examples/kv/http.ts";
import { listenHttp } from "../examples/kv/listen.ts";
import { KvMachine } from "../examples/kv/machine.ts";

async function main(port: number): Promise<void> {
  const machine = new KvMachine();
  let index = 0;
  const alone = {
    applyEntry: ({ data }: Parameters<KvServer["applyEntry"]>[0]) => {
      index += 1;
      return Promise.resolve({ index, term: 1, result: machine.apply(data, { index, term: 1, timeMs: 0 }) });
    },
    read: <T>(query: () => T | Promise<T>) => Promise.resolve(query()),
    leader: undefined,
  };
  // It has no status and no metrics, and nobody asks for them.
  const raft = alone as unknown as KvServer;
  const server = await listenHttp(kvApp({ raft, machine }).fetch, { host: "127.0.0.1", port });
  process.stdout.write(`${JSON.stringify({ started: true })}\n`);
  process.stdin.on("end", () => void server.close(500).then(() => process.exit(0))).resume();
}

await main(Number(process.argv[2]));
