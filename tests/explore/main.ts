/**
 * `deno task explore`: every state of a small cluster.
 *
 *     deno task explore [--full] [--servers 3] [--terms 2] [--entries 2] … [--jobs 2] [--replay n.n.…]
 *
 * Exit status: 0 exhausted, 1 a violation, 2 wrong options, 3 it did not come to an end (which
 * proves nothing about the rest).
 *
 * @module
 */
import process from "node:process";
import { run } from "./run.ts";

process.exitCode = await run(process.argv.slice(2), console.log);
