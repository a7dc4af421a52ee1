/**
 * Routes that change the servers.
 *
 * @module
 */
import type { AddOptions, ChangeOptions, ConfigurationChange } from "../../mod.ts";
import { BadRequest } from "./problem.ts";
import type { Asked, Fields, Route } from "./route.ts";
import type { AdminTarget } from "./target.ts";

const change: Fields = {
  prevIndex: { type: "index", text: "Only when the configuration in force is the one of this index." },
  force: { type: "boolean", text: "Also when too few of the servers answer to commit anything afterwards." },
};

const server: Fields = {
  id: { type: "string", text: "The server's id.", isRequired: true },
  address: { type: "string", text: "Where it is dialled.", isRequired: true },
  suffrage: { type: "string", text: "What it may do. By default a voter.", values: ["voter", "nonvoter"] },
  priority: { type: "index", text: "Who is to lead; 0 never does." },
};

/** Those routes. */
export const serverRoutes: readonly Route[] = [
  {
    ...{ method: "POST", path: "/servers", summary: "Adds a server; answers when it votes, or gets the log." },
    body: { ...server, ...change },
    answer: ({ raft, given, signal }) => {
      const { id, address, suffrage, priority } = given;
      const options = { ...optionsOf({ given, signal }), priority } as AddOptions;
      const add = suffrage === "nonvoter" ? "addNonvoter" : "addVoter";
      return raft[add](id as string, address as string, options);
    },
  },
  {
    ...{ method: "DELETE", path: "/servers/:id", summary: "Takes a server out of the cluster." },
    query: change,
    answer: ({ raft, id, ...asked }) => raft.removeServer(id, optionsOf(asked)),
  },
  {
    ...{ method: "POST", path: "/servers/:id/promote", summary: "Makes a server of the cluster a voter." },
    body: change,
    answer: ({ raft, id, ...asked }) => raft.addVoter(id, addressOf(raft, id), optionsOf(asked)),
  },
  {
    ...{ method: "POST", path: "/servers/:id/demote", summary: "Takes a server's vote; it stays as a nonvoter." },
    body: change,
    answer: ({ raft, id, ...asked }) => {
      addressOf(raft, id);
      return raft.demoteVoter(id, optionsOf(asked));
    },
  },
  {
    ...{
      method: "POST",
      path: "/membership",
      summary: "Several changes as one, each `{ type, id, address?, priority? }`.",
    },
    body: {
      changes: { type: "array", text: "add-voter, add-nonvoter, demote-voter, remove-server.", isRequired: true },
      ...change,
    },
    answer: ({ raft, ...asked }) => raft.changeMembership(changesOf(asked.given.changes), optionsOf(asked)),
  },
];

function optionsOf({ given: { prevIndex, force }, signal }: Pick<Asked, "given" | "signal">): ChangeOptions {
  return { prevIndex, force, signal } as ChangeOptions;
}

function addressOf({ configuration }: AdminTarget, id: string): string {
  const server = configuration.servers.find((server) => server.id === id);
  if (server !== undefined) return server.address;
  throw new BadRequest(`Cannot find the server ${JSON.stringify(id)} in the configuration`, 404, "no-such-server");
}

/** Checked for their types; what they say is for the library to judge. */
function changesOf(changes: unknown): ConfigurationChange[] {
  return (changes as unknown[]).map((change) => {
    const { type, id, address, priority } = Object(change) as Record<string, unknown>;
    const adds = type === "add-voter" || type === "add-nonvoter";
    if (typeof type !== "string" || typeof id !== "string" || adds !== (typeof address === "string")) {
      throw new BadRequest(
        "Cannot make the changes as each must be { type, id }, with an address where a server is added",
      );
    }
    return (adds ? { type, id, address, priority } : { type, id }) as ConfigurationChange;
  });
}
