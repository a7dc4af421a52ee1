/**
 * The HTTP client that drives every store that is measured over HTTP: HTTP/1.1 over kept connections, one request at a
 * time on each, and no more than a load needs. The runtimes' own clients cost more than the servers that they would
 * measure.
 *
 * @module
 */
import { connect, type Socket } from "node:net";
import { AnswerParser } from "./http_answer.ts";

/** One answer. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** As many connections per port as there are calls under way. */
export class Client {
  readonly #idle = new Map<number, Connection[]>();
  readonly #all = new Set<Connection>();

  /** One request. Rejects when no answer came in time. */
  async call(method: string, port: number, path: string, body?: Uint8Array, timeoutMs = 10_000): Promise<Answer> {
    let idle = this.#idle.get(port);
    if (idle === undefined) this.#idle.set(port, idle = []);
    const connection = idle.pop() ?? this.#open(port);
    const answer = await connection.ask(method, path, body, timeoutMs);
    if (connection.isOpen) idle.push(connection);
    return answer;
  }

  /** Closes all connections; calls under way reject. */
  close(): void {
    for (const connection of this.#all) connection.close();
  }

  #open(port: number): Connection {
    const connection = new Connection(port, () => {
      this.#all.delete(connection);
      const idle = this.#idle.get(port)!;
      if (idle.includes(connection)) idle.splice(idle.indexOf(connection), 1);
    });
    this.#all.add(connection);
    return connection;
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #host: string;
  readonly #parser = new AnswerParser();
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;
  isOpen = true;

  constructor(port: number, onClose: () => void) {
    this.#host = `127.0.0.1:${port}`;
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (text: string) => this.#take(text));
    this.#socket.on("error", (error) => this.#end(error));
    this.#socket.on("close", () => {
      this.#end(new Error("the connection was closed"));
      onClose();
    });
  }

  ask(method: string, path: string, body: Uint8Array | undefined, timeoutMs: number): Promise<Answer> {
    const length = body === undefined ? "" : `content-length: ${body.length}\r\n`;
    const head = `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n${length}\r\n`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#end(new Error("timed out")), timeoutMs);
      this.#waiting = {
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#socket.write(body === undefined ? head : joined(head, body));
    });
  }

  close(): void {
    this.#end(new Error("the client was closed"));
  }

  #take(text: string): void {
    let answer: Answer | undefined;
    try {
      answer = this.#parser.take(text);
    } catch (error) {
      return this.#end(error as Error);
    }
    if (answer === undefined) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (this.#parser.isLast) this.#end(new Error("the server closes the connection"));
    waiting?.resolve(answer);
  }

  #end(error: Error): void {
    this.isOpen = false;
    this.#socket.destroy();
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

const encoder = new TextEncoder();

/** Both in one write: two would be two packets. */
function joined(head: string, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.length + body.length);
  encoder.encodeInto(head, bytes);
  bytes.set(body, head.length);
  return bytes;
}

/** Rejects unless the answer is one of a store that works. */
export async function expectOk(answer: Promise<Answer>): Promise<void> {
  const { status, body } = await answer;
  if (status !== 200 && status !== 404) throw new Error(`Unexpected answer ${status}: ${body}`);
}
