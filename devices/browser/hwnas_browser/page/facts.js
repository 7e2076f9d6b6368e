// What a page can say about its device. What it cannot know is null with the reason, never zero.

const fact = (value, reason = "the browser does not tell") =>
  value === null || value === undefined || value === "" ? { value: null, reason } : { value: typeof value === "string" ? value.slice(0, 300) : value, reason: null };

/** The step of the clock in us: the smallest difference that it shows (5 where the page is isolated, 100 and more where it is not). */
export function tickUs() {
  let least = Infinity;
  const begin = performance.now();
  let last = begin;
  while (last - begin < 20) {
    const now = performance.now();
    if (now > last) least = Math.min(least, now - last);
    last = now;
  }
  return Math.max(1, Math.round(least * 1e4) / 10);
}

/** The browser's name and version, and the system's, as far as it says them. */
export function browserName() {
  const brands = navigator.userAgentData?.brands?.filter((brand) => !/not.?a.?brand/i.test(brand.brand.replaceAll(/[^a-z ]/gi, ""))) ?? [];
  const brand = brands.find((b) => b.brand !== "Chromium") ?? brands[0];
  const agent = navigator.userAgent;
  const match = agent.match(/(Firefox|Edg|HeadlessChrome|Chrome|Version)\/(\d+)/);
  const name = brand ? `${brand.brand} ${brand.version}` : match ? `${match[1] === "Version" ? "Safari" : match[1]} ${match[2]}` : "a browser";
  const system = navigator.userAgentData?.platform || agent.match(/\(([^;)]+)/)?.[1] || "unknown system";
  return `${name} on ${system}`.slice(0, 64);
}

/** The facts of a hello message. */
export async function deviceFacts() {
  const hints = await navigator.userAgentData?.getHighEntropyValues?.(["model", "architecture", "platformVersion"]).catch(() => null);
  const battery = await navigator.getBattery?.().catch(() => null);
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const hidden = "a page cannot read it";
  return {
    browser: fact(browserName()),
    model: fact(hints?.model),
    cpu: fact(hints?.architecture),
    cores: fact(navigator.hardwareConcurrency),
    memory_gib: fact(navigator.deviceMemory),
    timer_us: fact(tickUs()),
    cross_origin_isolated: fact(String(self.crossOriginIsolated)),
    wasm_threads: fact(self.crossOriginIsolated ? navigator.hardwareConcurrency || 1 : 1),
    webgpu: fact(adapter ? `${adapter.info?.vendor ?? ""} ${adapter.info?.architecture ?? ""}`.trim() || "yes" : null, "the browser offers no WebGPU adapter"),
    battery_level: fact(battery?.level),
    charging: fact(battery ? String(battery.charging) : null),
    governor: fact(null, hidden),
    frequency_mhz: fact(null, hidden),
    temperature_c: fact(null, hidden),
  };
}
