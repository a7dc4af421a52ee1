/**
 * Temporary variants of deno.json. They lie beside it because a configuration's paths start at its folder.
 *
 * @module
 */
import { ROOT } from "./paths.ts";

/** Runs something with a changed copy of deno.json, whose path it is given, and removes the copy. */
export async function withConfig<T>(
  change: (config: Record<string, unknown>) => void,
  body: (path: string) => Promise<T>,
): Promise<T> {
  const config = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  change(config);
  const path = `${ROOT}/.deno.${Deno.pid}.${crypto.randomUUID().slice(0, 8)}.json`;
  await Deno.writeTextFile(path, JSON.stringify(config, undefined, 2));
  try {
    return await body(path);
  } finally {
    await Deno.remove(path);
  }
}
