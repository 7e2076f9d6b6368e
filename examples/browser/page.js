// The page: load the model once, classify every image that is picked.

import { Classifier } from "./classifier.js";

const SHOWN = 5;
const [file, state, answers] = ["file", "state", "answers"].map((id) => document.getElementById(id));

try {
  const classifier = await Classifier.load("model", "ort");
  file.disabled = false;
  state.textContent = "ready";
  file.addEventListener("change", () => classify(classifier, file.files[0]));
} catch (problem) {
  state.textContent = `the model cannot be loaded: ${problem.message}`;
}

async function classify(classifier, image) {
  if (image === undefined) return;
  answers.replaceChildren();
  try {
    const begin = performance.now();
    const found = await classifier.classify(image);
    state.textContent = `done in ${(performance.now() - begin).toFixed(1)} ms`;
    answers.replaceChildren(...found.slice(0, SHOWN).map(row));
  } catch (problem) {
    state.textContent = `${image.name}: ${problem.message}`;
  }
}

function row({ label, share }) {
  const [line, name, number, bar] = ["tr", "td", "td", "meter"].map((tag) => document.createElement(tag));
  name.textContent = label;
  number.textContent = `${(100 * share).toFixed(2)} %`;
  bar.value = share;
  line.append(name, number, bar);
  return line;
}
