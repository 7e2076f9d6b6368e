// The page's line to its host: messages go out in order by POST, and come in by a request that the host answers when it has something.
//
// Every message has a number per direction. What was not acknowledged is sent again, and the host passes over what it has already.

const RETRY_MS = [200, 500, 1000, 2000, 4000, 4000, 4000];
const BATCH_BYTES = 200_000;
const STORED = "hwnas-session";

/** The host does not want this page (any more). */
export class LinkRefused extends Error {}

/** The session is over: come back with the same key for the next one. */
export class LinkStale extends Error {}

/** The host does not answer. */
export class LinkLost extends Error {}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function answerOf(path, { method = "POST", bearer, life, body } = {}) {
  const headers = { Authorization: `Bearer ${bearer}` };
  if (life !== undefined) headers["X-Hwnas-Life"] = String(life);
  if (body !== undefined) headers["Content-Type"] = "application/json";
  for (let attempt = 0; ; attempt += 1) {
    let answer = null;
    try {
      answer = await fetch(path, { method, headers, body, cache: "no-store" });
      if (answer.ok) return await answer.json();
    } catch {
      answer = null;
    }
    if (answer?.status === 409) throw new LinkStale();
    if (answer !== null && answer.status < 500) throw new LinkRefused((await answer.text()).slice(0, 300));
    if (attempt >= RETRY_MS.length) throw new LinkLost("the host does not answer");
    await pause(RETRY_MS[attempt]);
  }
}

export class Link {
  #outbox = [];
  #sent = 0;
  #seen = 0;
  #sending = null;

  constructor(key, life) {
    this.key = key;
    this.life = life;
  }

  /** With the token of the address, which works once; or, when this tab was reloaded, with the key that it was given then. */
  static async open() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    const stored = sessionStorage.getItem(STORED);
    if (token) history.replaceState(null, "", location.pathname); // the address may be seen, kept, shared
    if (!token && !stored) throw new LinkRefused("this address has no token; open the link that hwnas shows");
    let given;
    try {
      given = await answerOf(token ? "/claim" : "/resume", { bearer: token ?? stored });
    } catch (problem) {
      if (!token) sessionStorage.removeItem(STORED);
      throw problem;
    }
    sessionStorage.setItem(STORED, given.key);
    return new Link(given.key, given.life);
  }

  /** Queue a message for the host; throws nothing, what goes wrong ends receive. */
  send(message) {
    this.#outbox.push({ ...message, seq: this.#sent });
    this.#sent += 1;
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = null;
    });
  }

  /** The messages of the host, one by one, until it is gone. */
  async *receive() {
    while (this.failure === undefined) {
      const { messages } = await answerOf(`/receive?after=${this.#seen}`, { method: "GET", bearer: this.key, life: this.life });
      for (const message of messages) {
        if (message.seq !== this.#seen) throw new LinkRefused("the host's messages are out of order");
        this.#seen += 1;
        yield message;
      }
    }
    throw this.failure;
  }

  /** Tell the host that this page is going: it may come back at once, when it was only reloaded. */
  leave() {
    const headers = { Authorization: `Bearer ${this.key}`, "X-Hwnas-Life": String(this.life) };
    fetch("/leave", { method: "POST", headers, keepalive: true }).catch(() => {});
  }

  async #drain() {
    try {
      while (this.#outbox.length) {
        let body = "";
        let count = 0;
        while (count < this.#outbox.length && (count === 0 || body.length < BATCH_BYTES)) {
          body += `${JSON.stringify(this.#outbox[count])}\n`;
          count += 1;
        }
        await answerOf("/send", { bearer: this.key, life: this.life, body });
        this.#outbox.splice(0, count);
      }
    } catch (problem) {
      this.failure = problem;
    }
  }
}
