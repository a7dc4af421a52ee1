import { assert, assertEquals } from "@std/assert";
import { readFile } from "node:fs/promises";
import * as fs from "../adapters/fs/mod.ts";
import * as library from "../mod.ts";
import { test } from "./harness.ts";
import { withCluster } from "./virtual_cluster.ts";

const docs = new URL("../docs/from-hashicorp-raft.md", import.meta.url);
const page = await readFile(docs, "utf8");
const [names = "", scenarios = ""] = page.split("## Upstream's scenarios");
const entry = await readFile(new URL("../mod.ts", import.meta.url), "utf8");

const linked = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map(([, name, path]) => ({ name: name!, path: path! }));

const sourceOf = (path: string) => readFile(new URL(path, docs), "utf8");

test("docs/from-hashicorp-raft.md: every name is exported, and declared where its link says", async () => {
  const symbols = linked(names, /\[`([\w.]+)`\]\(([^)]+)\)/g);
  assert(symbols.length > 100, `${symbols.length}`);
  for (const { name, path } of symbols) {
    const source = await sourceOf(path);
    if (name.startsWith("Raft.")) continue;
    const isDeclared = new RegExp(`export (abstract )?(async )?(function|class|interface|type|const) ${name}\\b`).test(
      source,
    );
    assertEquals([name, isDeclared], [name, true]);
    const isExported = name in library || name in fs || new RegExp(`\\b${name}\\b`).test(entry);
    assertEquals([name, isExported], [name, true]);
  }
});

test("docs/from-hashicorp-raft.md: every member is one of a running server", () =>
  withCluster(1, async (cluster) => {
    const raft = await cluster.leader();
    for (const { name } of linked(names, /\[`Raft\.(\w+)`\]\(([^)]+)\)/g)) {
      assertEquals([name, name in raft], [name, true]);
    }
  }));

/** What `test("…")` and its like are called with, a template's holes as `…`. */
function testNames(source: string): string[] {
  const calls = source.matchAll(/\b\w*[tT]est\(\s*(["`])((?:(?!\1).)*)\1/g);
  return [...calls].map(([, , name]) => name!.replace(/\$\{[^}]*\}/g, "…"));
}

test("docs/from-hashicorp-raft.md: every scenario is a test of that name", async () => {
  const tests = linked(scenarios, /\[([^\]]+)\]\(([^)]+\.(?:ts|txt))\)/g);
  assert(tests.length > 70, `${tests.length}`);
  assertEquals(tests.length, scenarios.match(/\]\(\.\.\/tests/g)?.length);
  for (const { name, path } of tests) {
    const source = await sourceOf(path);
    const isThere = path.endsWith(".txt")
      ? path.endsWith(`/${name.replace(/[ -]/g, "_")}.txt`)
      : testNames(source).includes(name);
    assertEquals([name, isThere], [name, true]);
  }
});

/** Every name of hashicorp/raft's v1.0.1 package page. */
const upstream = `
  BootstrapCluster HasExistingState RecoverCluster ValidateConfig DefaultConfig NewRaft ReadConfigJSON ReadPeersJSON
  NewInmemAddr NewInmemStore NewInmemSnapshotStore NewDiscardSnapshotStore NewFileSnapshotStore
  NewFileSnapshotStoreWithLogger NewLogCache NewInmemTransport NewInmemTransportWithTimeout NewNetworkTransport
  NewNetworkTransportWithConfig NewNetworkTransportWithLogger NewTCPTransport NewTCPTransportWithConfig
  NewTCPTransportWithLogger NewObserver
  Apply Barrier VerifyLeader AddVoter AddNonvoter DemoteVoter RemoveServer AddPeer RemovePeer GetConfiguration Snapshot
  Restore Leader LeaderCh State Stats LastContact LastIndex AppliedIndex String Shutdown RegisterObserver
  DeregisterObserver
  FSM FSMSnapshot LogStore StableStore SnapshotStore SnapshotSink SnapshotMeta Transport LoopbackTransport WithPeers
  WithClose StreamLayer TCPStreamLayer ServerAddressProvider AppendPipeline AppendFuture Future IndexFuture ApplyFuture
  ConfigurationFuture SnapshotFuture WithRPCHeader RPCHeader
  Raft Config Configuration Server ServerID ServerAddress ServerSuffrage Voter Nonvoter Staging
  ConfigurationChangeCommand AddStaging Promote Log LogType LogCommand LogNoop LogAddPeer LogRemovePeer LogBarrier
  LogConfiguration RaftState Follower Candidate ProtocolVersion ProtocolVersionMin ProtocolVersionMax SnapshotVersion
  SnapshotVersionMin SnapshotVersionMax AppendEntriesRequest AppendEntriesResponse RequestVoteRequest
  RequestVoteResponse InstallSnapshotRequest InstallSnapshotResponse RPC RPCResponse Observation Observer FilterFn
  LeaderObservation InmemStore InmemSnapshotStore InmemSnapshotSink InmemTransport DiscardSnapshotStore
  DiscardSnapshotSink FileSnapshotStore FileSnapshotSink NetworkTransport NetworkTransportConfig LogCache
  DefaultTimeoutScale
  ErrLeader ErrNotLeader ErrLeadershipLost ErrAbortedByRestore ErrRaftShutdown ErrEnqueueTimeout
  ErrNothingNewToSnapshot ErrUnsupportedProtocol ErrCantBootstrap ErrLogNotFound ErrPipelineReplicationNotSupported
  ErrTransportShutdown ErrPipelineShutdown
`.trim().split(/\s+/);

test("docs/from-hashicorp-raft.md: every name of the v1.0.1 page has a row, which says what it is here", () => {
  const rows = names.split("\n").filter((line) => line.startsWith("| `")).map((line) => line.split(" | "));
  const found = new Set(rows.flatMap(([left = ""]) => [...left.matchAll(/`(\w+)`/g)].map(([, name]) => name!)));
  assertEquals(upstream.filter((name) => !found.has(name)), []);
  for (const [left, right = ""] of rows) assert(right.length > 3, `${left} says nothing`);
});
