// Probing: the short model that is run between the others, as hwnas_agent/probing.py does it. Times are in ms, a probe's in us.

import { TICKS } from "./subject.js";

const PATIENCE = 5;
const PROBE_TRIES = 3;
const MIN_PATIENCE_MS = 1;
const SETTLE_MS = 250;
const RARELY = 0.5;
const MAX_PROBE_RUNS = 50;

/** Runs the probe, often enough in a row for a coarse clock, and takes what it sees into the band. */
export class Prober {
  #clock;
  #model;
  #runs;
  #seenMs;
  #settledMs;
  lastUs = 0;
  rarelyQuiet = false;

  constructor({ model, runMs }, band, clock, tickUs) {
    this.band = band;
    this.#clock = clock;
    this.#model = model;
    this.#runs = Math.max(1, Math.min(MAX_PROBE_RUNS, Math.ceil((TICKS * tickUs) / 1e3 / Math.max(runMs, 1e-6))));
    this.#seenMs = this.#settledMs = clock();
  }

  /** Do nothing but probe until then, and find the quiet level. */
  async watch(until) {
    this.forget();
    while (this.#clock() < until) await this.probeUs();
    this.band.settle();
  }

  /** The next probe does not stand for the time that passed until now: something else than measuring filled it. */
  forget() {
    this.#seenMs = this.#clock();
  }

  /** Find the level anew, if it is some time ago that this was done. */
  settle() {
    const now = this.#clock();
    if (now - this.#settledMs < SETTLE_MS) return;
    this.#settledMs = now;
    this.band.settle();
    const share = this.band.quietShare();
    this.rarelyQuiet = share !== null && share < RARELY;
  }

  /** A probe next to a model. The first ones after a large model run in caches that it left cold, so they have more than one try. */
  async bracketUs() {
    for (let i = 0; i < PROBE_TRIES; i += 1) if (this.band.quiet(await this.#time())) break;
    return this.#see();
  }

  /** One probe. */
  async probeUs() {
    await this.#time();
    return this.#see();
  }

  /** Probe until two in a row are quiet; false when a few times ownMs, the model's own time, pass before that. */
  async waitForQuiet(lastUs, ownMs) {
    const end = this.#clock() + Math.max(MIN_PATIENCE_MS, PATIENCE * ownMs);
    let inARow = Number(this.band.quiet(lastUs));
    while (inARow < 2 && this.#clock() < end) inARow = this.band.quiet(await this.probeUs()) ? inARow + 1 : 0;
    return inARow >= 2;
  }

  async #time() {
    const begin = this.#clock();
    for (let i = 0; i < this.#runs; i += 1) await this.#model.run();
    this.lastUs = ((this.#clock() - begin) / this.#runs) * 1e3;
    return this.lastUs;
  }

  /** Take the last probe into the band; it stands for the time since the one before. */
  #see() {
    const now = this.#clock();
    this.band.add(this.lastUs, now - this.#seenMs);
    this.#seenMs = now;
    return this.lastUs;
  }
}
