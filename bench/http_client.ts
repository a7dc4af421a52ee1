/**
 * The HTTP client that drives every store that is measured over HTTP.
 *
 * @module
 */
import { Agent, request } from "node:http";

/** One answer. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Keep-alive, and as many connections as there are calls under way. */
export class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2048 });

  /** One request. Rejects when no answer came in time. */
  call(method: string, port: number, path: string, body?: Uint8Array, timeoutMs = 10_000): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ agent: this.#agent, host: "127.0.0.1", port, method, path, timeout: timeoutMs });
      outgoing.on("response", (incoming) => {
        let text = "";
        incoming.setEncoding("latin1");
        incoming.on("data", (chunk: string) => text += chunk);
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body: text }));
        incoming.on("error", reject);
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error("timed out")));
      outgoing.on("error", reject);
      if (body !== undefined) {
        outgoing.setHeader("content-length", body.length);
        outgoing.write(body);
      }
      outgoing.end();
    });
  }

  /** Closes all connections. */
  close(): void {
    this.#agent.destroy();
  }
}

/** Rejects unless the answer is one of a store that works. */
export async function expectOk(answer: Promise<Answer>): Promise<void> {
  const { status, body } = await answer;
  if (status !== 200 && status !== 404) throw new Error(`Unexpected answer ${status}: ${body}`);
}
