// Heating a device before it is measured: hwnas_agent/heating.py without the temperature, which a page cannot read.

const WINDOW_MS = 5000;
const SETTLED = 1.01;

/** Seconds until the median of the last three windows of 5 s differs by 1 % at most; bounded. */
export async function heat(model, clock, until) {
  const begin = clock();
  const medians = [];
  while (clock() < until) {
    medians.push(await medianMs(model, clock, Math.min(clock() + WINDOW_MS, until)));
    const last = medians.slice(-3);
    if (last.length === 3 && Math.max(...last) <= SETTLED * Math.min(...last)) break;
  }
  return (clock() - begin) / 1e3;
}

async function medianMs(model, clock, until) {
  const times = [];
  while (times.length === 0 || clock() < until) {
    const begin = clock();
    await model.run();
    times.push(clock() - begin);
  }
  return times.sort((a, b) => a - b)[Math.trunc(times.length / 2)];
}
