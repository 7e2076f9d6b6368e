// Which speed the device runs at: the quiet band of a short probe. The same as hwnas_agent/band.py, step by step; a test compares both.

export const WIDTH = 1.08;
export const SHARE = 0.05;
export const LOW = 0.95;
export const HIGH = 1.06;
export const MIN_PROBES = 40;
const STEP = Math.log(1.0025);
const SPAN = Math.trunc(Math.log(WIDTH) / STEP);

/** Collects probe times (a histogram in steps of 0.25 %) and says which of them were quiet; knownUs is the level of an earlier session. */
export class QuietBand {
  #counts = new Map();
  #lasted = new Map();
  #knownUs;

  constructor(knownUs = null) {
    this.#knownUs = knownUs;
    this.probes = 0;
    this.levelUs = knownUs ?? 0;
  }

  /** Take one probe time in; lasted is the time since the one before, for which it stands. */
  add(probeUs, lasted = 0) {
    const step = Math.trunc(Math.log(Math.max(probeUs, 1e-3)) / STEP);
    this.#counts.set(step, (this.#counts.get(step) ?? 0) + 1);
    this.#lasted.set(step, (this.#lasted.get(step) ?? 0) + lasted);
    this.probes += 1;
  }

  /** Whether a probe time lies in the band of the present level. */
  quiet(probeUs) {
    return LOW * this.levelUs <= probeUs && probeUs <= HIGH * this.levelUs;
  }

  /** Find the level anew from all probes so far, in us. */
  settle() {
    const start = this.#firstDense();
    if (start !== null) {
      let best = start;
      for (let step = start; step <= start + SPAN; step += 1) {
        if (this.#inWindow(step) > this.#inWindow(best)) best = step;
      }
      this.levelUs = this.#median(best);
    }
    if (this.#knownUs !== null && (start === null || this.levelUs > HIGH * this.#knownUs)) this.levelUs = this.#knownUs;
    return this.levelUs;
  }

  /** Share of the time that was quiet at the present level; null before any has passed. */
  quietShare() {
    let total = 0;
    let quiet = 0;
    for (const [step, lasted] of this.#lasted) {
      total += lasted;
      if (this.quiet(Math.exp((step + 0.5) * STEP))) quiet += lasted;
    }
    return total > 0 ? quiet / total : null;
  }

  #inWindow(start) {
    let sum = 0;
    for (let step = start; step <= start + SPAN; step += 1) sum += this.#counts.get(step) ?? 0;
    return sum;
  }

  #firstDense() {
    if (this.probes < MIN_PROBES) return null;
    const needed = SHARE * this.probes;
    for (const step of [...this.#counts.keys()].sort((a, b) => a - b)) {
      // a window that ends at this step is the first one that can hold enough
      if (this.#inWindow(step - SPAN) >= needed) return step - SPAN;
    }
    return null;
  }

  #median(start) {
    let left = this.#inWindow(start) / 2;
    let step = start;
    while (left > (this.#counts.get(step) ?? 0) && step < start + SPAN) {
      left -= this.#counts.get(step) ?? 0;
      step += 1;
    }
    return Math.exp((step + 0.5) * STEP);
  }
}

/** Takes every time for quiet: for a device that is kept at its limit, where being slowed down is what is measured. */
export class OpenBand extends QuietBand {
  quiet() {
    return true;
  }

  quietShare() {
    return null;
  }
}
