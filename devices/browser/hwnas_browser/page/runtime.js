// onnxruntime-web, brought to one shape: bytes of a model in, something that can be run and released out.
//
// Two runtimes, each a target of its own: "onnxruntime-web" (WebAssembly, on the CPU) and "onnxruntime-web-webgpu". Neither may fall back
// on the other: WebGPU runs with the fall-back to the CPU disabled, and what came of it is looked at after the session was made.

import { ModelUnusable, RuntimeUnusable } from "./subject.js";

export const RUNTIMES = {
  "onnxruntime-web": { module: "ort.wasm.min.mjs", binary: "ort-wasm-simd-threaded", provider: "wasm" },
  "onnxruntime-web-webgpu": { module: "ort.webgpu.min.mjs", binary: "ort-wasm-simd-threaded.asyncify", provider: "webgpu" },
};

/** What every onnxruntime since 1.19 surely reads. */
const LIMITS = { max_ir: 10, max_opset: 21 };

async function imported(name) {
  const files = RUNTIMES[name];
  const base = new URL("/ort/", self.location.origin).href;
  let ort;
  try {
    ort = await import(base + files.module);
  } catch (problem) {
    throw new RuntimeUnusable(`${name} does not load from the host: ${problem.message}`);
  }
  ort.env.wasm.wasmPaths = { mjs: `${base}${files.binary}.mjs`, wasm: `${base}${files.binary}.wasm` };
  ort.env.logLevel = "error";
  return ort;
}

/** Whether the runtime is here, as the protocol's hello says it. */
export async function found(name) {
  const absent = (reason) => ({ version: null, reason: reason.slice(0, 600), max_ir: null, max_opset: null });
  if (!Object.hasOwn(RUNTIMES, name)) return absent(`a page has no runtime '${name}'; it has ${Object.keys(RUNTIMES).join(", ")}`);
  try {
    const ort = await imported(name);
    if (RUNTIMES[name].provider === "webgpu" && !(await navigator.gpu?.requestAdapter())) return absent("this browser offers no WebGPU adapter");
    return { version: ort.env.versions.web, reason: null, ...LIMITS };
  } catch (problem) {
    return absent(String(problem.message));
  }
}

/** The runtime, ready: its version, its provider, and fetch and load for subject.js. fetchBytes gets a model by its path on the host. */
export async function open(name, threads, fetchBytes) {
  if (!Object.hasOwn(RUNTIMES, name)) throw new RuntimeUnusable(`a page has no runtime '${name}'`);
  if (!self.crossOriginIsolated) throw new RuntimeUnusable("the page is not cross-origin isolated, so its clock is coarse and it has no threads");
  const available = navigator.hardwareConcurrency || 1;
  if (threads > available) throw new RuntimeUnusable(`${threads} threads need as many cores; the browser reports ${available}`);
  const ort = await imported(name);
  const { provider } = RUNTIMES[name];
  ort.env.wasm.numThreads = threads;
  if (provider === "webgpu" && !(await navigator.gpu?.requestAdapter())) throw new RuntimeUnusable("this browser offers no WebGPU adapter");

  async function load(bytes, wanted, seed) {
    const session = await ort.InferenceSession.create(bytes, options(provider));
    if (ort.env.wasm.numThreads !== wanted) {
      throw new RuntimeUnusable(`onnxruntime-web took ${ort.env.wasm.numThreads} threads instead of ${wanted}`);
    }
    if (provider === "webgpu" && !(await ort.env.webgpu.device)) throw new RuntimeUnusable("onnxruntime-web made no WebGPU device: it fell back");
    const feeds = {};
    session.inputMetadata.forEach((slot, offset) => {
      feeds[slot.name] = randomInput(ort, slot, seed + offset);
    });
    // neither has anything to fall back on: WebAssembly is one provider, and WebGPU's session fails where a node is not WebGPU's
    return { run: () => session.run(feeds), release: () => session.release(), execution: { by: provider, fallbacks: 0, note: null } };
  }

  return { version: ort.env.versions.web, provider, threads, fetch: fetchBytes, load };
}

function options(provider) {
  const common = { graphOptimizationLevel: "all", executionProviders: [provider], logSeverityLevel: 3 };
  // a node that WebGPU cannot run then makes the session fail instead of running on the CPU
  return provider === "webgpu" ? { ...common, extra: { session: { disable_cpu_ep_fallback: "1" } } } : common;
}

/** A fixed input: normal for floats, uniform for 8-bit integers, 0 to 2 for others. Unknown dimensions are 1. */
function randomInput(ort, slot, seed) {
  if (!slot.isTensor || !Object.hasOwn(FILL, slot.type)) {
    throw new ModelUnusable(`input '${slot.name}' is of type ${slot.type ?? "no tensor"}, which the page cannot fill`);
  }
  const shape = slot.shape.map((side) => (typeof side === "number" && side > 0 ? side : 1));
  const size = shape.reduce((product, side) => product * side, 1);
  return new ort.Tensor(slot.type, FILL[slot.type](size, normals(seed)), shape);
}

const below = (draw, count) => Math.floor(((Math.abs(draw()) * 1e6) % 1) * count);
const FILL = {
  float32: (size, draw) => Float32Array.from({ length: size }, draw),
  float64: (size, draw) => Float64Array.from({ length: size }, draw),
  int8: (size, draw) => Int8Array.from({ length: size }, () => below(draw, 256) - 128),
  uint8: (size, draw) => Uint8Array.from({ length: size }, () => below(draw, 256)),
  int16: (size, draw) => Int16Array.from({ length: size }, () => below(draw, 3)),
  int32: (size, draw) => Int32Array.from({ length: size }, () => below(draw, 3)),
  int64: (size, draw) => BigInt64Array.from({ length: size }, () => BigInt(below(draw, 3))),
  bool: (size, draw) => Uint8Array.from({ length: size }, () => below(draw, 2)),
};

/** Seeded normal numbers (Box and Muller over a linear congruence). */
function normals(seed) {
  let state = (seed * 2654435761 + 1) >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
