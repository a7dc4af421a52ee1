import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { formatHostPort, parseHostPort } from "../../../examples/kv/address.ts";
import { HELP, parseKvArgs, UsageError } from "../../../examples/kv/args.ts";
import { test } from "../../harness.ts";

const CLUSTER = "n1=127.0.0.1:7001,n2=127.0.0.1:7002,n3=127.0.0.1:7003";

test("parseKvArgs() reads the command line of the README", () => {
  const line = `--id n2 --listen 127.0.0.1:7002 --http 127.0.0.1:8002 --data ./data/n2 --cluster ${CLUSTER}`;
  const args = parseKvArgs(line.split(" "), {})!;
  assertEquals({ ...args, cluster: { ...args.cluster } }, {
    id: "n2",
    listen: "127.0.0.1:7002",
    http: { host: "127.0.0.1", port: 8002 },
    data: "./data/n2",
    store: "wal",
    cluster: { n1: "127.0.0.1:7001", n2: "127.0.0.1:7002", n3: "127.0.0.1:7003" },
    join: undefined,
    token: undefined,
    snapshotAfter: undefined,
    keepEntries: undefined,
    verbose: false,
    stopWithStdin: false,
  });
});

test("parseKvArgs() needs no more than an id", () => {
  const { listen, http, data, cluster } = parseKvArgs(["--id", "n1"], {})!;
  assertEquals([listen, http.host, http.port, data], ["127.0.0.1:7001", "127.0.0.1", 8001, "data/n1"]);
  assertEquals({ ...cluster }, { n1: "127.0.0.1:7001" });
});

test("parseKvArgs() listens where the cluster expects the server", () => {
  assertEquals(parseKvArgs(["--id", "n3", "--cluster", CLUSTER], {})!.listen, "127.0.0.1:7003");
});

test("parseKvArgs() reads which member is to add the server", () => {
  const own = ["--id", "n4", "--listen", "127.0.0.1:7004"];
  assertEquals(parseKvArgs([...own, "--join", "http://127.0.0.1:8001/"], {})!.join, "http://127.0.0.1:8001");
  for (const url of ["127.0.0.1:8001", "ftp://127.0.0.1", "http://127.0.0.1/raft", ""]) {
    assertThrows(() => parseKvArgs([...own, "--join", url], {}), UsageError, "for --join");
  }
  const join = ["--join", "http://127.0.0.1:8001"];
  assertThrows(() => parseKvArgs(["--id", "n1", ...join, "--cluster", CLUSTER], {}), UsageError, "together");
  assertThrows(() => parseKvArgs(["--id", "n1", ...join], {}), UsageError, "without --listen");
});

test("parseKvArgs() takes the token from the environment", () => {
  const at = ["--id", "n1", "--http", "0.0.0.0:80"];
  assertEquals(parseKvArgs(at, { KV_TOKEN: "secret" })!.token, "secret");
  assertEquals(parseKvArgs([...at, "--token", "other"], { KV_TOKEN: "secret" })!.token, "other");
});

test("parseKvArgs() reads when snapshots are taken", () => {
  const { snapshotAfter, keepEntries } = parseKvArgs("--id n1 --snapshot-after 1 --keep-entries 0".split(" "), {})!;
  assertEquals([snapshotAfter, keepEntries], [1, 0]);
});

test("parseKvArgs() takes each kind of store", () => {
  for (const kind of ["wal", "kv", "memory"]) {
    assertEquals(parseKvArgs(["--id", "n1", "--store", kind], {})!.store, kind);
  }
});

test("parseKvArgs() knows when help is asked for", () => {
  assertEquals(parseKvArgs(["--help"], {}), undefined);
  assertEquals(parseKvArgs(["-h"], {}), undefined);
  for (
    const option of [
      "--id",
      "--listen",
      "--http",
      "--data",
      "--cluster",
      "--token",
      "--snapshot-after",
      "--keep-entries",
    ]
  ) {
    assertStringIncludes(HELP, `\n  ${option} <`);
  }
  assertEquals(HELP.split("\n").filter((line) => line.length > 110), []);
});

test("parseKvArgs() says what is wrong and what to do", () => {
  const cases: [string, string][] = [
    ["", "Cannot start without --id: pass one like --id n1"],
    ["--id", "Cannot read the command line"],
    ["--id n1 extra", "Cannot read the command line"],
    ["--id n1 --prot 1", "Cannot read the command line"],
    ["--id n/1", 'Cannot use the id "n/1"'],
    [`--id ${"n".repeat(65)}`, "Cannot use the id"],
    [`--id n4 --cluster ${CLUSTER}`, 'Cannot start "n4" as it is not in --cluster, which has n1, n2, n3'],
    ["--id n1 --snapshot-after 0", 'Cannot use "0" for --snapshot-after: it must be a whole number from 1'],
    ["--id n1 --keep-entries 1.5", 'Cannot use "1.5" for --keep-entries: it must be a whole number from 0'],
    ["--id n1 --cluster n1", 'Cannot read "n1" in --cluster: each server is <id>=<host>:<port>'],
    ["--id n1 --cluster n1=h:1,", 'Cannot read "" in --cluster'],
    ["--id n1 --cluster n1=h", 'Cannot use "h" for --cluster'],
    ["--id n1 --cluster n1=h:1,n1=h:2", "repeats an id or address"],
    ["--id n1 --cluster n1=h:1,n2=h:1", "repeats an id or address"],
    ["--id n1 --listen 7001", 'Cannot use "7001" for --listen'],
    ["--id n1 --http 8001", 'Cannot use "8001" for --http: it must be <host>:<port>'],
    ["--id n1 --http 0.0.0.0:8001", "Cannot serve on 0.0.0.0 without --token"],
    ["--id n1 --http [::]:8001", "Cannot serve on :: without --token"],
    ["--id n1 --http example.org:8001", "Cannot serve on example.org without --token"],
    ["--id n1 --http 128.0.0.1:8001", "without --token"],
    ["--id n1 --store disk", 'Cannot use "disk" for --store: it must be wal, kv or memory'],
    ["--id n1 --token a,b", "Cannot use the token"],
  ];
  for (const [line, message] of cases) {
    assertThrows(() => parseKvArgs(line.split(" ").filter((word) => word !== ""), {}), UsageError, message);
  }
});

test("parseKvArgs() serves on loopback without a token", () => {
  for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"]) {
    assertEquals(parseKvArgs(["--id", "n1", "--http", `${host}:8001`], {})!.token, undefined);
  }
});

test("parseHostPort() takes names, IPv4 and IPv6 in brackets", () => {
  assertEquals(parseHostPort("localhost:1"), { host: "localhost", port: 1 });
  assertEquals(parseHostPort("10.0.0.1:65535"), { host: "10.0.0.1", port: 65535 });
  assertEquals(parseHostPort("[fe80::1]:80"), { host: "fe80::1", port: 80 });
  for (
    const text of ["", ":80", "h:", "h:0", "h:65536", "h:1x", "::1:80", "[::1]", "a b:1", "http://h:1", "h:1/", "[h:1"]
  ) {
    assertEquals(parseHostPort(text), undefined, text);
  }
});

test("formatHostPort() writes what parseHostPort() reads", () => {
  for (const text of ["localhost:1", "[::1]:80"]) assertEquals(formatHostPort(parseHostPort(text)!), text);
});
