/**
 * Answers of HTTP/1.1 out of what a connection brings.
 *
 * @module
 */

/** Reads answers one after the other. Text is latin1: a character per byte. */
export class AnswerParser {
  #text = "";
  /** Whether the server closes the connection after the last answer. */
  isLast = false;

  /** Takes what came; gives an answer once one is whole. Throws when it is none of HTTP/1.1 with a length or chunks. */
  take(text: string): { readonly status: number; readonly body: string } | undefined {
    this.#text = this.#text === "" ? text : this.#text + text;
    const headEnd = this.#text.indexOf("\r\n\r\n");
    if (headEnd < 0) return undefined;
    const head = this.#text.slice(0, headEnd);
    const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(head) ?? [];
    if (status === undefined) throw new Error(`Not an answer of HTTP/1.1: ${head.slice(0, 80)}`);
    const found = this.#bodyOf(head, headEnd + 4);
    if (found === undefined) return undefined;
    this.isLast = /\r\nconnection: *close/i.test(head);
    this.#text = this.#text.slice(found.end);
    return { status: Number(status), body: found.body };
  }

  #bodyOf(head: string, from: number): { readonly body: string; readonly end: number } | undefined {
    const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? [];
    if (length !== undefined) {
      const end = from + Number(length);
      return this.#text.length < end ? undefined : { body: this.#text.slice(from, end), end };
    }
    if (/\r\ntransfer-encoding: *chunked/i.test(head)) return this.#chunks(from);
    throw new Error(`An answer that does not say its length: ${head.slice(0, 80)}`);
  }

  #chunks(from: number): { readonly body: string; readonly end: number } | undefined {
    let body = "";
    for (let at = from;;) {
      const lineEnd = this.#text.indexOf("\r\n", at);
      if (lineEnd < 0) return undefined;
      const [, hex] = /^([0-9a-f]{1,8})(?:;|$)/i.exec(this.#text.slice(at, lineEnd)) ?? [];
      if (hex === undefined) throw new Error("A chunk that does not say its length");
      const bytes = parseInt(hex, 16);
      const end = lineEnd + 2 + bytes;
      if (this.#text.length < end + 2) return undefined;
      body += this.#text.slice(lineEnd + 2, end);
      at = end + 2;
      if (bytes === 0) return { body, end: at };
    }
  }
}
