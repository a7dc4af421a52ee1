/**
 * The command line of a server.
 *
 * @module
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type HostPort, isLoopback, parseHostPort } from "./address.ts";

/** How a server is started. */
export interface KvArgs {
  readonly id: string;
  /** Where it listens for the other servers. */
  readonly listen: string;
  /** Where it listens for clients. */
  readonly http: HostPort;
  /** Its directory. */
  readonly data: string;
  /** What keeps the log, the vote and the snapshots. */
  readonly store: "wal" | "kv" | "memory";
  /** Every server's id and the address the others dial it at. */
  readonly cluster: Readonly<Record<string, string>>;
  /** A member that is to add this server to its cluster, which then has no first configuration of its own. */
  readonly join: string | undefined;
  readonly token: string | undefined;
  /** Entries between two snapshots, and entries kept behind one; undefined for the library's defaults. */
  readonly snapshotAfter: number | undefined;
  readonly keepEntries: number | undefined;
  readonly verbose: boolean;
  readonly stopWithStdin: boolean;
}

/** A command line that can't be used: the message is for who typed it. */
export class UsageError extends Error {}

/** What `--help` prints. */
export const HELP: string = `A replicated key-value server: start three, and one may die.

Usage: deno run -A examples/kv/main.ts --id n1 [options]
       bun examples/kv/main.ts --id n1 [options]
       node examples/kv/main.ts --id n1 [options]

Options:
  --id <id>            This server's id, for all time: letters, digits, dots, dashes, underscores.
  --listen <address>   Where to listen for the other servers. Default: its address in --cluster,
                       else 127.0.0.1:7001.
  --http <address>     Where to listen for clients. Default: 127.0.0.1:8001.
  --data <directory>   Where to keep the log and snapshots. Default: ./data/<id>.
  --store <kind>       What keeps them: wal, a write-ahead log in files; kv, a database of Deno KV in that
                       directory (Deno only); memory, for trying out: lost with the process, so do not
                       start a server again while the others of its cluster run. Default: wal.
  --cluster <servers>  All servers, this one among them, as the others reach them:
                       n1=10.0.0.1:7001,n2=10.0.0.2:7001,n3=10.0.0.3:7001. The same for every server
                       and at every start, also when servers have joined or left since.
                       Default: this one alone.
  --join <url>         Instead of --cluster: ask this member of a cluster, like http://10.0.0.1:8001, to add
                       this server, again and again until it votes. With the members' --token, if any.
                       --listen must then be the address at which they reach this server.
  --token <token>      What clients must send: Authorization: Bearer <token>. Needed when --http is not
                       on loopback. The variable KV_TOKEN does the same, unseen in the list of processes.
  --snapshot-after <entries>
                       Take a snapshot when so many entries were applied since the last. Default: 8192.
  --keep-entries <entries>
                       Entries that stay in the log behind a snapshot. Default: 10240.
  --verbose            Log more.
  --stop-with-stdin    Stop when the standard input ends: for programs that start servers.
  --help               Print this.

Three servers on one machine, each in its own terminal:
  C=n1=127.0.0.1:7001,n2=127.0.0.1:7002,n3=127.0.0.1:7003
  deno run -A examples/kv/main.ts --id n1 --http 127.0.0.1:8001 --cluster $C
  deno run -A examples/kv/main.ts --id n2 --http 127.0.0.1:8002 --cluster $C
  deno run -A examples/kv/main.ts --id n3 --http 127.0.0.1:8003 --cluster $C

A fourth one for that cluster:
  deno run -A examples/kv/main.ts --id n4 --http 127.0.0.1:8004 --listen 127.0.0.1:7004 \\
    --join http://127.0.0.1:8001

Then, with any of them:
  curl -X PUT --data-binary hello http://127.0.0.1:8001/kv/greeting
  curl http://127.0.0.1:8002/kv/greeting
  curl http://127.0.0.1:8003/raft/status

Ctrl-C stops a server in order, a second one at once.
`;

/**
 * Reads the command line.
 *
 * @returns Undefined when help was asked for.
 * @throws {UsageError} When it can't be used.
 */
export function parseKvArgs(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): KvArgs | undefined {
  const values = parse(args);
  if (values.help === true) return undefined;
  const id = values.id;
  if (id === undefined) throw new UsageError("Cannot start without --id: pass one like --id n1");
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(id)) {
    throw new UsageError(`Cannot use the id "${id}": it must be 1 to 64 letters, digits, dots, dashes or underscores`);
  }
  if (values.listen !== undefined) parseAddress("--listen", values.listen);
  const member = parseJoin(values);
  const cluster = parseCluster(values.cluster ?? `${id}=${values.listen ?? "127.0.0.1:7001"}`);
  if (!Object.hasOwn(cluster, id)) {
    throw new UsageError(
      `Cannot start "${id}" as it is not in --cluster, which has ${Object.keys(cluster).join(", ")}`,
    );
  }
  const http = parseAddress("--http", values.http ?? "127.0.0.1:8001");
  const token = values.token ?? env.KV_TOKEN;
  checkToken(token, http);
  return {
    id,
    listen: values.listen ?? cluster[id]!,
    http,
    data: values.data ?? join("data", id),
    store: parseStore(values.store ?? "wal"),
    cluster,
    join: member,
    token,
    snapshotAfter: parseCount("--snapshot-after", values["snapshot-after"], 1),
    keepEntries: parseCount("--keep-entries", values["keep-entries"], 0),
    verbose: values.verbose === true,
    stopWithStdin: values["stop-with-stdin"] === true,
  };
}

interface Values {
  readonly id?: string;
  readonly listen?: string;
  readonly http?: string;
  readonly data?: string;
  readonly store?: string;
  readonly cluster?: string;
  readonly join?: string;
  readonly token?: string;
  readonly "snapshot-after"?: string;
  readonly "keep-entries"?: string;
  readonly verbose?: boolean;
  readonly "stop-with-stdin"?: boolean;
  readonly help?: boolean;
}

function parse(args: readonly string[]): Values {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const options = {
    ...{ id: text, listen: text, http: text, data: text, store: text, cluster: text, token: text },
    join: text,
    ...{ "snapshot-after": text, "keep-entries": text },
    ...{ verbose: flag, "stop-with-stdin": flag, help: { ...flag, short: "h" } },
  };
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    // The three runtimes word it differently; the first sentence says what is wrong.
    const [what] = (error as Error).message.split(". ");
    throw new UsageError(`Cannot read the command line: ${what}`);
  }
}

function parseCount(name: string, text: string | undefined, min: number): number | undefined {
  if (text === undefined) return undefined;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (count < min) throw new UsageError(`Cannot use "${text}" for ${name}: it must be a whole number from ${min}`);
  return count;
}

function parseCluster(text: string): Record<string, string> {
  const cluster: Record<string, string> = Object.create(null);
  const idOf = new Map<string, string>();
  for (const part of text.split(",")) {
    const [, id, address] = /^([A-Za-z0-9._-]{1,64})=(.+)$/.exec(part.trim()) ?? [];
    if (id === undefined || address === undefined) {
      throw new UsageError(
        `Cannot read "${part}" in --cluster: each server is <id>=<host>:<port>, with commas between them`,
      );
    }
    parseAddress("--cluster", address);
    const other = id in cluster ? id : idOf.get(address);
    if (other !== undefined) {
      throw new UsageError(`Cannot use --cluster as "${id}=${address}" repeats an id or address`);
    }
    cluster[id] = address;
    idOf.set(address, id);
  }
  return cluster;
}

function parseJoin({ join, cluster, listen }: Values): string | undefined {
  if (join === undefined) return undefined;
  if (cluster !== undefined) {
    throw new UsageError("Cannot use --join and --cluster together: the cluster is the member's");
  }
  if (listen === undefined) {
    throw new UsageError("Cannot use --join without --listen: the members must reach this server");
  }
  const url = URL.canParse(join) ? new URL(join) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === "/") return url.origin;
  throw new UsageError(`Cannot use "${join}" for --join: it must be http://<host>:<port>`);
}

function parseStore(text: string): KvArgs["store"] {
  if (text === "wal" || text === "kv" || text === "memory") return text;
  throw new UsageError(`Cannot use "${text}" for --store: it must be wal, kv or memory`);
}

function parseAddress(name: string, text: string): HostPort {
  const address = parseHostPort(text);
  if (address !== undefined) return address;
  throw new UsageError(`Cannot use "${text}" for ${name}: it must be <host>:<port>, like 127.0.0.1:8001 or [::1]:8001`);
}

function checkToken(token: string | undefined, http: HostPort): void {
  if (token !== undefined && !/^[A-Za-z0-9._~+/-]+=*$/.test(token)) {
    throw new UsageError("Cannot use the token: it must be letters, digits and the characters ._~+/- and then any =");
  }
  if (token !== undefined || isLoopback(http.host)) return;
  throw new UsageError(
    `Cannot serve on ${http.host} without --token: anybody who reaches it could read and write. Pass --token, or 127.0.0.1`,
  );
}
