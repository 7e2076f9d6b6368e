// What the page tells of a model: hwnas_agent/reports.py without memory and energy, which a page cannot see.

export const MAX_SAMPLES = 2000;

/** A model's turn is over. */
export function result(subject, accepted, { quietLevelUs, chunk }) {
  return {
    type: "result",
    quiet_ms: accepted.slice(0, MAX_SAMPLES).map((sample) => rounded(sample.runMs)),
    typical_ms: subject.typical.runsMs.map(rounded),
    rejected: subject.attempts - accepted.length,
    quiet_level_us: quietLevelUs,
    chunk,
    ...shared(subject),
  };
}

/** Samples of a device that is never quiet; at_s is since the session began. */
export function busy(subject, beginMs) {
  const samples = subject.busy.slice(0, MAX_SAMPLES);
  return {
    type: "busy",
    busy_ms: samples.map((sample) => rounded(sample.runMs)),
    at_s: samples.map((sample) => Math.round((sample.atMs - beginMs) * 10) / 1e4),
    rejected: subject.attempts - samples.length,
    ...shared(subject),
  };
}

function shared(subject) {
  return {
    id: subject.job.id,
    load_ms: subject.loadMs,
    first_ms: subject.firstMs,
    runs_per_sample: subject.runs,
    execution: subject.execution,
  };
}

function rounded(ms) {
  return Math.round(ms * 1e6) / 1e6;
}
