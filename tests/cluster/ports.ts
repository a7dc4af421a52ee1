/**
 * Ports for servers that the tests start.
 *
 * @module
 */
import { createServer } from "node:net";
import { type Runtime, runtime } from "../harness.ts";

// Below what systems give to outgoing connections: one of those would take the port while its server is down. So would the
// suite on another runtime, which may run beside this one.
const COUNT = 3_000;
const FROM: number = 20_000 + COUNT * (["deno", "bun", "node"] satisfies Runtime[]).indexOf(runtime);

let next = Math.floor(Math.random() * COUNT);

/** So many ports on loopback that nobody listens on, each given once. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = FROM + next++ % COUNT;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
