// In place of onnxruntime-web: models take the times that were recorded for them, and so does the worker's clock (see agent.py).

const RECORDED = /*RECORDED*/ {};
const STEP_MS = 5;
const pause = new Int32Array(new SharedArrayBuffer(4));
const begin = performance.now();
const real = performance.now.bind(performance);
let now = 0;

function sleep(ms) {
  now += ms;
  const ahead = now - (real() - begin);
  if (ahead > STEP_MS) Atomics.wait(pause, 0, 0, ahead);
}

if (typeof WorkerGlobalScope !== "undefined") {
  // it ticks a little whenever it is read, as clocks do
  Object.defineProperty(performance, "now", { value: () => (now += 1e-4) });
}

async function create(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const times = RECORDED[[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")];
  if (times === undefined) throw new Error("the model was not recorded");
  let next = 0;
  return { inputMetadata: [], run: async () => sleep(times[next++ % times.length]), release: async () => {} };
}

export const env = { wasm: { numThreads: 1 }, versions: { web: "recorded" }, logLevel: "error" };
export const InferenceSession = { create };
