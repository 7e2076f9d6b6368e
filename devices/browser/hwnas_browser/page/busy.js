// The procedure for a device that is never quiet: hwnas_agent/busy.py, whose docstring tells why it is as it is.

export const QUIET_SHARE = 0.75;
export const BUSY_BELOW = 0.05;
export const PASSES = 5;
export const ROUNDS = 8;
export const RUNS = 3;

/** Whether models that have so many quiet samples will not get enough: hardly any time was quiet, or most have next to nothing by now. */
export function neverQuiet(samples, least, wanted, quietShare) {
  const poor = samples.filter((n) => n < least).length;
  return poor > 0 && ((quietShare ?? 0) < BUSY_BELOW || poor > wanted / 2);
}

/** Every job once a pass, size of them together, drawn anew each time by shuffle. */
export function* companies(jobs, size, shuffle) {
  for (let pass = 0; pass < PASSES; pass += 1) {
    const order = [...jobs];
    shuffle(order);
    for (let start = 0; start < order.length; start += size) yield order.slice(start, start + size);
  }
}
