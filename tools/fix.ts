/**
 * Repairs what a machine can: `deno task fix`.
 *
 * @module
 */
import { ROOT } from "./paths.ts";

for (const args of [["fmt"], ["lint", "--fix"]]) {
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).spawn().status;
  if (!success) Deno.exitCode = 1;
}
