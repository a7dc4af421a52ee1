/**
 * The file that recovers a cluster which has lost its quorum.
 *
 * @module
 */
import * as fs from "node:fs/promises";
import { join } from "node:path";
import type { RecoverySource } from "../../src/store/store.ts";
import { directoryFiles } from "./files.ts";

/** As Consul calls it. */
const NAME = "peers.json";

/** The name that it gets, so that it is applied once and one can see later that it was. */
const APPLIED_NAME = "peers.json.applied";

/** The file in this directory, if there is one. */
export function peersFile(directory: string): RecoverySource {
  const name = join(directory, NAME);
  return {
    name,
    async read() {
      try {
        return await fs.readFile(name, "utf8");
      } catch (error) {
        if ((error as { code?: string }).code === "ENOENT") return undefined;
        throw error;
      }
    },
    async done() {
      const files = directoryFiles(directory);
      await files.rename(NAME, APPLIED_NAME);
      await files.syncDirectory();
    },
  };
}
