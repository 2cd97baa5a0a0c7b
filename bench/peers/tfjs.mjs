// TensorFlow.js on its WebAssembly backend (XNNPACK). In Node it runs on one thread: the library rules threads out
// there. Its backend has no gradient for a convolution or a pooling, so a LeNet-5 step writes both with operations
// that have one. Inference uses the real ones.

import { createRequire } from "node:module";
import { serve, version } from "./serve.mjs";
import { adam, examples, factors, parameters } from "./works.mjs";

const require = createRequire(import.meta.url);
const tf = require("@tensorflow/tfjs");
require("@tensorflow/tfjs-backend-wasm");
await tf.setBackend("wasm");
tf.enableProdMode();

const tensors = (network) =>
  Object.fromEntries(
    Object.entries(parameters(network)).map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]),
  );

// Training. Matmuls have gradients of our own: the library's ask for products of transposed factors, for which the
// backend has no fast kernel. Here the factors are transposed first.

const product = tf.customGrad((a, b, save) => {
  save([a, b]);
  return {
    value: tf.matMul(a, b),
    gradFunc: (dy, [a, b]) => [tf.matMul(dy, b.transpose()), tf.matMul(a.transpose(), dy)],
  };
});

/** The same where `b` is no function of the parameters and needs no gradient. */
const productWithConstant = (a, b) =>
  tf.customGrad((a, save) => {
    save([b]);
    return { value: tf.matMul(a, b), gradFunc: (dy, [b]) => tf.matMul(dy, b.transpose()) };
  })(a);

/**
 * Patches `[25 · channels, batch, out, out]` of `[channels, batch, rows, columns]`: 25 slices, one below the other.
 * The gradient adds 25 padded slices; the library's own would split the patches first, and its split is slow.
 */
const patches = tf.customGrad((x) => {
  const [channels, batch, size] = x.shape;
  const out = size - 4;
  const corners = Array.from({ length: 25 }, (_, k) => [Math.floor(k / 5), k % 5]);
  return {
    value: tf.concat(corners.map(([i, j]) => tf.slice(x, [0, 0, i, j], [channels, batch, out, out]))),
    gradFunc(dy) {
      const rows = dy.reshape([25, -1]); // a slice of few long rows is a fast one
      return corners
        .map(([i, j], k) => {
          const part = tf.slice(rows, [k, 0], [1, -1]).reshape([channels, batch, out, out]);
          return part.pad([[0, 0], [0, 0], [i, 4 - i], [j, 4 - j]]);
        })
        .reduce((sum, part) => sum.add(part));
    },
  };
});

/** Valid 5 x 5 convolution, channels first, as one matmul. */
function slicedConvolution(x, weight, bias) {
  const [channels, batch, size] = x.shape;
  const [filters, out] = [weight.shape[0], size - 4];
  const columns = patches(x).reshape([25 * channels, batch * out * out]);
  const matrix = weight.transpose([0, 2, 3, 1]).reshape([filters, 25 * channels]);
  const sum = channels === 1 ? productWithConstant(matrix, columns) : product(matrix, columns);
  return sum.add(bias.reshape([filters, 1])).reshape([filters, batch, out, out]);
}

/** The larger of two rows, then, with columns turned into rows, the larger of two columns. */
function slicedPool(x) {
  const [channels, batch, size] = x.shape;
  const half = size / 2;
  const larger = (pairs, axis) => {
    const [first, second] = tf.split(pairs, 2, axis);
    return tf.maximum(first, second);
  };
  const rows = larger(x.reshape([channels * batch * half, 2 * size]), 1);
  return larger(rows.reshape([-1, 2]).transpose(), 0).reshape([channels, batch, half, half]);
}

const dense = (x, weight, bias) => product(x, weight).add(bias);

const trained = {
  lenet5(p, images) {
    const batch = images.shape[0];
    let x = images.reshape([1, batch, 28, 28]);
    x = slicedPool(slicedConvolution(x, p.conv1Weight, p.conv1Bias)).relu();
    x = slicedPool(slicedConvolution(x, p.conv2Weight, p.conv2Bias)).relu();
    x = x.transpose([1, 0, 2, 3]).reshape([batch, 800]);
    return dense(dense(x, p.dense1Weight, p.dense1Bias).relu(), p.dense2Weight, p.dense2Bias);
  },
  lenet300(p, images) {
    const x = dense(images, p.dense1Weight, p.dense1Bias).relu();
    return dense(dense(x, p.dense2Weight, p.dense2Bias).relu(), p.dense3Weight, p.dense3Bias);
  },
};

function trainer({ network, batch }) {
  const { images, labels } = examples(batch);
  const x = tf.tensor(images, [batch, 784]);
  const y = tf.oneHot(tf.tensor1d(labels, "int32"), 10).toFloat();
  const p = Object.fromEntries(Object.entries(tensors(network)).map(([name, value]) => [name, tf.variable(value)]));
  const optimizer = tf.train.adam(adam.rate, adam.beta1, adam.beta2, adam.epsilon);
  return {
    run() {
      const loss = optimizer.minimize(() => tf.losses.softmaxCrossEntropy(y, trained[network](p, x)), true);
      const [value] = loss.dataSync();
      loss.dispose();
      return value;
    },
  };
}

/** Inference, channels last, as the library wants it: filters `[5, 5, in, out]`, dense1 in the same order. */
function inference({ network, batch }) {
  const { images } = examples(batch);
  const p = tensors(network);
  const filters = [p.conv1Weight, p.conv2Weight].map((weight) => weight.transpose([2, 3, 1, 0]));
  const dense1 = p.dense1Weight.reshape([50, 4, 4, 500]).transpose([1, 2, 0, 3]).reshape([800, 500]);
  const convolution = (x, filter, bias) =>
    tf.maxPool(tf.fused.conv2d({ x, filter, strides: 1, pad: "valid", bias, activation: "relu" }), 2, 2, "valid");
  const logits = () => {
    let x = tf.tensor(images, [batch, 28, 28, 1]);
    x = convolution(x, filters[0], p.conv1Bias);
    x = convolution(x, filters[1], p.conv2Bias).reshape([batch, 800]);
    x = tf.fused.matMul({ a: x, b: dense1, bias: p.dense1Bias, activation: "relu" });
    return tf.fused.matMul({ a: x, b: p.dense2Weight, bias: p.dense2Bias });
  };
  return { run: () => tf.tidy(() => logits().dataSync()) };
}

function multiplication({ m, k, n }) {
  const { a, b } = factors({ m, k, n });
  const [x, y] = [tf.tensor(a, [m, k]), tf.tensor(b, [k, n])];
  return {
    run: () => tf.matMul(x, y),
    read: (product) => product.dataSync(),
    free: (product) => product.dispose(),
  };
}

await serve({
  peer: "tfjs-wasm",
  version: version("@tensorflow/tfjs-backend-wasm"),
  prepare: (work) => ({ gemm: multiplication, inference, step: trainer })[work.kind](work),
});
