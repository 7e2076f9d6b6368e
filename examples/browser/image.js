// Pixels as the input of a network, by the steps in preprocessing.json. Knows no browser.

// `image`: { data: RGBA of 8 bits, width, height }, opaque. Gives { data: Float32Array, dims } in the layout of `steps`.
export function input(image, steps) {
  const channels = steps.colour === "L" ? 1 : 3;
  const small = resized(square(image, channels), steps.size, channels);
  const { size } = steps;
  const first = steps.layout === "NCHW";
  const out = new Float32Array(small.length);
  for (let pixel = 0; pixel < size * size; pixel += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      const value = (small[pixel * channels + channel] / steps.scale - steps.mean[channel]) / steps.std[channel];
      out[first ? channel * size * size + pixel : pixel * channels + channel] = value;
    }
  }
  return { data: out, dims: first ? [1, channels, size, size] : [1, size, size, channels] };
}

// The largest centred square, grey (ITU-R 601-2) or RGB.
function square({ data, width, height }, channels) {
  const side = Math.min(width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  const values = new Uint8Array(side * side * channels);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const at = 4 * ((top + y) * width + left + x);
      const [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
      const to = (y * side + x) * channels;
      if (channels === 1) values[to] = Math.floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536);
      else values.set([red, green, blue], to);
    }
  }
  return { values, side };
}

// Bilinear with antialiasing: along the lines, then along the columns, rounded after each.
function resized({ values, side }, size, channels) {
  const weights = triangle(side, size);
  const across = passed(values, side, weights, (line, at) => line * side + at, (line, to) => line * size + to, channels);
  return passed(across, size, weights, (line, at) => at * size + line, (line, to) => to * size + line, channels);
}

function passed(values, lines, weights, from, into, channels) {
  const out = new Uint8Array(lines * weights.length * channels);
  for (let line = 0; line < lines; line += 1) {
    weights.forEach(({ begin, shares }, to) => {
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = 0;
        shares.forEach((share, offset) => {
          sum += share * values[from(line, begin + offset) * channels + channel];
        });
        out[into(line, to) * channels + channel] = Math.min(255, Math.max(0, Math.floor(sum + 0.5)));
      }
    });
  }
  return out;
}

// For each value of the new line, which values of the old one count how much.
function triangle(before, after) {
  const scale = before / after;
  const reach = Math.max(scale, 1);
  return Array.from({ length: after }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const all = Array.from({ length: before }, (_unused, at) => Math.max(0, 1 - Math.abs(at + 0.5 - centre) / reach));
    const begin = all.findIndex((share) => share > 0);
    const shares = all.slice(begin, all.findLastIndex((share) => share > 0) + 1);
    const sum = shares.reduce((a, b) => a + b, 0);
    return { begin, shares: shares.map((share) => share / sum) };
  });
}
