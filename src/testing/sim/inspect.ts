/**
 * What a server says of itself at once: K6, and what follows from it.
 *
 * @module
 */
import type { RaftStatus } from "../../status.ts";
import type { Ghost } from "./ghost.ts";
import type { Life } from "./server.ts";

/** K6: what a server says of itself at once is what it knows. */
export function inspect(ghost: Ghost, life: Life): void {
  const raft = life.raft!;
  const { status } = raft;
  const metrics = raft.metrics();
  const { term, votedFor, commitIndex, log, role, leader, configurations } = life.core;
  const isOver = raft.state === "shutdown";
  const agrees = status.term === term && status.votedFor === votedFor && status.commitIndex === commitIndex &&
    status.lastIndex === log.lastIndex && (isOver || status.role === role) && raft.currentTerm === term &&
    raft.commitIndex === commitIndex && raft.lastIndex === log.lastIndex && metrics.term === term;
  ghost.must(agrees, "K6", () => `"${life.id}" says ${JSON.stringify(status)}, and is ${role} in ${term}`);
  const { appliedIndex, durableIndex, lastIndex, servers } = status;
  const isOrdered = appliedIndex <= commitIndex && commitIndex <= lastIndex && durableIndex <= lastIndex;
  ghost.must(isOrdered, "A1", () => `"${life.id}" says ${JSON.stringify(status)}`);
  const { proposalsPending, proposalsPendingBytes } = metrics;
  ghost.must(proposalsPending >= 0 && proposalsPendingBytes >= 0, "V6", () => {
    return `"${life.id}" counts ${proposalsPending} calls of ${proposalsPendingBytes} bytes`;
  });
  ghost.must((raft.leader?.id ?? leader) === leader, "K6", () => {
    return `"${life.id}" names "${raft.leader?.id}" and follows "${leader}"`;
  });
  const isKnown = servers.length > 0 || configurations.length === 0;
  ghost.must(isKnown && `${raft}` === `Raft ${life.id} [${raft.state}]`, "K6", () => `it is ${raft}`);
  inspectServers(ghost, life, status);
  inspectStats(ghost, life, status);
  inspectDoctor(ghost, life, status);
}

/** The servers in force, and when their leader was heard. */
function inspectServers(ghost: Ghost, { id, raft, core }: Life, { lastContactMs }: RaftStatus): void {
  const { index, committed, servers } = raft!.configuration;
  const known = core.configurations.at(-1);
  const isInForce = index === (known?.index ?? 0) && servers.length === (known?.configuration.servers.length ?? 0);
  ghost.must(isInForce && committed === (index <= core.commitIndex), "K6", () => {
    return `"${id}" says that ${servers.length} servers of ${index} are in force, and goes by ${known?.index}`;
  });
  const { lastContact, state } = raft!;
  const isOfLeader = state !== "leader" || lastContact === 0;
  ghost.must(isOfLeader && lastContact === lastContactMs && (lastContact ?? 0) >= 0, "K6", () => {
    return `"${id}" is ${state} and says that it heard its leader ${lastContact} and ${lastContactMs} ms ago`;
  });
}

/** Upstream's numbers are the status in other words. */
function inspectStats(ghost: Ghost, { id, raft, core }: Life, { appliedIndex }: RaftStatus): void {
  const stats = raft!.stats();
  const known = {
    term: core.term,
    last_log_index: core.log.lastIndex,
    commit_index: core.commitIndex,
    applied_index: appliedIndex,
    fsm_pending: core.commitIndex - appliedIndex,
    last_snapshot_index: core.snapshot.index,
    latest_configuration_index: core.configurations.at(-1)?.index ?? 0,
  };
  for (const [key, value] of Object.entries(known)) {
    const said = stats[key as keyof typeof known];
    ghost.must(said === `${value}`, "K6", () => `the stats of "${id}" say ${said} as ${key}, which is ${value}`);
  }
}

/** What is said to be wrong is so, and what is so is said. */
function inspectDoctor(ghost: Ghost, { id, raft, core }: Life, { isRemoved, servers, damaged }: RaftStatus): void {
  const { findings, healthy } = raft!.doctor();
  const isOver = raft!.state === "shutdown";
  const isPart = !isOver && !isRemoved;
  const expected = {
    "shutdown": isOver,
    "removed": !isOver && isRemoved,
    "no-configuration": isPart && servers.length === 0,
    "no-leader": isPart && servers.length > 0 && core.leader === undefined,
    "disk-damaged": !isOver && damaged.length > 0,
  };
  for (const [code, isSo] of Object.entries(expected)) {
    const isSaid = findings.some((finding) => finding.code === code);
    ghost.must(isSaid === isSo, "K6", () => `the doctor of "${id}" ${isSaid ? "says" : "is silent about"} ${code}`);
  }
  const hasTrouble = findings.some(({ severity }) => severity !== "info");
  ghost.must(healthy !== hasTrouble, "K6", () => {
    return `the doctor of "${id}" says ${healthy ? "" : "un"}healthy with ${JSON.stringify(findings)}`;
  });
}
