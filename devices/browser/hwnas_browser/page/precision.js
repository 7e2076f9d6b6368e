// When a model has samples enough: the same as hwnas_agent/precision.py, step by step; a test compares both.

export const QUANTILES = { p10: 0.1, p25: 0.25, p50: 0.5, p90: 0.9, p99: 0.99 };
export const CAP = 4;
const CONFIDENCE = 0.95;

/** Half the width of the 95 % interval, relative to the statistic; infinite while the samples are too few for an interval with two ends. */
export function halfWidth(samples, statistic) {
  const quantile = QUANTILES[statistic];
  const n = samples.length;
  if (n === 0 || Math.max(quantile, 1 - quantile) ** n > (1 - CONFIDENCE) / 2) return Infinity;
  const ordered = [...samples].sort((a, b) => a - b);
  const place = quantile * (n - 1);
  const below = Math.min(Math.trunc(place), n - 2);
  const value = ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]);
  const [low, high] = ranks(n, quantile);
  const width = Math.max(ordered[high], value) - Math.min(ordered[low], value);
  return value > 0 ? width / 2 / value : Infinity;
}

/** 0-based ranks of the two order statistics among n, from the binomial count of samples below the quantile. */
export function ranks(n, quantile) {
  const tail = (1 - CONFIDENCE) / 2;
  let [low, high, below, logChoose] = [-1, n, 0, 0];
  for (let k = 0; k <= n; k += 1) {
    if (k > 0) logChoose += Math.log(n - k + 1) - Math.log(k);
    below += Math.exp(logChoose + k * Math.log(quantile) + (n - k) * Math.log1p(-quantile));
    if (below <= tail) low = k;
    if (below >= 1 - tail) {
      high = k;
      break;
    }
  }
  return [Math.max(low, 0), Math.min(high, n - 1)];
}
