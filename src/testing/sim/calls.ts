/**
 * Calls as clients make them, and what they must be answered.
 *
 * @module
 */
import { RaftError, SessionExpiredError } from "../../errors.ts";
import type { LogIndex } from "../../types.ts";
import type { Operation } from "../linearizability.ts";
import { isClosing, isWaitedFor, refuses } from "./draining.ts";
import type { Ghost } from "./ghost.ts";
import { KeyedCommands } from "./keyed.ts";
import { hashText, Refusal, type SimCommand, type SimResult, type SimState } from "./machine.ts";
import { type BoundedInput, LocalReads } from "./local_reads.ts";
import { Oracle } from "./oracle.ts";
import { reload, type ReloadInput } from "./reloading.ts";
import { judgedMove, type MoveInput } from "./moves.ts";
import { type RestoreInput, Restoring } from "./restoring.ts";
import { hasRoom } from "./room.ts";
import type { Life } from "./server.ts";
import { answeredOnce, ClientSessions, isResultLost } from "./sessions.ts";
import { touch, type TouchInput } from "./touches.ts";
import { abortAfter } from "./touch_scene.ts";
import type { World } from "./world.ts";

/** What a client asks of a key. */
export type KeyInput = SimCommand | { readonly type: "get"; readonly key: string };

/** What a client asks for. */
export type SimInput =
  | KeyInput
  | { readonly type: "stale" | "lease"; readonly key: string }
  /**
   * A command of the server's session, whose caller gives up after so many microseconds, and a read that need see no more
   * than that session was shown.
   */
  | { readonly type: "once"; readonly command: SimCommand; readonly after: number }
  | { readonly type: "own"; readonly key: string }
  /** A command that is known by a key, which whoever sends it again gives again; as patient as that. */
  | { readonly type: "keyed"; readonly command: SimCommand; readonly after: number }
  | BoundedInput
  | TouchInput
  | MoveInput
  | ReloadInput
  | RestoreInput;

/** A call of a key as its client saw it. */
export type SimOperation = Operation<KeyInput, SimResult>;

/** A call under way. */
interface Call {
  readonly input: SimInput;
  readonly called: number;
  readonly life: Life;
  readonly client: string;
  /** Tells whoever waits whether there was an answer. */
  readonly settle: (isAnswered: boolean) => void;
}

/** All calls of a run. */
export class Calls {
  readonly #world: World;
  readonly #ghost: Ghost;
  readonly #open = new Set<Call>();
  readonly #sessions = new ClientSessions();
  readonly #keyed: KeyedCommands;
  readonly #restoring: Restoring;
  readonly #local: LocalReads<Call>;
  readonly oracle: Oracle;
  /** Every call of a key that has ended. */
  readonly history: SimOperation[] = [];
  /** What somebody saw last under each key. */
  readonly seen: Map<string, SimState> = new Map();

  /** Nothing is called yet. */
  constructor(world: World, ghost: Ghost) {
    this.#world = world;
    this.#ghost = ghost;
    this.oracle = new Oracle(ghost);
    this.#keyed = new KeyedCommands(world, ghost, this.oracle);
    this.#restoring = new Restoring(world, ghost, this.oracle);
    this.#local = new LocalReads(world, ghost, this.oracle, {
      isOpen: (call) => this.#open.has(call),
      end: (call, outcome) => this.#end(call, outcome),
      failed: (call, error) => this.#failed(call, error),
    });
  }

  /** Calls without an answer. */
  get open(): number {
    return this.#open.size;
  }

  /** Calls without an answer on some lives. */
  openOn(isMeant: (life: Life) => boolean): number {
    let count = 0;
    for (const { life } of this.#open) if (isMeant(life)) count++;
    return count;
  }

  /** Nobody is going to ask for more. */
  stop(): void {
    this.#sessions.closeAll();
  }

  /** What waits on a life that is over gets no answer. K4: one that has stopped has answered everybody. */
  onOver(life: Life): void {
    this.#sessions.onOver(life);
    for (const call of [...this.#open]) {
      if (call.life !== life) continue;
      this.#ghost.must(!life.hasStopped, "K4", () => `"${life.id}" has stopped and not answered a ${call.input.type}`);
      this.#end(call, "unknown");
    }
  }

  /** Whether a change of the servers has no answer yet. */
  get isMoving(): boolean {
    return [...this.#open].some(({ input }) => input.type === "move");
  }

  /** Makes one call. Resolves when its caller knows more: with true when it was answered. Never rejects. */
  make(life: Life, input: SimInput, client: string): Promise<boolean> {
    return new Promise((settle) => {
      const call: Call = { input, called: this.#world.events, life, client, settle };
      this.#open.add(call);
      void this.#make(call);
    });
  }

  #make(call: Call): Promise<void> {
    const { input } = call;
    switch (input.type) {
      case "get":
        return this.#read(call, input.key);
      case "stale":
        return this.#local.stale(call, input.key);
      case "read-from":
        return this.#local.from(call, input);
      case "read-within":
        return this.#local.within(call, input);
      case "lease":
        return this.#read(call, input.key);
      case "put":
      case "append":
      case "cas":
      case "fail":
        return this.#apply(call, input);
      case "once":
        return this.#applyOnce(call, input);
      case "keyed":
        return this.#applyKeyed(call, input);
      case "own":
        return this.#local.own(call, input.key, this.#sessions);
      case "move":
      case "transfer":
        return this.#move(call, input);
      case "reload-other":
        return Promise.resolve(this.#end(call, reload(this.#ghost, call.life, input) ? "ok" : "failed"));
      case "restore":
        return this.#restore(call, input);
      default:
        return this.#touch(call, input);
    }
  }

  async #apply(call: Call, command: SimCommand): Promise<void> {
    const { oracle } = this;
    const floor = oracle.floor(command.key);
    if (command.type !== "fail") oracle.ask(command.key);
    const wasClosing = isClosing(call.life);
    try {
      const answer = call.life.raft!.applyEntry({ data: command });
      hasRoom(this.#ghost, call.life);
      const { index, term, result } = await answer;
      if (!this.#open.has(call)) return;
      refuses(this.#ghost, call.life, wasClosing, undefined);
      this.#end(call, "ok", result);
      oracle.answered(command, floor, result, index);
      this.#ghost.readFloor = Math.max(this.#ghost.readFloor, index);
      this.#ghost.later.push(() => this.#acknowledged(command, index, term, result));
    } catch (error) {
      if (this.#open.has(call)) {
        isWaitedFor(this.#ghost, call.life, error);
        refuses(this.#ghost, call.life, wasClosing, error);
      }
      if (command.type !== "fail" || !(error instanceof Refusal)) return this.#failed(call, error);
      this.#ghost.must(this.#ghost.appliedAt.has(command.value), "K3", () => {
        return `"${command.value}" is said to be refused by a machine, none of which has seen it`;
      });
      this.#end(call, "ok");
    }
  }

  /** K1: what is sent again is applied once; the session itself sends it while nobody knows what became of it. */
  async #applyOnce(call: Call, { command, after }: Extract<SimInput, { type: "once" }>): Promise<void> {
    const { oracle } = this;
    const floor = oracle.floor(command.key);
    oracle.ask(command.key);
    this.#ghost.ofSessions.add(command.value);
    const signal = abortAfter(this.#world, after);
    try {
      const session = await this.#sessions.of(call.life, signal);
      if (!this.#open.has(call)) return;
      const result = await session.apply(command, { signal });
      if (!this.#open.has(call)) return;
      // A session is forgotten with the results that it had, so there is one time only.
      const [at] = this.#ghost.appliedAt.get(command.value) ?? [];
      this.#endOnce(call, command, floor, session.seenIndex, result, at);
    } catch (error) {
      if (error instanceof SessionExpiredError) this.#sessions.onExpired(call.life, error.session);
      this.#failedOnce(call, signal, error);
    }
  }

  /** K1: what is sent with a key is applied once, whichever servers get it and however often. */
  async #applyKeyed(call: Call, { command, after }: Extract<SimInput, { type: "keyed" }>): Promise<void> {
    const { floor } = this.#keyed.ask(command, call);
    const signal = abortAfter(this.#world, after);
    try {
      const { index, result } = await call.life.raft!.applyEntry({ data: command }, { key: command.value, signal });
      if (!this.#open.has(call)) return;
      // It may have been applied by what was sent before.
      const at = this.#ghost.appliedAt.get(command.value)?.findLast((at) => at <= index);
      this.#ghost.later.push(() => this.#isRemembered(command, at, index));
      this.#endOnce(call, command, floor, index, result, at);
    } catch (error) {
      this.#failedOnce(call, signal, error);
    }
  }

  /** K3: nobody is answered with what a restore has undone since: the key is forgotten with it. */
  #isRemembered({ value }: SimCommand, at: LogIndex | undefined, index: LogIndex): void {
    const { eras } = this.#ghost;
    this.#ghost.must(at === undefined || eras.of(at) === eras.of(index), "K3", () => {
      return `"${value}" is answered at ${index} with what it did at ${at}, and a restore came between`;
    });
  }

  /** K3: the answer is what came of the one time that it was applied. */
  #endOnce(
    call: Call,
    command: SimCommand,
    floor: number,
    index: LogIndex,
    result: SimResult,
    at: LogIndex | undefined,
  ): void {
    const ghost = this.#ghost;
    this.#end(call, "ok", result, at);
    this.oracle.answered(command, floor, result, at ?? index);
    ghost.readFloor = Math.max(ghost.readFloor, index);
    ghost.later.push(() => answeredOnce(ghost, command, result, at));
  }

  /** Who gives up does not know what becomes of it. */
  #failedOnce(call: Call, signal: AbortSignal, error: unknown): void {
    const { input } = call;
    const isLost = "command" in input && isResultLost(this.#ghost, input.command, error);
    if (isLost || (signal.aborted && error === signal.reason)) this.#end(call, "unknown");
    else this.#failed(call, error);
  }

  /** See {@linkcode KeyedCommands.unanswered}. */
  unanswered(): Iterable<SimOperation> {
    return this.#keyed.unanswered();
  }

  async #read(call: Call, key: string): Promise<void> {
    const { oracle } = this;
    const ghost = this.#ghost;
    const { life } = call;
    const [floor, serialFloor] = [ghost.readFloor, oracle.floor(key)];
    const consistency = call.input.type === "lease" ? "lease" : "linearizable";
    try {
      let at = 0;
      const state = await life.raft!.read(() => {
        at = life.raft!.appliedIndex;
        return this.#local.look(life, key);
      }, { consistency });
      if (!this.#open.has(call)) return;
      // Beyond the bound that clocks were to keep it may see old states.
      if (consistency === "lease" && !ghost.keepsTime) return this.#local.seen(call, key, state, at);
      ghost.must(
        at >= floor,
        "R1",
        () => `a read on "${life.id}" saw ${at}, others had seen ${floor} before it was asked`,
      );
      ghost.readFloor = Math.max(ghost.readFloor, at);
      oracle.read(key, serialFloor, state, at);
      this.#end(call, "ok", state);
    } catch (error) {
      this.#failed(call, error);
    }
  }

  async #touch(call: Call, input: TouchInput): Promise<void> {
    const answered = await touch(this.#world, this.#ghost, call.life, input);
    this.#end(call, answered ? "ok" : "unknown");
  }

  /** K4, and what {@linkcode move} makes of its answer. */
  async #move(call: Call, input: MoveInput): Promise<void> {
    const isDone = await judgedMove(this.#ghost, call.life, input, () => this.#open.has(call));
    this.#end(call, isDone ? "ok" : "failed");
  }

  async #restore(call: Call, input: RestoreInput): Promise<void> {
    this.#end(call, await this.#restoring.restore(call.life, input, () => this.#open.has(call)));
  }

  /** K3: what a client is told is what was committed. */
  #acknowledged(command: SimCommand, index: number, term: number, result: SimResult): void {
    const ghost = this.#ghost;
    const committed = ghost.commits.at(index);
    ghost.must(committed?.term === term, "K3", () => {
      return `"${command.value}" is acknowledged as entry ${index} of term ${term}, which has term ${committed?.term}`;
    });
    const applied = ghost.applied.get(index);
    ghost.must(applied?.result === hashText(String(result), 0), "K3", () => {
      return `"${command.value}" at ${index} is answered with another result than machines computed`;
    });
    ghost.must(ghost.appliedAt.get(command.value)?.[0] === index, "K3", () => {
      return `"${command.value}" is acknowledged at ${index} and was applied at ${ghost.appliedAt.get(command.value)}`;
    });
  }

  #failed(call: Call, error: unknown): void {
    if (!this.#open.has(call)) return;
    this.#ghost.must(error instanceof RaftError, "K4", () => `a ${call.input.type} is answered with ${error}`);
    const isDefinite = error instanceof RaftError && error.outcome === "not-applied";
    const { input } = call;
    const asked = input.type === "once" ? input.command : input;
    if (isDefinite && "value" in asked) this.#ghost.noteNotApplied(asked.value);
    this.#end(call, isDefinite ? "failed" : "unknown");
  }

  #end(call: Call, outcome: SimOperation["outcome"], output?: SimResult, at?: LogIndex): void {
    if (!this.#open.delete(call)) return;
    const { input } = call;
    call.settle(outcome === "ok");
    if (input.type === "lease" && outcome === "ok" && output !== undefined) {
      this.#record(call, { type: "get", key: input.key }, "ok", output);
    }
    if (input.type === "keyed") {
      const keyed = outcome === "ok" ? this.#keyed.answer(input.command, at) : undefined;
      return keyed && this.#record(keyed, input.command, outcome, output);
    }
    const asked = input.type === "once" ? input.command : input;
    if (isKeyInput(asked) && asked.type !== "fail") this.#record(call, asked, outcome, output);
  }

  #record(
    { called, client }: Pick<Call, "called" | "client">,
    input: KeyInput,
    outcome: SimOperation["outcome"],
    output?: SimResult,
  ): void {
    if (typeof output === "string") this.seen.set(input.key, output);
    this.history.push({ key: input.key, input, outcome, output, called, returned: this.#world.events, client });
  }
}

/** Those that belong to the history of a key. */
const keyInputs: Readonly<Record<KeyInput["type"], true>> = {
  get: true,
  put: true,
  append: true,
  cas: true,
  fail: true,
};

function isKeyInput(input: SimInput): input is KeyInput {
  return Object.hasOwn(keyInputs, input.type);
}
