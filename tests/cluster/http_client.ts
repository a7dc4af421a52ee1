/**
 * HTTP without a second try. When a connection that was kept breaks, Deno's `fetch` sends the request again over a new
 * one, and so does its `node:http`: a write may then be taken twice, or be taken and end as "connection refused". So
 * each request has a connection of its own here.
 *
 * @module
 */
import { type IncomingMessage, request } from "node:http";

/** An answer. */
export interface HttpAnswer {
  readonly status: number;
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/**
 * Sends a request once. Rejects when there is no whole answer; the error's code is `ECONNREFUSED` only if nobody was
 * there to be asked.
 */
export function sendOnce(
  method: string,
  url: string,
  body: string | undefined,
  timeoutMs: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const sending = request(url, { method, agent: false, headers });
    const timer = setTimeout(() => sending.destroy(new Error(`No answer within ${timeoutMs} ms`)), timeoutMs);
    const fail = (error: Error) => {
      clearTimeout(timer);
      reject(error);
    };
    sending.once("error", fail);
    sending.once("response", (response: IncomingMessage) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => text += chunk);
      response.once("error", fail);
      response.once("aborted", () => fail(new Error("The connection broke within the answer")));
      response.once("end", () => {
        clearTimeout(timer);
        resolve({ status: response.statusCode!, headers: response.headers, text });
      });
    });
    sending.end(body);
  });
}
