/**
 * A network between servers that does what a test says: every connection of theirs goes through here, and which server
 * is at its other end is read from what that says first.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";

/** From one server to another; either may be anybody. */
export interface Direction {
  readonly from?: string;
  readonly to?: string;
}

/** Where a server is dialled, and where it listens. */
export interface Route {
  readonly id: string;
  /** What the others dial. */
  readonly port: number;
  readonly target: number;
}

/** One direction of one connection. Bytes are late or wait, in order; they never get lost, as TCP would send them again. */
class Flow {
  readonly #to: Socket;
  #queue: { readonly dueAt: number; readonly bytes: Uint8Array }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  isHeld = false;
  delayMs = 0;

  constructor(to: Socket) {
    this.#to = to;
  }

  push(bytes: Uint8Array): void {
    this.#queue.push({ dueAt: performance.now() + this.delayMs, bytes });
    this.pass();
  }

  /** Lets go what may go now. */
  pass(): void {
    clearTimeout(this.#timer);
    while (!this.isHeld && this.#queue.length > 0) {
      const waitMs = this.#queue[0]!.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pass(), Math.ceil(waitMs));
        return;
      }
      this.#to.write(this.#queue.shift()!.bytes);
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }
}

/** One connection: who dialled is not known before it has said so. */
interface Pair {
  readonly sockets: readonly [dialling: Socket, dialled: Socket];
  readonly flows: readonly [toDialled: Flow, toDialling: Flow];
  readonly to: string;
  from: string | undefined;
}

/** All connections between some servers. */
export class Proxy {
  readonly #ids: readonly string[];
  readonly #servers: Server[] = [];
  readonly #pairs = new Set<Pair>();
  /** In force, also for connections to come. */
  readonly #held = new Set<Direction>();
  readonly #delays = new Map<Direction, number>();
  /** Connections that were made so far. */
  connections = 0;
  /** Connections that there are now. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Bytes that had to wait behind a blackhole. */
  heldBytes = 0;

  private constructor(ids: readonly string[]) {
    this.#ids = ids;
  }

  /** Listens on all routes. */
  static async open(routes: readonly Route[]): Promise<Proxy> {
    const proxy = new Proxy(routes.map(({ id }) => id));
    for (const { id, port, target } of routes) {
      const server = createServer((socket) => proxy.#accept(socket, id, target));
      proxy.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, "127.0.0.1", resolve);
      });
    }
    return proxy;
  }

  /** Nothing arrives in this direction until the returned function is called; the other one goes on. */
  blackhole(direction: Direction): () => void {
    this.#held.add(direction);
    this.#apply();
    return () => {
      this.#held.delete(direction);
      this.#apply();
    };
  }

  /** Everything in this direction takes so much longer, until the returned function is called. */
  delay(direction: Direction, ms: number): () => void {
    this.#delays.set(direction, ms);
    this.#apply();
    return () => {
      this.#delays.delete(direction);
      this.#apply();
    };
  }

  /** Breaks all connections, or those between two servers, with whatever is on its way. Gives how many. */
  reset(between?: readonly [string, string]): number {
    const isMeant = ({ from, to }: Pair) =>
      between === undefined || (between.includes(from ?? "") && between.includes(to));
    const pairs = [...this.#pairs].filter(isMeant);
    for (const pair of pairs) this.#end(pair, true);
    return pairs.length;
  }

  /** Ends everything. */
  close(): void {
    for (const server of this.#servers) server.close();
    for (const pair of [...this.#pairs]) this.#end(pair, true);
  }

  #accept(dialling: Socket, to: string, target: number): void {
    const dialled = connect(target, "127.0.0.1");
    const pair: Pair = {
      sockets: [dialling, dialled],
      flows: [new Flow(dialled), new Flow(dialling)],
      to,
      from: undefined,
    };
    this.#pairs.add(pair);
    this.connections++;
    for (const [i, socket] of pair.sockets.entries()) {
      socket.setNoDelay(true);
      socket.on("data", (bytes: Uint8Array) => {
        if (i === 0) this.#meet(pair, bytes);
        const flow = pair.flows[i]!;
        if (flow.isHeld) this.heldBytes += bytes.length;
        flow.push(bytes);
      });
      socket.on("error", () => this.#end(pair, true));
      socket.on("close", () => this.#end(pair, false));
    }
  }

  /** The hello names both ends. */
  #meet(pair: Pair, bytes: Uint8Array): void {
    if (pair.from !== undefined) return;
    const text = new TextDecoder("latin1").decode(bytes);
    pair.from = this.#ids.find((id) => id !== pair.to && text.includes(id));
    this.#apply();
  }

  #apply(): void {
    for (const { from, to, flows } of this.#pairs) {
      if (from === undefined) continue;
      for (const [i, flow] of flows.entries()) {
        const ends = i === 0 ? [from, to] as const : [to, from] as const;
        flow.isHeld = [...this.#held].some((direction) => isMeant(direction, ends));
        flow.delayMs = Math.max(0, ...[...this.#delays].filter(([it]) => isMeant(it, ends)).map(([, ms]) => ms));
        flow.pass();
      }
    }
  }

  #end(pair: Pair, isBroken: boolean): void {
    if (!this.#pairs.delete(pair)) return;
    for (const flow of pair.flows) flow.end();
    for (const socket of pair.sockets) {
      if (isBroken) socket.resetAndDestroy();
      else socket.destroy();
    }
  }
}

function isMeant({ from, to }: Direction, [source, target]: readonly [string, string]): boolean {
  return (from === undefined || from === source) && (to === undefined || to === target);
}
