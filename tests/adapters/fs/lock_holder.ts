/** A process that takes the lock of the directory it is given, says how that went, and stays until it is killed. */
import process from "node:process";
import { lockDirectory } from "../../../adapters/fs/lock.ts";

try {
  await lockDirectory(process.argv[2]);
  console.log("locked");
} catch (error) {
  console.log((error as Error).name);
}
process.stdin.resume();
