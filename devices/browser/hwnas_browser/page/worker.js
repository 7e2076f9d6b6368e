// Where models run: a thread of its own, so that the page stays alive while it measures. It is made for one task and then ended.
//
// In:  {task: "find", names} or {task: "measure", begin, jobs, key, life}.  Out: {found}, {message} for the host, {refused}.

import { tickUs } from "./facts.js";
import { Session } from "./measure.js";
import { RUNTIMES, found, open } from "./runtime.js";
import { ModelUnusable } from "./subject.js";

self.onmessage = async ({ data }) => {
  try {
    if (data.task === "find") {
      const names = data.names.length ? data.names : Object.keys(RUNTIMES);
      const entries = [];
      for (const name of names) entries.push([name.slice(0, 64), await found(name)]);
      self.postMessage({ found: Object.fromEntries(entries) });
    } else {
      await measure(data);
    }
  } catch (problem) {
    self.postMessage({ refused: String(problem?.message ?? problem).slice(0, 600) });
  }
};

async function measure({ begin, jobs, key, life }) {
  if (begin.plan.affinity.length) throw new Error("a page cannot choose its cores; leave affinity out of the plan");
  const runtime = await open(begin.runtime, begin.threads, (path) => fetchModel(path, key, life));
  const emit = (message) => self.postMessage({ message });
  const settings = { ...begin.plan, threads: begin.threads, quiet_level_us: begin.quiet_level_us, tick_us: tickUs() };
  const session = new Session(runtime, settings, emit);
  emit({ type: "ready", runtime_version: runtime.version, provider: runtime.provider, cores: [], run_queue_seen: false });
  emit(await session.measure(jobs, { id: "probe", path: begin.probe }, { id: "reference", path: begin.reference }));
}

/** A model's bytes by the hash in its path; others than were promised are refused. */
async function fetchModel(path, key, life) {
  const sha256 = /^\/model\/([0-9a-f]{64})$/.exec(path)?.[1];
  if (sha256 === undefined) throw new ModelUnusable("the host names a model by something else than its hash");
  const answer = await fetch(path, { headers: { Authorization: `Bearer ${key}`, "X-Hwnas-Life": String(life) } });
  if (!answer.ok) throw new ModelUnusable(`the host does not give the file: status ${answer.status}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== sha256) throw new ModelUnusable("the file that came is not the one that was asked for");
  return bytes;
}
