// How models are timed on a page: the procedure of hwnas_agent/measure.py, whose docstring tells why each step is there.
//
// What a page cannot do, and what follows: it sees no run queue (waiting for a core shows only in the probes), it cannot be pinned, and its
// clock is coarse (subject.js makes means and probes last long enough for it). Times are in ms, as performance.now() gives them.

import { OpenBand, QuietBand } from "./band.js";
import { heat } from "./heating.js";
import { CAP, halfWidth } from "./precision.js";
import { ModelUnusable, TICKS, load } from "./subject.js";

export const CHUNK = 22;
export const COLD_RUNS = 2;
const PATIENCE = 5;
const PROBE_TRIES = 3;
const MIN_PATIENCE_MS = 1;
const CALIBRATION_MS = 300;
const FIRST_CALIBRATION_MS = 2000;
const SETTLE_MS = 250;
const PROGRESS_MS = 500;
const REFERENCE_SAMPLES = 10;
const MAX_RESTARTS = 2;
const MAX_SAMPLES = 2000;
const MAX_PROBE_RUNS = 50;

/** A small seeded generator (mulberry32) of numbers in [0, 1): an order of visits, no secret. */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Times a list of jobs. settings are the host's plan with threads, quiet_level_us and tick_us, the step of the clock. */
export class Session {
  #band;
  #begin;
  #deadline;
  #failed = 0;
  #finished = new Map();
  #lastUs = 0;
  #probe = null;
  #probeRuns = 1;
  #probedMs;
  #progressMs;
  #random;
  #referenceUs = [];
  #restarts = new Map();
  #settledMs;
  #short = new Map();
  #visits = 0;
  #wanted = 0;

  constructor(runtime, settings, emit, { clock = () => performance.now(), sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms)) } = {}) {
    Object.assign(this, { runtime, settings, emit, clock, sleep });
    this.#random = generator(settings.seed);
    this.#begin = this.#settledMs = this.#progressMs = this.#probedMs = clock();
    this.#deadline = this.#begin + settings.max_seconds * 1e3;
    this.#band = settings.heat_s > 0 ? new OpenBand() : new QuietBand(settings.quiet_level_us);
  }

  /** Time all jobs; the done message. */
  async measure(jobs, probe, reference) {
    this.#wanted = jobs.length;
    const probing = await this.#needed(probe);
    this.#probe = probing.model;
    this.#probeRuns = Math.max(1, Math.min(MAX_PROBE_RUNS, Math.ceil((TICKS * this.settings.tick_us) / 1e3 / Math.max(probing.runMs, 1e-6))));
    const subject = await this.#needed(reference);
    const heated = await this.#heat(subject);
    await this.#calibrate();
    const short = await this.#allChunks([...jobs], subject);
    return {
      type: "done",
      results: this.#finished.size,
      short: short.length,
      fewest: short.length ? Math.min(...short) : 0,
      visits: this.#visits,
      probes: this.#band.probes,
      quiet_level_us: this.#band.levelUs || null,
      quiet_share: this.#band.quietShare(),
      reference_us: this.#referenceUs.slice(0, 4096),
      seconds: (this.clock() - this.#begin) / 1e3,
      heated_s: heated,
    };
  }

  /** Heat the device if the plan wants that, at no cost of the time for measuring; for how many seconds. */
  async #heat(reference) {
    if (!(this.settings.heat_s > 0)) return 0;
    const heated = await heat(reference.model, this.clock, this.clock() + this.settings.heat_s * 1e3);
    this.#deadline += heated * 1e3;
    return heated;
  }

  async #needed(job) {
    try {
      return await load(this.runtime, job, this.settings, this.clock);
    } catch (problem) {
      if (problem instanceof ModelUnusable) throw new ModelUnusable(`${job.id}: ${problem.message}`);
      throw problem;
    }
  }

  async #calibrate() {
    this.#probedMs = this.clock();
    // a device whose quiet level nobody knows is watched for longer: it may be busy for seconds on end
    const watch = this.settings.quiet_level_us === null ? FIRST_CALIBRATION_MS : CALIBRATION_MS;
    const end = Math.min(this.#probedMs + watch, this.#deadline);
    while (this.clock() < end) await this.#probeUs();
    this.#band.settle();
  }

  /** Measure until nothing is left or the time is over; how many samples each unfinished model has. */
  async #allChunks(jobs, reference) {
    for (let chunk = 0; jobs.length && !this.#late(); chunk += 1) {
      const taken = jobs.splice(0, CHUNK);
      // no chunk may take the time of those after it: where quiet is rare, all models get some samples
      const left = (this.#deadline - this.clock()) / (1 + Math.ceil(jobs.length / CHUNK));
      jobs.push(...(await this.#oneChunk(chunk, taken, reference, this.clock() + left)));
      jobs.push(...this.#outdated());
      if (jobs.length && this.settings.cooldown_s > 0) {
        await this.sleep(Math.min(this.settings.cooldown_s * 1e3, Math.max(0, this.#deadline - this.clock())));
      }
    }
    return jobs.map((job) => this.#short.get(job.id)?.accepted(this.#band).length ?? 0);
  }

  async #oneChunk(chunk, jobs, reference, until) {
    let open = await this.#load(jobs);
    this.#probedMs = this.clock();
    reference.candidates.length = 0;
    while (open.length && this.clock() < until) {
      const order = [...open];
      if (reference.accepted(this.#band).length < REFERENCE_SAMPLES) order.push(reference);
      this.#shuffle(order);
      for (const subject of order) {
        if (this.#late()) break;
        await this.#visit(subject);
      }
      this.#housekeeping(open);
      for (const subject of open) if (this.#enough(subject)) await this.#finish(chunk, subject);
      open = open.filter((subject) => !this.#finished.has(subject.job.id));
    }
    const times = reference.accepted(this.#band).map((sample) => sample.runMs).sort((a, b) => a - b);
    if (times.length) this.#referenceUs.push(times[Math.floor(times.length / 4)] * 1e3);
    const short = [];
    for (const subject of open) {
      if (subject.accepted(this.#band).length >= this.settings.least_repeats) {
        await this.#finish(chunk, subject);
      } else {
        await subject.unload();
        this.#short.set(subject.job.id, subject);
        short.push(subject.job);
      }
    }
    return short;
  }

  async #load(jobs) {
    const subjects = [];
    for (const job of jobs) {
      const earlier = this.#short.get(job.id);
      this.#short.delete(job.id);
      try {
        const loaded = await load(this.runtime, job, this.settings, this.clock);
        subjects.push(earlier === undefined ? loaded : earlier.resume(loaded));
      } catch (problem) {
        if (!(problem instanceof ModelUnusable)) throw problem;
        this.#failed += 1;
        this.emit({ type: "failed", id: job.id, reason: problem.message });
      }
    }
    return subjects;
  }

  async #visit(subject) {
    for (let i = 0; i < COLD_RUNS; i += 1) await subject.model.run();
    this.#visits += 1;
    const sample = await this.#attempt(subject, await this.#bracketUs());
    subject.typical.add(sample.runMs);
    if (!this.#take(subject, sample) && (await this.#waitForQuiet(subject, sample.afterUs))) {
      this.#take(subject, await this.#attempt(subject, this.#lastUs));
    }
  }

  async #attempt(subject, beforeUs) {
    const { model, runs } = subject;
    const begin = this.clock();
    for (let i = 0; i < runs; i += 1) await model.run();
    const end = this.clock();
    subject.attempts += 1;
    return { runMs: (end - begin) / runs, beforeUs, afterUs: await this.#bracketUs() };
  }

  #take(subject, sample) {
    if (!this.#band.quiet(sample.beforeUs) || !this.#band.quiet(sample.afterUs)) return false;
    subject.candidates.push(sample);
    return true;
  }

  /** Probe until two in a row are quiet; false when the model's patience ends before that. */
  async #waitForQuiet(subject, lastUs) {
    const end = this.clock() + Math.max(MIN_PATIENCE_MS, PATIENCE * subject.runMs * subject.runs);
    let inARow = Number(this.#band.quiet(lastUs));
    while (inARow < 2 && this.clock() < end) inARow = this.#band.quiet(await this.#probeUs()) ? inARow + 1 : 0;
    return inARow >= 2;
  }

  /** A probe next to a model. The first ones after a large model run in caches that it left cold, so they have more than one try. */
  async #bracketUs() {
    for (let i = 0; i < PROBE_TRIES; i += 1) if (this.#band.quiet(await this.#timeProbe())) break;
    return this.#see();
  }

  async #probeUs() {
    await this.#timeProbe();
    return this.#see();
  }

  async #timeProbe() {
    const begin = this.clock();
    for (let i = 0; i < this.#probeRuns; i += 1) await this.#probe.run();
    this.#lastUs = ((this.clock() - begin) / this.#probeRuns) * 1e3;
    return this.#lastUs;
  }

  /** Take the last probe into the band. */
  #see() {
    const now = this.clock();
    this.#band.add(this.#lastUs, now - this.#probedMs);
    this.#probedMs = now;
    return this.#lastUs;
  }

  /** Whether a model's turn is over: samples enough for the interval that the plan wants, or so many that it stays wide. */
  #enough(subject) {
    const accepted = subject.accepted(this.#band);
    const { min_repeats, min_total_ms, statistic = "p50", max_rel_ci = Infinity } = this.settings;
    if (accepted.length >= MAX_SAMPLES) return true;
    const total = accepted.reduce((sum, sample) => sum + sample.runMs, 0) * subject.runs;
    if (accepted.length < min_repeats || total < min_total_ms) return false;
    if (accepted.length >= CAP * min_repeats) return true;
    return halfWidth(accepted.map((sample) => sample.runMs), statistic) <= max_rel_ci;
  }

  async #finish(chunk, subject) {
    const accepted = subject.accepted(this.#band);
    this.#finished.set(subject.job.id, subject);
    this.emit({
      type: "result",
      id: subject.job.id,
      quiet_ms: accepted.slice(0, MAX_SAMPLES).map((sample) => rounded(sample.runMs)),
      typical_ms: subject.typical.runsMs.map(rounded),
      rejected: subject.attempts - accepted.length,
      load_ms: subject.loadMs,
      first_ms: subject.firstMs,
      runs_per_sample: subject.runs,
      quiet_level_us: this.#band.levelUs,
      chunk,
      execution: subject.execution,
    });
    await subject.unload();
  }

  /** Finished models most of whose samples are not quiet in the present band; each comes back twice at most. */
  #outdated() {
    const again = [];
    for (const [key, subject] of [...this.#finished]) {
      const left = subject.accepted(this.#band).length;
      const restarts = this.#restarts.get(key) ?? 0;
      if (left < Math.min(this.settings.min_repeats / 2, this.settings.least_repeats) && restarts < MAX_RESTARTS) {
        this.#restarts.set(key, restarts + 1);
        this.#finished.delete(key);
        again.push(subject.job);
      }
    }
    return again;
  }

  #housekeeping(open) {
    const now = this.clock();
    if (now - this.#settledMs >= SETTLE_MS) {
      this.#settledMs = now;
      this.#band.settle();
    }
    if (now - this.#progressMs < PROGRESS_MS) return;
    this.#progressMs = now;
    const wanted = this.settings.min_repeats;
    const have = [...open, ...this.#short.values()].reduce((sum, s) => sum + Math.min(s.accepted(this.#band).length, wanted), 0);
    this.emit({
      type: "progress",
      finished: this.#finished.size,
      accepted: have + this.#finished.size * wanted,
      wanted: (this.#wanted - this.#failed) * wanted,
      quiet_share: this.#band.quietShare(),
    });
  }

  #late() {
    return this.clock() >= this.#deadline;
  }

  #shuffle(items) {
    for (let i = items.length - 1; i > 0; i -= 1) {
      const j = Math.floor(this.#random() * (i + 1));
      [items[i], items[j]] = [items[j], items[i]];
    }
  }
}

function rounded(ms) {
  return Math.round(ms * 1e6) / 1e6;
}
