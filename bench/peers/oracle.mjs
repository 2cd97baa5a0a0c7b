// What the right answers are: plain loops in float64, as slow and as obvious as they come. A peer whose numbers
// do not agree with these is doing some other work, and its times are worth nothing.

import { adam, examples, factors, parameters, places, works } from "./works.mjs";

/** Layers in order. `conv` is valid, 5 x 5, stride 1; `pool` takes the largest of 2 x 2. */
const layers = {
  lenet5: [
    { kind: "conv", name: "conv1", channels: 1, size: 28, filters: 20 },
    { kind: "pool", channels: 20, size: 24 },
    { kind: "relu" },
    { kind: "conv", name: "conv2", channels: 20, size: 12, filters: 50 },
    { kind: "pool", channels: 50, size: 8 },
    { kind: "relu" },
    { kind: "dense", name: "dense1", inputs: 800, outputs: 500 },
    { kind: "relu" },
    { kind: "dense", name: "dense2", inputs: 500, outputs: 10 },
  ],
  lenet300: [
    { kind: "dense", name: "dense1", inputs: 784, outputs: 300 },
    { kind: "relu" },
    { kind: "dense", name: "dense2", inputs: 300, outputs: 100 },
    { kind: "relu" },
    { kind: "dense", name: "dense3", inputs: 100, outputs: 10 },
  ],
};

// Each kind: `forward(layer, x, p)` gives `y` for one example, `backward(layer, x, y, dy, p, g)` gives `dx` and adds
// to the gradients `g`. ReLU stands after pooling here, which changes no number: the larger of two survives either.
const kinds = {
  conv: {
    forward({ name, channels, size, filters }, x, p) {
      const weight = p[`${name}Weight`];
      const out = size - 4;
      const y = new Float64Array(filters * out * out);
      for (let f = 0; f < filters; f++) {
        y.fill(p[`${name}Bias`][f], f * out * out, (f + 1) * out * out);
        for (let c = 0; c < channels; c++) {
          for (let k = 0; k < 25; k++) {
            const w = weight[(f * channels + c) * 25 + k];
            const corner = c * size * size + Math.floor(k / 5) * size + (k % 5);
            for (let i = 0; i < out; i++) {
              const from = corner + i * size;
              const to = (f * out + i) * out;
              for (let j = 0; j < out; j++) y[to + j] += w * x[from + j];
            }
          }
        }
      }
      return y;
    },
    backward({ name, channels, size, filters }, x, y, dy, p, g) {
      const weight = p[`${name}Weight`];
      const weightGradient = g[`${name}Weight`];
      const out = size - 4;
      const dx = new Float64Array(x.length);
      for (let f = 0; f < filters; f++) {
        for (let i = 0; i < out * out; i++) g[`${name}Bias`][f] += dy[f * out * out + i];
        for (let c = 0; c < channels; c++) {
          for (let k = 0; k < 25; k++) {
            const at = (f * channels + c) * 25 + k;
            const w = weight[at];
            const corner = c * size * size + Math.floor(k / 5) * size + (k % 5);
            let sum = 0;
            for (let i = 0; i < out; i++) {
              const from = corner + i * size;
              const to = (f * out + i) * out;
              for (let j = 0; j < out; j++) {
                sum += dy[to + j] * x[from + j];
                dx[from + j] += dy[to + j] * w;
              }
            }
            weightGradient[at] += sum;
          }
        }
      }
      return dx;
    },
  },
  pool: {
    forward(layer, x) {
      return Float64Array.from(winners(layer, x), (i) => x[i]);
    },
    backward(layer, x, y, dy) {
      const dx = new Float64Array(x.length);
      winners(layer, x).forEach((i, o) => (dx[i] += dy[o]));
      return dx;
    },
  },
  relu: {
    forward: (layer, x) => x.map((value) => Math.max(value, 0)),
    backward: (layer, x, y, dy) => dy.map((value, i) => (x[i] > 0 ? value : 0)),
  },
  dense: {
    forward({ name, inputs, outputs }, x, p) {
      const weight = p[`${name}Weight`];
      const y = Float64Array.from(p[`${name}Bias`]);
      for (let i = 0; i < inputs; i++) {
        for (let o = 0; o < outputs; o++) y[o] += x[i] * weight[i * outputs + o];
      }
      return y;
    },
    backward({ name, inputs, outputs }, x, y, dy, p, g) {
      const weight = p[`${name}Weight`];
      const weightGradient = g[`${name}Weight`];
      const dx = new Float64Array(inputs);
      for (let o = 0; o < outputs; o++) g[`${name}Bias`][o] += dy[o];
      for (let i = 0; i < inputs; i++) {
        for (let o = 0; o < outputs; o++) {
          weightGradient[i * outputs + o] += x[i] * dy[o];
          dx[i] += weight[i * outputs + o] * dy[o];
        }
      }
      return dx;
    },
  },
};

/** The place of the largest number in every 2 x 2 square. */
function winners({ channels, size }, x) {
  const half = size / 2;
  return Int32Array.from({ length: channels * half * half }, (_, o) => {
    const row = Math.floor(o / half); // over channels and rows: both halve alike
    const corner = 2 * row * size + 2 * (o % half);
    return [corner + 1, corner + size, corner + size + 1].reduce((best, i) => (x[i] > x[best] ? i : best), corner);
  });
}

function plainParameters(network) {
  const found = Object.entries(parameters(network));
  return Object.fromEntries(found.map(([name, { data }]) => [name, Float64Array.from(data)]));
}

/** The inputs of every layer for one example, and the logits at the end. */
function trace(network, p, image) {
  const values = [Float64Array.from(image)];
  for (const layer of layers[network]) values.push(kinds[layer.kind].forward(layer, values.at(-1), p));
  return values;
}

/** Mean softmax cross entropy over the batch; its gradients are added to `g`. */
function lossAndGradients(network, p, g, { images, labels }) {
  const batch = labels.length;
  let loss = 0;
  for (let n = 0; n < batch; n++) {
    const values = trace(network, p, images.subarray(784 * n, 784 * (n + 1)));
    const logits = values.at(-1);
    const largest = Math.max(...logits);
    const total = logits.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    loss += (largest + Math.log(total) - logits[labels[n]]) / batch;
    // d loss / d logits = (softmax(logits) - onehot(label)) / batch
    let dy = logits.map((value, i) => (Math.exp(value - largest) / total - (i === labels[n] ? 1 : 0)) / batch);
    layers[network].toReversed().forEach((layer, i) => {
      const at = values.length - 2 - i;
      dy = kinds[layer.kind].backward(layer, values[at], values[at + 1], dy, p, g);
    });
  }
  return loss;
}

/** The first `steps` losses of a training. */
function losses({ network, batch }, steps) {
  const p = plainParameters(network);
  const zeros = () =>
    Object.fromEntries(Object.entries(p).map(([name, data]) => [name, new Float64Array(data.length)]));
  const [m, v] = [zeros(), zeros()];
  const found = [];
  for (let t = 1; t <= steps; t++) {
    const g = zeros();
    found.push(lossAndGradients(network, p, g, examples(batch)));
    for (const name of Object.keys(p)) {
      const [weight, slope, mean, square] = [p[name], g[name], m[name], v[name]];
      for (let i = 0; i < weight.length; i++) {
        mean[i] += (1 - adam.beta1) * (slope[i] - mean[i]);
        square[i] += (1 - adam.beta2) * (slope[i] ** 2 - square[i]);
        const deviation = Math.sqrt(square[i] / (1 - adam.beta2 ** t));
        weight[i] -= (adam.rate * (mean[i] / (1 - adam.beta1 ** t))) / (deviation + adam.epsilon);
      }
    }
  }
  return found;
}

/** The logits of the first and of the last example. */
function logits({ network, batch }) {
  const p = plainParameters(network);
  const { images } = examples(batch);
  return [0, batch - 1].flatMap((n) => [...trace(network, p, images.subarray(784 * n, 784 * (n + 1))).at(-1)]);
}

/** A few elements of a product, see `places`. */
function products(work) {
  const { a, b } = factors(work);
  return places(work).map((place) => {
    const [row, column] = [Math.floor(place / work.n), place % work.n];
    let sum = 0;
    for (let i = 0; i < work.k; i++) sum += a[row * work.k + i] * b[i * work.n + column];
    return sum;
  });
}

const answers = new Map();

/** What a peer must answer to `name` as its evidence: elements of the product, logits, or the first three losses. */
export function expected(name) {
  if (!answers.has(name)) {
    const work = works[name];
    answers.set(name, { gemm: products, inference: logits, step: (w) => losses(w, 3) }[work.kind](work));
  }
  return answers.get(name);
}

/** Says what is wrong with the evidence, or nothing. */
export function complaint(name, evidence) {
  const right = expected(name);
  if (evidence?.length !== right.length) return `${right.length} numbers expected as evidence, got ${evidence?.length}`;
  // float32 sums of up to 800 terms near 1 stay well within this; a wrong layout or a missing bias does not.
  const near = (found, value) => found !== null && Math.abs(found - value) <= 1e-3 * Math.max(1, Math.abs(value));
  const i = right.findIndex((value, i) => !near(evidence[i], value));
  return i < 0 ? undefined : `evidence ${i} is ${evidence[i]}, the plain loops give ${right[i]}`;
}
