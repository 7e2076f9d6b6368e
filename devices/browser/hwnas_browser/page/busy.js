// The procedure for a device that is never quiet: hwnas_agent/busy.py, whose docstring tells why it is as it is.

export const QUIET_SHARE = 0.5;
export const BUSY_BELOW = 0.05;
export const PASSES = 10;
export const ROUNDS = 4;
export const RUNS = 3;

/** Whether models that were visited and have so many quiet samples show a device that will not be quiet enough. */
export function neverQuiet(samples, least, quietShare) {
  const poor = samples.filter((n) => n < least).length;
  return poor > 0 && ((quietShare ?? 0) < BUSY_BELOW || poor > samples.length / 2);
}

/** Every job once a pass, size of them together, drawn anew each time by shuffle. */
export function* companies(jobs, size, shuffle) {
  for (let pass = 0; pass < PASSES; pass += 1) {
    const order = [...jobs];
    shuffle(order);
    for (let start = 0; start < order.length; start += size) yield order.slice(start, start + size);
  }
}
