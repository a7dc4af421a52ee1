/**
 * A server of the replicated key-value store, on Deno, Bun and Node: `--help` says how to start it.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { createRaft, memoryStore, type Raft, type RaftOptions } from "@securecollc/raft";
import { fileStore } from "@securecollc/raft/fs";
import { formatHostPort } from "./address.ts";
import { HELP, type KvArgs, parseKvArgs, UsageError } from "./args.ts";
import { kvApp } from "./http.ts";
import { joinCluster } from "./join.ts";
import { type HttpServer, listenHttp, runtime } from "./listen.ts";
import { type Log, logEvents, loggerOf, logOf } from "./log.ts";
import { type Command, KvMachine, type Result } from "./machine.ts";
import { onStopSignal } from "./signals.ts";

// A clean stop takes at most 2 s: the leadership handed over, then what is under way on HTTP, then out.
const STOP_MAX_MS = 1_900;
const HTTP_GRACE_MS = 500;
// A server that was drained says whom to ask instead until nobody has come for a while.
const QUIET_STEP_MS = 50;
const QUIET_STEPS = 4;
const LINGER_STEPS_MAX = 20;

interface Running {
  readonly raft: Raft<Command, Result>;
  readonly http: HttpServer;
  readonly stopping: AbortController;
  /** Requests that have come. */
  readonly requestCount: () => number;
}

async function main(): Promise<void> {
  const args = readArgs();
  const log = logOf(args.id);
  let running: Running;
  try {
    running = await start(args, log);
  } catch (error) {
    log(`error: ${(error as Error).message}`);
    process.exit(1);
  }
  const stop = stopperOf(running, log);
  onStopSignal(stop);
  if (args.join !== undefined) void joinAs(args, args.join, running, log);
  if (args.stopWithStdin) process.stdin.on("end", () => stop("the end of the standard input")).resume();
  const error = await running.raft.closed;
  // Drained over HTTP, or stopping by a signal already.
  if (error === undefined && running.stopping.signal.aborted) return;
  if (error === undefined) {
    await untilQuiet(running);
    return stop("its own end");
  }
  log(`error: the server stopped by itself: ${error.message}`);
  process.exit(1);
}

async function joinAs({ listen, token }: KvArgs, member: string, { raft, stopping }: Running, log: Log): Promise<void> {
  try {
    await joinCluster({ member, raft, address: listen, token, log, signal: stopping.signal });
  } catch (error) {
    log(`error: ${(error as Error).message}`);
    process.exit(1);
  }
}

function readArgs(): KvArgs {
  try {
    const args = parseKvArgs(process.argv.slice(2), process.env);
    if (args !== undefined) return args;
    process.stdout.write(HELP);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\nTry --help\n`);
    process.exit(2);
  }
}

async function start(args: KvArgs, log: Log): Promise<Running> {
  const machine = new KvMachine();
  const raft = await createRaft<Command, Result>({
    id: args.id,
    machine,
    store: await storeOf(args),
    transport: await transportOf(args),
    ...args.join === undefined ? { bootstrap: args.cluster } : {},
    ...args.snapshotAfter === undefined ? {} : { snapshotThreshold: args.snapshotAfter },
    ...args.keepEntries === undefined ? {} : { trailingLogs: args.keepEntries },
    logger: loggerOf(log, args.verbose),
  });
  log(`role ${raft.state} in term ${raft.currentTerm}: started`);
  void logEvents(log, raft.events());
  const stopping = new AbortController();
  try {
    const app = kvApp({ raft, machine, token: args.token, signal: stopping.signal });
    const address = formatHostPort(args.http);
    let requests = 0;
    const fetch: typeof app.fetch = (request) => {
      requests++;
      return app.fetch(request);
    };
    const http = await listenHttp(fetch, args.http).catch((error) => throwListenError(error, address));
    log(`serving HTTP at http://${address}, servers at ${args.listen}, on ${runtime}`);
    return { raft, http, stopping, requestCount: () => requests };
  } catch (error) {
    await raft.shutdown();
    throw error;
  }
}

async function storeOf({ store, data }: KvArgs): Promise<RaftOptions<Command, Result>["store"]> {
  if (store === "wal") return fileStore(data);
  if (store === "memory") return memoryStore();
  if (runtime !== "deno") throw new Error("Cannot use --store kv without Deno: pass --store wal");
  await mkdir(data, { recursive: true });
  return (await import("@securecollc/raft/deno")).kvStore({ path: join(data, "kv.sqlite") });
}

async function transportOf({ id, listen, cluster }: KvArgs): Promise<RaftOptions<Command, Result>["transport"]> {
  const options = { listen, advertise: cluster[id]! };
  if (runtime === "deno") return (await import("@securecollc/raft/deno")).tcp(options);
  if (runtime === "bun") return (await import("@securecollc/raft/bun")).tcp(options);
  return (await import("@securecollc/raft/node")).tcp(options);
}

/** Stops in order when called first, at once when called again. */
function stopperOf(running: Running, log: Log): (why: string) => void {
  let isStopping = false;
  return (why) => {
    if (isStopping) {
      log(`stopped at once by ${why}`);
      process.exit(130);
    }
    isStopping = true;
    log(`stopping because of ${why}`);
    const timer = setTimeout(() => {
      log("error: stopping took too long, so it ends here");
      process.exit(1);
    }, STOP_MAX_MS);
    void stop(running).then(() => {
      clearTimeout(timer);
      log("stopped");
      process.exit(0);
    });
  };
}

/** Closed at once, the connections of clients who can't know yet would break before they are answered. */
async function untilQuiet({ requestCount, stopping }: Running): Promise<void> {
  let seen = requestCount();
  let quiet = 0;
  for (let step = 0; step < LINGER_STEPS_MAX && quiet < QUIET_STEPS && !stopping.signal.aborted; step++) {
    await new Promise((resolve) => setTimeout(resolve, QUIET_STEP_MS));
    quiet = requestCount() === seen ? quiet + 1 : 0;
    seen = requestCount();
  }
}

async function stop({ raft, http, stopping }: Running): Promise<void> {
  stopping.abort();
  // Requests under way get their answer from the shutdown, so both go on at once.
  await Promise.all([raft.shutdown(), http.close(HTTP_GRACE_MS)]);
}

/** The runtimes name it differently when a port is taken. */
function throwListenError(error: Error & { code?: string }, address: string): never {
  if (error.code !== "EADDRINUSE" && error.name !== "AddrInUse") throw error;
  const message =
    `Cannot listen at "${address}" as the port is in use: stop the program that uses it, or pass another --http`;
  throw new Error(message, { cause: error });
}

await main();
