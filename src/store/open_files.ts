/**
 * Files that stay open between reads.
 *
 * @module
 */
import type { FileHandle } from "./files.ts";

interface OpenFile {
  readonly file: Promise<FileHandle>;
  users: number;
  /** Called when the last user is done, once the file is to be closed. */
  onIdle: (() => void) | undefined;
}

/** Opens files when they are first used and closes them when told, but never under a user. */
export class OpenFiles {
  readonly #open: (name: string) => Promise<FileHandle>;
  readonly #files = new Map<string, OpenFile>();

  /** Takes how a file is opened. */
  constructor(open: (name: string) => Promise<FileHandle>) {
    this.#open = open;
  }

  /** Calls `use` with the open file. */
  async use<T>(name: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
    let entry = this.#files.get(name);
    if (entry === undefined) {
      entry = { file: this.#open(name), users: 0, onIdle: undefined };
      this.#files.set(name, entry);
    }
    entry.users++;
    try {
      const file = await entry.file.catch((error) => {
        if (this.#files.get(name) === entry) this.#files.delete(name);
        throw error;
      });
      return await use(file);
    } finally {
      if (--entry.users === 0) entry.onIdle?.();
    }
  }

  /** Closes a file as soon as nobody uses it; done when it is closed. The next use opens it again. */
  async close(name: string): Promise<void> {
    const entry = this.#files.get(name);
    if (entry === undefined) return;
    this.#files.delete(name);
    if (entry.users > 0) await new Promise<void>((resolve) => entry.onIdle = resolve);
    // It was only read, so closing it can't lose anything.
    await entry.file.then((file) => file.close()).catch(() => {});
  }

  /** Closes all. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#files.keys()].map((name) => this.close(name)));
  }
}
