// A model of `hwnas ci` with its labels and preprocessing, run by onnxruntime-web.

import { input } from "./image.js";

export class Classifier {
  // `folder`: what hwnas wrote for one budget; `runtime`: the files of onnxruntime-web. Both as the page sees them.
  static async load(folder, runtime) {
    const base = new URL(`${runtime}/`, document.baseURI);
    const ort = await import(new URL("ort.wasm.min.mjs", base));
    ort.env.wasm.wasmPaths = base.href;
    ort.env.wasm.numThreads = 1; // more need a page that is isolated from other origins
    const [labels, steps, model] = await Promise.all([
      fetched(`${folder}/labels.txt`).then((answer) => answer.text()),
      fetched(`${folder}/preprocessing.json`).then((answer) => answer.json()),
      fetched(`${folder}/model.onnx`).then((answer) => answer.arrayBuffer()),
    ]);
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return new Classifier(ort, session, labels.trimEnd().split("\n"), steps);
  }

  constructor(ort, session, labels, steps) {
    Object.assign(this, { ort, session, labels, steps });
  }

  // Every class with its probability, the likeliest first; `image` is a File or Blob.
  async classify(image) {
    const { data, dims } = input(await pixels(image), this.steps);
    const tensor = new this.ort.Tensor("float32", data, dims);
    const answers = await this.session.run({ [this.session.inputNames[0]]: tensor });
    const logits = answers[this.session.outputNames[0]].data;
    const shares = softmax(logits);
    return this.labels.map((label, index) => ({ label, share: shares[index] })).sort((a, b) => b.share - a.share);
  }
}

async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: the server answers ${answer.status}`);
  return answer;
}

// Decoded, upright and over white: { data: RGBA, width, height }.
async function pixels(image) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(image, { colorSpaceConversion: "none" });
  } catch {
    throw new Error("is no image that this browser reads");
  }
  const { width, height } = bitmap;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { data: context.getImageData(0, 0, width, height).data, width, height };
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}
