// The numbers behind works.json, which says what every side of the benchmark is asked to do.
//
// Gemm is `[m, k] · [k, n]`; a step is forward, backward and Adam on one batch; inference goes from images to logits.
// Filters are `[out, in, 5, 5]`, dense weights `[in, out]`. All numbers come from a counter-based generator, which
// torch_peer.py repeats, so all sides train the same network on the same images and their losses can be compared.

import { readFileSync } from "node:fs";

const { adam, works, networks } = JSON.parse(readFileSync(new URL("works.json", import.meta.url), "utf8"));

export { adam, works };

/** `count` numbers in `[low, high)`: the generator mulberry32, whose state is only a counter. */
export function uniform(seed, count, low, high) {
  const numbers = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const state = (seed + Math.imul(i + 1, 0x6d2b79f5)) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    numbers[i] = low + ((high - low) * ((t ^ (t >>> 14)) >>> 0)) / 0x100000000;
  }
  return numbers;
}

/** Fresh parameters: `{ name: { shape, data } }`, weights uniform within `sqrt(6 / fan-in)`, biases zero. */
export function parameters(network) {
  return Object.fromEntries(
    Object.entries(networks[network]).map(([name, shape], i) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const fanIn = shape.length === 4 ? shape[1] * shape[2] * shape[3] : shape[0];
      const bound = name.endsWith("Bias") ? 0 : Math.sqrt(6 / fanIn);
      return [name, { shape, data: uniform(1000 * (i + 1), count, -bound, bound) }];
    }),
  );
}

/** One batch: `images` `[batch, 784]` in `[0, 1)` and `labels` from 0 to 9. */
export function examples(batch) {
  return {
    images: uniform(77, batch * 784, 0, 1),
    labels: Int32Array.from(uniform(78, batch, 0, 10), Math.floor),
  };
}

/** The two factors of a gemm. */
export function factors({ m, k, n }) {
  return { a: uniform(1, m * k, -1, 1), b: uniform(2, k * n, -1, 1) };
}

/** Where a product is looked at: eight places spread over `m · n` numbers, the last one included. */
export function places({ m, n }) {
  return Array.from({ length: 8 }, (_, i) => Math.floor(((i + 1) * m * n) / 8) - 1);
}
