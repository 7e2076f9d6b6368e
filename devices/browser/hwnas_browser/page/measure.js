// How models are timed on a page: the procedure of hwnas_agent/measure.py, whose docstring tells why each step is there.
//
// What a page cannot do, and what follows: it sees no run queue (waiting for a core shows only in the probes), it cannot be pinned, and its
// clock is coarse (subject.js makes means and probes last long enough for it). Times are in ms, as performance.now() gives them.

import { OpenBand, QuietBand } from "./band.js";
import { QUIET_SHARE, ROUNDS, RUNS, companies, neverQuiet } from "./busy.js";
import { heat } from "./heating.js";
import { Prober } from "./probing.js";
import * as reports from "./reports.js";
import { Sampler } from "./sampling.js";
import { ModelUnusable, load } from "./subject.js";

export const CHUNK = 22;
const CALIBRATION_MS = 300;
const FIRST_CALIBRATION_MS = 2000;
const PROGRESS_MS = 500;
const REFERENCE_SAMPLES = 10;
const MAX_RESTARTS = 2;

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
  #chunk = 0;
  #failed = new Set();
  #finished = new Map();
  #prober;
  #progressMs;
  #random;
  #referenceUs = [];
  #restarts = new Map();
  #sampled = new Map();
  #sampler;
  #short = new Map();
  #until;
  #wanted = 0;

  constructor(runtime, settings, emit, { clock = () => performance.now(), sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms)) } = {}) {
    Object.assign(this, { runtime, settings, emit, clock, sleep });
    this.#random = generator(settings.seed);
    this.#begin = this.#progressMs = clock();
    this.#deadline = this.#until = this.#begin + settings.max_seconds * 1e3;
    this.#band = settings.heat_s > 0 ? new OpenBand() : new QuietBand(settings.quiet_level_us);
  }

  /** Time all jobs; the done message. */
  async measure(jobs, probe, reference) {
    this.#wanted = jobs.filter((job) => !job.only_busy).length;
    this.#prober = new Prober(await this.#needed(probe), this.#band, this.clock, this.settings.tick_us);
    this.#sampler = new Sampler(this.#prober, this.clock);
    const subject = await this.#needed(reference);
    const heated = await this.#heat(subject);
    await this.#calibrate();
    const left = await this.#quietOrBusy([...jobs], subject);
    const short = left.map((job) => this.#quietSamples(job));
    return {
      type: "done",
      results: this.#finished.size,
      short: short.length,
      fewest: short.length ? Math.min(...short) : 0,
      visits: this.#sampler.visits,
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
    // a device whose quiet level nobody knows is watched for longer: it may be busy for seconds on end
    const watch = this.settings.quiet_level_us === null ? FIRST_CALIBRATION_MS : CALIBRATION_MS;
    await this.#prober.watch(Math.min(this.clock() + watch, this.#deadline));
  }

  /** Measure all that can be; the models that are short of quiet samples in the end. */
  async #quietOrBusy(jobs, reference) {
    this.#until = this.clock() + QUIET_SHARE * (this.#deadline - this.clock());
    let left = await this.#allChunks(jobs.filter((job) => !job.only_busy), reference);
    while (left.length && this.clock() < this.#deadline && this.#givesUpQuiet()) {
      const begin = this.clock();
      this.#until = this.#deadline;
      await this.#busyRounds(jobs);
      const now = this.clock();
      this.#until = Math.min(this.#deadline, now + (now - begin));
      left = await this.#allChunks(left, reference);
    }
    this.#until = this.#deadline;
    left = await this.#allChunks([...left, ...this.#reopened()], reference);
    for (const job of left) if (this.#quietSamples(job) >= this.settings.least_repeats) await this.#finish(this.#short.get(job.id));
    for (const subject of this.#sampled.values()) if (subject.busy.length) this.emit(reports.busy(subject, this.#begin));
    return left.filter((job) => !this.#finished.has(job.id));
  }

  /** Whether a look at the busy device is due: it does not look as if it would be quiet, and nobody keeps it hot. */
  #givesUpQuiet() {
    const samples = [...this.#short.values(), ...this.#finished.values()].map((subject) => subject.accepted(this.#band).length);
    const sampled = [...this.#sampled.values()];
    const full = sampled.length > 0 && sampled.every((subject) => subject.busy.length >= reports.MAX_SAMPLES);
    const never = neverQuiet(samples, this.settings.least_repeats, this.#band.quietShare());
    return never && !full && !(this.settings.heat_s > 0);
  }

  #quietSamples(job) {
    return this.#short.get(job.id)?.accepted(this.#band).length ?? 0;
  }

  /** Measure until nothing is left or the time is over; the models that are not finished. */
  async #allChunks(jobs, reference) {
    while (jobs.length && !this.#late()) {
      const taken = jobs.splice(0, CHUNK);
      // no chunk may take the time of those after it: where quiet is rare, all models get some samples
      const left = (this.#until - this.clock()) / (1 + Math.ceil(jobs.length / CHUNK));
      jobs.push(...(await this.#oneChunk(taken, reference, this.clock() + left)));
      jobs.push(...this.#outdated());
      this.#chunk += 1;
      if (jobs.length && this.settings.cooldown_s > 0) {
        await this.sleep(Math.min(this.settings.cooldown_s * 1e3, Math.max(0, this.#until - this.clock())));
      }
    }
    return jobs;
  }

  async #oneChunk(jobs, reference, until) {
    let open = await this.#load(jobs);
    this.#prober.forget();
    reference.candidates.length = 0;
    while (open.length && this.clock() < until) {
      const order = [...open];
      if (reference.accepted(this.#band).length < REFERENCE_SAMPLES) order.push(reference);
      this.#shuffle(order);
      for (const subject of order) {
        if (this.#late()) break;
        await this.#sampler.visit(subject);
      }
      this.#housekeeping(open);
      for (const subject of open) if (subject.enough(this.#band, this.settings)) await this.#finish(subject);
      open = open.filter((subject) => !this.#finished.has(subject.job.id));
    }
    const times = reference.accepted(this.#band).map((sample) => sample.runMs).sort((a, b) => a - b);
    if (times.length) this.#referenceUs.push(times[Math.floor(times.length / 4)] * 1e3);
    const short = [];
    for (const subject of open) {
      if (subject.accepted(this.#band).length >= this.settings.least_repeats) {
        await this.#finish(subject);
      } else {
        await subject.unload();
        this.#short.set(subject.job.id, subject);
        short.push(subject.job);
      }
    }
    return short;
  }

  /** Sample every model as the device is. */
  async #busyRounds(jobs) {
    for (const company of companies(jobs, CHUNK, (items) => this.#shuffle(items))) {
      if (this.#late()) break;
      const subjects = await this.#load(company);
      this.#prober.forget();
      for (let round = 0; round < ROUNDS; round += 1) {
        this.#shuffle(subjects);
        for (const subject of subjects) {
          if (this.#late()) break;
          await this.#sampler.visitBusy(subject, RUNS);
        }
        this.#housekeeping(subjects.filter((subject) => !this.#finished.has(subject.job.id)));
      }
      for (const subject of subjects) {
        await subject.unload();
        this.#sampled.set(subject.job.id, subject);
        if (!this.#finished.has(subject.job.id) && !subject.job.only_busy) this.#short.set(subject.job.id, subject);
      }
    }
  }

  async #load(jobs) {
    const subjects = [];
    for (const job of jobs) {
      if (this.#failed.has(job.id)) continue;
      const earlier = this.#short.get(job.id) ?? this.#finished.get(job.id) ?? this.#sampled.get(job.id);
      this.#short.delete(job.id);
      try {
        const loaded = await load(this.runtime, job, this.settings, this.clock);
        subjects.push(earlier === undefined ? loaded : earlier.resume(loaded));
      } catch (problem) {
        if (!(problem instanceof ModelUnusable)) throw problem;
        this.#failed.add(job.id);
        this.emit({ type: "failed", id: job.id, reason: problem.message });
      }
    }
    return subjects;
  }

  async #finish(subject) {
    this.#finished.set(subject.job.id, subject);
    const accepted = subject.accepted(this.#band);
    if (subject.told !== accepted.length) {
      subject.told = accepted.length;
      this.emit(reports.result(subject, accepted, { quietLevelUs: this.#band.levelUs, chunk: this.#chunk }));
    }
    await subject.unload();
  }

  /** Models told with fewer samples, or wider apart, than the plan wants: they keep what they have, and are told again with more. */
  #reopened() {
    const again = [...this.#finished.values()].filter((subject) => !subject.enough(this.#band, this.settings));
    for (const subject of again) {
      this.#finished.delete(subject.job.id);
      this.#short.set(subject.job.id, subject);
    }
    return again.map((subject) => subject.job);
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
    this.#prober.settle();
    const now = this.clock();
    if (now - this.#progressMs < PROGRESS_MS) return;
    this.#progressMs = now;
    const wanted = this.settings.min_repeats;
    const have = [...open, ...this.#short.values()].reduce((sum, s) => sum + Math.min(s.accepted(this.#band).length, wanted), 0);
    this.emit({
      type: "progress",
      finished: this.#finished.size,
      accepted: have + this.#finished.size * wanted,
      wanted: (this.#wanted - this.#failed.size) * wanted,
      quiet_share: this.#band.quietShare(),
    });
  }

  #late() {
    return this.clock() >= this.#until;
  }

  #shuffle(items) {
    for (let i = items.length - 1; i > 0; i -= 1) {
      const j = Math.floor(this.#random() * (i + 1));
      [items[i], items[j]] = [items[j], items[i]];
    }
  }
}
