/**
 * A violation step by step.
 *
 * @module
 */
import { messageText } from "../scenarios/format.ts";
import type { Bounds } from "./bounds.ts";
import { type Local, type LocalEvent, names, termOf } from "./model.ts";
import { type Action, Space, type State } from "./space.ts";
import { realStep } from "./stepper.ts";
import type { StepCore } from "../core/cluster.ts";

/** What replaying showed. */
export interface Replay {
  /** One line for each action, each followed by what it changed. */
  readonly lines: readonly string[];
  /** What broke, undefined when nothing did. */
  readonly broken: string | undefined;
}

/**
 * Takes the actions of those numbers, one after the other.
 *
 * @throws {RangeError} When there is no action of such a number: the trace is of other bounds or another core.
 */
export function replay(bounds: Bounds, choices: readonly number[], stepCore: StepCore = realStep): Replay {
  const space = new Space(bounds, stepCore);
  const lines: string[] = [];
  let state = space.first();
  for (const [i, choice] of choices.entries()) {
    const action = space.orderedActions(state)[choice];
    if (action === undefined) throw new RangeError(`step ${i + 1} has no action ${choice}`);
    lines.push(`${i + 1}. ${actionText(action)}`);
    try {
      const next = space.after(state, action) ?? state;
      lines.push(...changes(space, state, next, action.server));
      space.judge(next, action.server);
      state = next;
    } catch (error) {
      return { lines, broken: (error as Error).message };
    }
  }
  return { lines, broken: undefined };
}

function actionText({ server, event, duplicates }: Action): string {
  return `${eventText(names[server]!, event)}${duplicates ? " (a copy stays under way)" : ""}`;
}

function eventText(id: string, event: LocalEvent): string {
  if (event.type === "propose") return `propose ${id}`;
  if (event.type === "transfer") return `transfer ${id}->${event.to}`;
  if (event.type !== "deliver") return `${event.type} ${id}`;
  const { from, to, message } = event.packet;
  return `deliver ${from}->${to} ${messageText(message)}${event.lapsed ? " (its leader has long been silent)" : ""}`;
}

function changes(space: Space, before: State, after: State, server: number): string[] {
  const lines = [`     ${localText(space.locals.items[after.locals[server]!]!)}`];
  const rest = [...before.packets];
  for (const packet of after.packets) {
    const at = rest.indexOf(packet);
    if (at >= 0) rest.splice(at, 1);
    else {
      const { from, to, message } = space.packets.items[packet]!;
      lines.push(`     ${from} -> ${to} ${messageText(message)}`);
    }
  }
  return lines;
}

function localText({ core, log, disk, writes }: Local): string {
  const { id, role, term, votedFor, commitIndex } = core;
  const pending = writes.map((write) => write.type).join("+");
  return `${id} ${role} term=${term} voted=${votedFor ?? "-"} log=${log.map(termOf).join()} commit=${commitIndex} ` +
    `disk: term=${disk.term} voted=${disk.votedFor ?? "-"} log=${disk.log.map(termOf).join()}` +
    (pending === "" ? "" : ` writing ${pending}`);
}
