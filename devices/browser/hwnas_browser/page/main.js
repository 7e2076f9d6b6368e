// The page: holds the conversation with the host, keeps the screen awake, and shows how far things are. Models run in worker.js.

import { browserName, deviceFacts } from "./facts.js";
import { Link, LinkStale } from "./link.js";

const AGENT = "page/1";
const MAX_SESSIONS = 10_000;
const show = (id, text) => {
  document.getElementById(id).textContent = text;
};

class Agent {
  #link;
  #begin = null;
  #jobs = [];
  #worker = null;

  constructor(link) {
    this.#link = link;
  }

  async serve() {
    for await (const message of this.#link.receive()) {
      if (message.type === "ping") this.#link.send({ type: "alive" });
      else if (message.type === "hello") this.#work({ task: "find", names: message.runtimes });
      else if (message.type === "begin") [this.#begin, this.#jobs] = [message, []];
      else if (message.type === "job") this.#jobs.push({ id: message.id, path: message.path, only_busy: message.only_busy ?? false });
      else if (message.type === "start") this.#start(message.jobs);
    }
  }

  #start(jobs) {
    if (this.#begin === null || jobs !== this.#jobs.length) {
      this.#link.send({ type: "refused", reason: `start announces ${jobs} jobs; ${this.#jobs.length} came` });
      return;
    }
    show("state", "measuring");
    show("models", `0 of ${jobs}`);
    this.#work({ task: "measure", begin: this.#begin, jobs: this.#jobs, key: this.#link.key, life: this.#link.life });
  }

  #work(task) {
    this.stop();
    this.#worker = new Worker("/page/worker.js", { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#tell(data);
    this.#worker.onerror = (event) => this.#tell({ refused: `the page's worker failed: ${event.message ?? "it did not load"}` });
    this.#worker.postMessage(task);
  }

  async #tell({ found, message, refused }) {
    if (found) {
      this.#link.send(await hello(found));
      show("state", "connected; waiting for work");
    } else if (refused) {
      this.#link.send({ type: "refused", reason: refused });
      show("state", `refused: ${refused}`);
    } else {
      this.#link.send(message);
      this.#progress(message);
    }
  }

  #progress(message) {
    if (message.type === "ready") show("runtime", `onnxruntime-web ${message.runtime_version}, ${message.provider}, ${this.#begin.threads} thread(s)`);
    if (message.type === "progress") {
      show("models", `${message.finished} of ${this.#jobs.length}`);
      show("samples", `${message.accepted} of ${message.wanted}`);
      show("quiet", message.quiet_share === null ? "–" : `${Math.round(100 * message.quiet_share)} % of the time`);
      document.getElementById("bar").value = message.accepted / Math.max(message.wanted, 1);
    }
    if (message.type === "done") {
      show("models", `${message.results} of ${this.#jobs.length}`);
      document.getElementById("bar").value = 1;
      show("state", message.short ? "done; some models have too few quiet samples" : "done; waiting for more work");
      this.stop();
    }
  }

  stop() {
    this.#worker?.terminate();
    this.#worker = null;
  }
}

async function hello(runtimes) {
  const cores = Array.from({ length: navigator.hardwareConcurrency || 1 }, (_, index) => index);
  // a page has no Python: the field stays empty
  return { type: "hello", agent: AGENT, python: "", system: browserName(), arch: "wasm32", libc: null, cores, runtimes, facts: await deviceFacts() };
}

async function keepAwake() {
  if (document.visibilityState !== "visible") return show("awake", "keep this page in front: in the background it is slowed down");
  try {
    await navigator.wakeLock.request("screen");
    show("awake", "the screen is kept on");
  } catch {
    show("awake", "keep the screen on yourself: this browser does not");
  }
}

async function main() {
  // a new link that is opened in this tab changes no more than the part after the #, which loads nothing by itself
  window.addEventListener("hashchange", () => location.reload());
  if (!self.crossOriginIsolated) throw new Error("this page is not isolated, so it has a coarse clock and no threads; open the link as hwnas shows it");
  let link = await Link.open();
  show("state", "connected; waiting for work");
  window.addEventListener("pagehide", () => link.leave());
  document.addEventListener("visibilitychange", keepAwake);
  keepAwake();
  for (let session = 0; session < MAX_SESSIONS; session += 1) {
    const agent = new Agent(link);
    try {
      await agent.serve();
    } catch (problem) {
      if (!(problem instanceof LinkStale)) throw problem;
    } finally {
      agent.stop();
    }
    link = await Link.open();
  }
}

main().catch((problem) => show("state", `ended: ${problem.message}`));
