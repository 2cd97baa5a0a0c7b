// jax-js on its WebAssembly backend, in two forms that compute the same thing:
//
//   --form plain   convolution as a user of NumPy would write it without a convolution: 25 slices, one
//                  concatenation, one matmul (its own `lax.conv` is ten times slower).
//   --form tuned   the fastest form we found, written with its code generator in mind: see `tuned` below.
//
// In Node it runs on one thread, for want of a global `Worker`. `--threads 2` lends it one made of Node's own
// worker threads, so that it runs as in a browser.

import { resolveObjectURL } from "node:buffer";
import { Worker as NodeWorker } from "node:worker_threads";
import { asked, serve, version } from "./serve.mjs";
import { adam, examples, factors, parameters } from "./works.mjs";

if (asked.threads > 1) lendWorkers(asked.threads);
const { blockUntilReady, jit, nn, numpy: np, tree, valueAndGrad } = await import("@jax-js/jax");

/** The part of a browser's `Worker` that jax-js uses: a script at a blob URL, messages both ways. */
function lendWorkers(threads) {
  const preamble = `
    const { parentPort } = require("node:worker_threads");
    globalThis.self = globalThis;
    self.postMessage = (message) => parentPort.postMessage(message);
    parentPort.on("message", (data) => self.onmessage({ data }));`;
  globalThis.Worker = class {
    #worker;
    constructor(url) {
      this.#worker = resolveObjectURL(url).text().then((script) => {
        const worker = new NodeWorker(preamble + script, { eval: true });
        worker.on("message", (data) => this.onmessage({ data }));
        worker.on("error", (error) => this.onerror(error));
        return worker;
      });
    }
    postMessage(message) {
      // Past the first message, post at once: a detour through the promise would cost each kernel a turn.
      if (this.worker) this.worker.postMessage(message);
      else void this.#worker.then((worker) => (this.worker = worker).postMessage(message));
    }
  };
  Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency: threads }, configurable: true });
}

/** The larger of each 2 x 2 square, for rank 4 with rows and columns last. Faster than reducing two axes. */
function pool(x) {
  const [channels, batch, size] = x.shape;
  const squares = x.reshape([channels * batch * (size / 2), 2, size / 2, 2]);
  const corner = (i, j) => squares.ref.slice([], i, [], j);
  const largest = np.maximum(np.maximum(corner(0, 0), corner(0, 1)), np.maximum(corner(1, 0), corner(1, 1)));
  squares.dispose();
  return largest.reshape([channels, batch, size / 2, size / 2]);
}

// Both forms keep channels first, `[channels, batch, rows, columns]`, so that positions are a matmul's columns.

/** Valid 5 x 5 convolution: patches `[25 · channels, positions]` by concatenation, then `weight · patches`. */
function plainConvolution(x, weight, bias) {
  const [channels, batch, size] = x.shape;
  const [filters, out] = [weight.shape[0], size - 4];
  const slices = [];
  for (let i = 0; i < 5; i++) {
    for (let j = 0; j < 5; j++) {
      slices.push(x.ref.slice([], [], [i, i + out], [j, j + out]).reshape([1, channels, batch * out * out]));
    }
  }
  x.dispose();
  const patches = np.concatenate(slices, 0).reshape([25 * channels, batch * out * out]);
  const matrix = weight.transpose([0, 2, 3, 1]).reshape([filters, 25 * channels]);
  return np.matmul(matrix, patches).add(bias.reshape([filters, 1])).reshape([filters, batch, out, out]);
}

/**
 * Adds an axis of `width` shifted views before `axis`: element `[k, i]` is element `[i + k]`. Repeating the axis and
 * cutting it one longer shifts every repetition by one, so no element is copied until somebody needs it.
 */
function windows(x, axis, width) {
  const [before, size, after] = [x.shape.slice(0, axis), x.shape[axis], x.shape.slice(axis + 1)];
  const repeats = Math.ceil((width * (size + 1)) / size);
  const whole = (sizes) => sizes.map(() => []);
  return np
    .broadcastTo(x.reshape([...before, 1, size, ...after]), [...before, repeats, size, ...after])
    .reshape([...before, repeats * size, ...after])
    .slice(...whole(before), [0, width * (size + 1)], ...whole(after))
    .reshape([...before, width, size + 1, ...after])
    .slice(...whole(before), [], [0, size - width + 1], ...whole(after));
}

/**
 * The same convolution, faster. Its SIMD loops want inner sizes that four divides: one channel gets windows of
 * 5 x 8, with zeros to the right of the filters. With many channels only the columns are spread out, and five
 * matmuls, one per filter row, read shifted rows of it: a fifth of the copying.
 */
function tunedConvolution(x, weight, bias) {
  const [channels, batch, size] = x.shape;
  const [filters, out] = [weight.shape[0], size - 4];
  let sum;
  if (channels === 1) {
    const padded = np.pad(x, [[0, 0], [0, 0], [0, 0], [0, 3]]);
    const patches = windows(windows(padded, 3, 8), 2, 5).transpose([2, 4, 0, 1, 3, 5]).reshape([40, batch * out * out]);
    const matrix = np.concatenate([weight, np.zeros([filters, 1, 5, 3])], 3).reshape([filters, 40]);
    sum = np.matmul(matrix, patches);
  } else {
    const spread = windows(x, 3, 5).transpose([3, 0, 1, 2, 4]).reshape([5 * channels, batch, size, out]);
    const rows = weight.transpose([2, 0, 3, 1]).reshape([5, filters, 5 * channels]);
    for (let i = 0; i < 5; i++) {
      const shifted = spread.ref.slice([], [], [i, i + out], []).reshape([5 * channels, batch * out * out]);
      const part = np.matmul(rows.ref.slice(i), shifted);
      sum = sum ? sum.add(part) : part;
    }
    spread.dispose();
    rows.dispose();
  }
  return sum.add(bias.reshape([filters, 1])).reshape([filters, batch, out, out]);
}

const convolution = asked.form === "plain" ? plainConvolution : tunedConvolution;
const dense = (x, weight, bias) => np.matmul(x, weight).add(bias);

const networks = {
  lenet5(p, images) {
    const batch = images.shape[0];
    let x = images.reshape([1, batch, 28, 28]);
    x = nn.relu(pool(convolution(x, p.conv1Weight, p.conv1Bias)));
    x = nn.relu(pool(convolution(x, p.conv2Weight, p.conv2Bias)));
    x = x.transpose([1, 0, 2, 3]).reshape([batch, 800]);
    return dense(nn.relu(dense(x, p.dense1Weight, p.dense1Bias)), p.dense2Weight, p.dense2Bias);
  },
  lenet300(p, images) {
    const x = nn.relu(dense(images, p.dense1Weight, p.dense1Bias));
    return dense(nn.relu(dense(x, p.dense2Weight, p.dense2Bias)), p.dense3Weight, p.dense3Bias);
  },
};

const arrays = (network) =>
  Object.fromEntries(
    Object.entries(parameters(network)).map(([name, { shape, data }]) => [name, np.array(data).reshape(shape)]),
  );

const zerosLike = (p) => tree.map((x) => np.zeros(x.shape), p);

function trainer({ network, batch }) {
  const { images, labels } = examples(batch);
  const x = np.array(images).reshape([batch, 784]);
  const onehot = new Float32Array(batch * 10);
  labels.forEach((label, i) => (onehot[10 * i + label] = 1));
  const y = np.array(onehot).reshape([batch, 10]);

  const loss = (p, x, y) => nn.logSoftmax(networks[network](p, x)).mul(y).sum().mul(-1 / batch);
  const lossAndGradients = valueAndGrad(loss);
  // `rate` and `scale` carry Adam's bias corrections 1 / (1 - beta^t), which change with every step.
  const step = jit((p, m, v, x, y, rate, scale) => {
    const [value, g] = lossAndGradients(tree.ref(p), x, y);
    const [p2, m2, v2] = [{}, {}, {}];
    for (const name of Object.keys(p)) {
      m2[name] = m[name].mul(adam.beta1).add(g[name].ref.mul(1 - adam.beta1));
      v2[name] = v[name].mul(adam.beta2).add(np.square(g[name]).mul(1 - adam.beta2));
      const deviation = np.sqrt(v2[name].ref.mul(scale.ref)).add(adam.epsilon);
      p2[name] = p[name].sub(m2[name].ref.mul(rate.ref).div(deviation));
    }
    rate.dispose();
    scale.dispose();
    return [value, p2, m2, v2];
  });

  let p = arrays(network);
  let [m, v] = [zerosLike(tree.ref(p)), zerosLike(tree.ref(p))];
  let t = 0;
  return {
    async run() {
      t++;
      const rate = np.array(adam.rate / (1 - adam.beta1 ** t));
      const scale = np.array(1 / (1 - adam.beta2 ** t));
      let value;
      [value, p, m, v] = step(p, m, v, x.ref, y.ref, rate, scale);
      await blockUntilReady([p, m, v]);
      return (await value.data())[0];
    },
  };
}

/**
 * LeNet-5's inference, tuned: one `jit` per stage, because what a stage returns is written out, while inside one
 * `jit` the patches stay a view that the matmul then reads, element by element, ten times slower. Patches lie with
 * positions as rows here, as the matmul wants its second factor transposed.
 */
function stagedInference() {
  const filters = jit((weight) => np.pad(weight, [[0, 0], [0, 0], [0, 0], [0, 3]]).reshape([20, 40]));
  const patches1 = jit((images) => {
    const padded = np.pad(images.reshape([-1, 28, 28]), [[0, 0], [0, 0], [0, 3]]);
    return windows(windows(padded, 2, 8), 1, 5).transpose([0, 2, 4, 1, 3]).reshape([-1, 40]);
  });
  const patches2 = jit((x) => {
    const last = x.transpose([1, 2, 3, 0]);
    return windows(windows(last, 2, 5), 1, 5).transpose([0, 2, 4, 1, 3, 5]).reshape([-1, 500]);
  });
  const matrix = jit((weight) => weight.transpose([0, 2, 3, 1]).reshape([50, 500]));
  const product = (matrix, patches, bias) => np.matmul(matrix, patches.transpose()).add(bias.reshape([-1, 1]));
  const layer1 = jit((w, patches, b) => nn.relu(pool(product(w, patches, b).reshape([20, -1, 24, 24]))));
  const layer2 = jit((w, patches, b) => {
    const x = nn.relu(pool(product(w, patches, b).reshape([50, -1, 8, 8])));
    return x.transpose([1, 0, 2, 3]).reshape([-1, 800]);
  });
  const rest = jit((p, x) => dense(nn.relu(dense(x, p.dense1Weight, p.dense1Bias)), p.dense2Weight, p.dense2Bias));
  const prepared = ({ conv1Weight, conv2Weight, ...p }) => {
    return { ...p, conv1: filters(conv1Weight), conv2: matrix(conv2Weight) };
  };
  const forward = ({ conv1, conv1Bias, conv2, conv2Bias, ...p }, images) => {
    const x = layer1(conv1, patches1(images), conv1Bias);
    return rest(p, layer2(conv2, patches2(x), conv2Bias));
  };
  return { prepared, forward };
}

await serve({
  peer: asked.form === "plain" ? "jax-js-plain" : "jax-js",
  version: version("@jax-js/jax"),
  prepare(work) {
    if (work.kind === "step") return trainer(work);
    if (work.kind === "gemm") {
      const { a, b } = factors(work);
      const [x, y] = [np.array(a).reshape([work.m, work.k]), np.array(b).reshape([work.k, work.n])];
      return {
        run: () => np.matmul(x.ref, y.ref).blockUntilReady(),
        read: (product) => product.ref.data(),
        free: (product) => product.dispose(),
      };
    }
    const { images } = examples(work.batch);
    const plain = { prepared: (p) => p, forward: jit(networks[work.network]) };
    const { prepared, forward } = asked.form === "plain" ? plain : stagedInference();
    const p = prepared(arrays(work.network));
    return { run: () => forward(tree.ref(p), np.array(images).reshape([work.batch, 784])).data() };
  },
});
