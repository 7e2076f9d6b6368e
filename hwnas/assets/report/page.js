// Draws the charts, in light or dark, and where the page is live asks for news.
const settings = JSON.parse(document.getElementById("settings").textContent);
let charts = JSON.parse(document.getElementById("charts").textContent);
const drawn = new Map();
const root = document.documentElement;
const system = window.matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");
const THEMES = { system: "as the system", light: "light", dark: "dark" };
let theme = "system";

const isDark = () => (theme === "system" ? system.matches : theme === "dark");

function config() {
  const style = getComputedStyle(root);
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
  return {
    background: "transparent",
    aria: false,
    font: "system-ui, sans-serif",
    view: { stroke: null },
    range: { category: settings.palette },
    axis: { labelColor: soft, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft, gridOpacity: 0.6 },
    legend: { labelColor: ink, titleColor: ink },
    rule: { color: soft },
    mark: { color: soft },
    text: { color: ink },
  };
}

async function draw(element, chart) {
  const rows = chart.rows.map((row) => Object.fromEntries(row.map((value, index) => [chart.columns[index], value])));
  const before = drawn.get(element);
  const narrow = element.clientWidth < 480;
  const spec = { ...chart.spec, data: { values: rows } };
  const result = await window.vegaEmbed(element, spec, {
    actions: false,
    renderer: "svg",
    config: { ...config(), ...(narrow ? { legend: { ...config().legend, columns: 1, labelLimit: 200 } } : {}) },
    tooltip: { theme: isDark() ? "dark" : "light" },
  });
  // the element around it is the image and has its words; what is inside is not read out mark by mark
  element.querySelector("svg").setAttribute("aria-hidden", "true");
  before?.finalize();
  drawn.set(element, result);
  element.dataset.rows = rows.length;
}

let turn = 0;
async function drawAll() {
  const own = ++turn;
  root.dataset.drawn = "no";
  for (const element of document.querySelectorAll(".chart")) {
    if (own !== turn) return;
    try {
      await draw(element, charts[element.dataset.chart]);
    } catch (problem) {
      element.textContent = "This browser could not draw the chart; its data are below.";
      console.error(element.dataset.chart, problem);
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
  root.dataset.drawn = "yes";
}

button.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  button.textContent = `Colours: ${THEMES[theme]}`;
  drawAll();
});
system.addEventListener("change", drawAll);

async function follow() {
  let version = "";
  let status = null;
  for (;;) {
    try {
      const answer = await fetch(`state?version=${encodeURIComponent(version)}`, { cache: "no-store" });
      const news = await answer.json();
      if (news.version !== version) {
        version = news.version;
        const at = window.scrollY;
        const open = [...document.querySelectorAll("details[open]")].map((each) => each.parentElement.id);
        for (const result of drawn.values()) result.finalize();
        drawn.clear();
        document.getElementById("body").innerHTML = news.body;
        for (const id of open) document.getElementById(id)?.querySelector("details")?.setAttribute("open", "");
        charts = news.charts;
        await drawAll();
        window.scrollTo({ top: at, behavior: "instant" });
      }
      status?.remove();
      status = null;
    } catch {
      if (status === null) {
        status = document.createElement("p");
        status.className = "missing";
        status.setAttribute("role", "status");
        status.textContent = "The server has ended; what is shown is the last that it said.";
        document.body.prepend(status);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

drawAll().then(() => settings.live && follow());
