// A model on the page: loaded, run for the first time, and then sampled. The same as hwnas_agent/subject.py, with milliseconds for
// nanoseconds and one difference: a browser's clock ticks in steps of 5 us or more, so that a sample (or a probe) of a mean lasts at least
// TICKS of them. Where the host asks for single calls (min_sample_us of 0), samples are single calls here too.

import { CAP, halfWidth } from "./precision.js";
import { MAX_SAMPLES } from "./reports.js";

export const MAX_RUNS = 1000;
export const TICKS = 100;
const TYPICAL_KEPT = 1024;
export const WARM = 0.98;
export const MAX_WARMUPS = 8;

/** A model that the runtime does not load or run. */
export class ModelUnusable extends Error {}

/** A runtime that is not here, or does not run as it was asked to. */
export class RuntimeUnusable extends Error {}

/** What is known of a model whose runtime does not tell who runs it: by whom, how many nodes fell back, a note. Unknown is null. */
export const UNTOLD = { by: null, fallbacks: null, note: "the runtime does not tell" };

/** First attempts, evenly spread over the session: all while they are few, at least half as many beyond. */
export class Typical {
  runsMs = [];
  #stride = 1;
  #seen = 0;

  add(runMs) {
    if (this.#seen % this.#stride === 0) {
      this.runsMs.push(runMs);
      if (this.runsMs.length >= TYPICAL_KEPT) {
        this.runsMs = this.runsMs.filter((_, index) => index % 2 === 0);
        this.#stride *= 2;
      }
    }
    this.#seen += 1;
  }
}

/** A loaded model with its samples so far; each lasts sampleMs or more if MAX_RUNS are enough for that. */
export class Subject {
  busy = [];
  candidates = [];
  typical = new Typical();
  attempts = 0;
  told = 0; // quiet samples in the last result

  constructor(job, model, { loadMs, firstMs, runMs, sampleMs }) {
    this.job = job;
    this.model = model;
    this.execution = model.execution ?? UNTOLD;
    this.loadMs = loadMs;
    this.firstMs = firstMs;
    this.runMs = runMs;
    this.runs = Math.max(1, Math.min(MAX_RUNS, Math.ceil(sampleMs / Math.max(runMs, 1e-6))));
  }

  /** Samples that are quiet at the present level. */
  accepted(band) {
    return this.candidates.filter((sample) => band.quiet(sample.beforeUs) && band.quiet(sample.afterUs));
  }

  /** Whether its turn is over: samples enough for the interval that the plan wants, or so many that it stays wide. */
  enough(band, { min_repeats, min_total_ms, statistic = "p50", max_rel_ci = Infinity }) {
    const runsMs = this.accepted(band).map((sample) => sample.runMs);
    if (runsMs.length >= MAX_SAMPLES) return true;
    if (runsMs.length < min_repeats || runsMs.reduce((sum, ms) => sum + ms, 0) * this.runs < min_total_ms) return false;
    return runsMs.length >= CAP * min_repeats || halfWidth(runsMs, statistic) <= max_rel_ci;
  }

  /** Let the runtime free the model; the samples stay. */
  async unload() {
    const model = this.model;
    this.model = null;
    await model?.release();
  }

  /** Go on with the model loaded again. Load and first run stay those of the first time: later ones find warm caches. */
  resume(loaded) {
    this.model = loaded.model;
    this.runMs = Math.min(this.runMs, loaded.runMs);
    return this;
  }
}

/** Load, run for the first time, warm up. Fetching the file is not part of the load time. */
export async function load(runtime, job, settings, clock) {
  let bytes;
  try {
    bytes = await runtime.fetch(job.path);
    const start = clock();
    const model = await runtime.load(bytes, settings.threads, settings.seed);
    const loaded = clock();
    await model.run();
    const first = clock();
    const own = await warmUp(model, first - loaded, settings.warmup, clock);
    return new Subject(job, model, { loadMs: loaded - start, firstMs: first - loaded, runMs: own, sampleMs: sampleMs(settings) });
  } catch (problem) {
    if (problem instanceof ModelUnusable || problem instanceof RuntimeUnusable) throw problem;
    throw new ModelUnusable(`${problem?.name ?? "Error"}: ${problem?.message ?? problem}`.slice(0, 600));
  }
}

/** Its best run in ms after warmup runs, and as many again (MAX_WARMUPS times at most) while they still make it faster. */
async function warmUp(model, bestMs, warmup, clock) {
  for (let i = 0; i < MAX_WARMUPS; i += 1) {
    const beforeMs = bestMs;
    for (let j = 0; j < Math.max(warmup, 1); j += 1) {
      const begin = clock();
      await model.run();
      bestMs = Math.min(bestMs, clock() - begin);
    }
    if (bestMs >= WARM * beforeMs) break;
  }
  return bestMs;
}

function sampleMs(settings) {
  if (settings.min_sample_us === 0) return 0;
  return Math.max(settings.min_sample_us, TICKS * settings.tick_us) / 1e3;
}
