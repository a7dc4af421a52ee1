/**
 * `deno task scenarios`: runs scenario scripts outside the suite, or records anew what they lead to; then read the
 * difference.
 *
 *     deno task scenarios [--rewrite] [name …]
 *
 * Exit status: 0 all as recorded, 1 a script failed, 2 wrong arguments.
 *
 * @module
 */
import process from "node:process";
import { run } from "./run.ts";

process.exitCode = run(process.argv.slice(2), console.log);
