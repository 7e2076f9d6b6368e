// One visit to a model, as hwnas_agent/sampling.py does it, but for waiting for a core, which a page cannot see.

export const COLD_RUNS = 2;
export const MORE = 3;

/** Visits models. A sample is quiet if the probes around it are. */
export class Sampler {
  #clock;
  #prober;
  visits = 0;

  constructor(prober, clock) {
    this.#prober = prober;
    this.#clock = clock;
  }

  /** One typical sample, and a quiet one if the device is quiet or becomes so in a while; more of them where that is rare. */
  async visit(subject) {
    let sample = await this.#attempt(subject, await this.#arrive(subject));
    subject.typical.add(sample.runMs);
    let taken = this.#take(subject, sample);
    if (!taken && (await this.#prober.waitForQuiet(sample.afterUs, subject.runMs * subject.runs))) {
      sample = await this.#attempt(subject, this.#prober.lastUs);
      taken = this.#take(subject, sample);
    }
    const more = this.#prober.rarelyQuiet ? MORE : 0;
    for (let i = 0; i < more && taken; i += 1) {
      sample = await this.#attempt(subject, sample.afterUs);
      taken = this.#take(subject, sample);
    }
  }

  /** Samples of the state that the device is in, away from quiet: one that is quiet is a quiet sample, one that is half of it none.
      The first of a visit is a typical one here, too. */
  async visitBusy(subject, times) {
    let beforeUs = await this.#arrive(subject);
    for (let i = 0; i < times; i += 1) {
      const sample = await this.#attempt(subject, beforeUs);
      beforeUs = sample.afterUs;
      if (i === 0) subject.typical.add(sample.runMs);
      const touched = this.#prober.band.quiet(sample.beforeUs) || this.#prober.band.quiet(sample.afterUs);
      if (!this.#take(subject, sample) && !touched) subject.busy.push(sample);
    }
  }

  async #arrive(subject) {
    this.visits += 1;
    for (let i = 0; i < COLD_RUNS; i += 1) await subject.model.run();
    return this.#prober.bracketUs();
  }

  async #attempt(subject, beforeUs) {
    const { model, runs } = subject;
    const begin = this.#clock();
    for (let i = 0; i < runs; i += 1) await model.run();
    const end = this.#clock();
    subject.attempts += 1;
    return { runMs: (end - begin) / runs, beforeUs, afterUs: await this.#prober.bracketUs(), atMs: begin };
  }

  #take(subject, sample) {
    const { band } = this.#prober;
    if (!band.quiet(sample.beforeUs) || !band.quiet(sample.afterUs)) return false;
    subject.candidates.push(sample);
    return true;
  }
}
