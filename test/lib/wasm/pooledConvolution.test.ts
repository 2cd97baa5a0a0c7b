import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { noGradient } from "../../../lib/wasm/convolution.ts";
import { convolutionShape } from "../../../lib/wasm/convolutionShape.ts";
import type { ConvolutionOptions } from "../../../lib/wasm/convolutionShape.ts";
import { hasRelaxedSimd } from "../../../lib/wasm/kernel.ts";
import { pooledConvolutionGradients } from "../../../lib/wasm/pooledConvolution.ts";
import { add, agree, eachProduct, shapes, sizeOf, sums } from "./naive.ts";
import { Workbench, numbers } from "./workbench.ts";

const precisions = hasRelaxedSimd() ? [false, true] : [false];

function check(o: ConvolutionOptions, bias: boolean, input: boolean, seed: number): void {
  const shape = convolutionShape(o);
  const size = sizeOf(shape);
  const { outputs, outHeight, outWidth } = shape;
  const [rows, columns] = [outHeight >> 1, outWidth >> 1];
  const [x, filter] = [numbers(size.x, seed), numbers(size.filter, seed + 1)] as const;
  const dy = numbers(o.batch * rows * columns * outputs, seed + 2);
  // Any mixture of positions and of outputs without a gradient.
  const argmax = Int32Array.from(numbers(dy.length, seed + 3), (value) => {
    const place = Math.floor((value + 2) * 1.2);
    return place > 3 ? noGradient : place;
  });
  const before = new Float32Array(size.y);
  const rightBias = sums(outputs);
  dy.forEach((value, i) => {
    if (argmax[i] === noGradient) return;
    const [o, px, row] = [i % outputs, Math.floor(i / outputs) % columns, Math.floor(i / outputs / columns)];
    const [n, py] = [Math.floor(row / rows), row % rows];
    const [oy, ox] = [2 * py + (argmax[i]! >> 1), 2 * px + (argmax[i]! & 1)];
    before[((n * outHeight + oy) * outWidth + ox) * outputs + o] = value;
    add(rightBias, o, value);
  });
  const [rightFilter, rightInput] = [sums(size.filter), sums(size.x)];
  eachProduct(shape, (i, j, k) => {
    add(rightFilter, j, x[i]! * before[k]!);
    add(rightInput, i, filter[j]! * before[k]!);
  });
  const [dFilter, dBias, dx] = [numbers(size.filter, 5), numbers(outputs, 6), numbers(size.x, 7)] as const;
  const bench = new Workbench();
  const words = {
    x: bench.input(x),
    filter: bench.input(filter),
    dy: bench.input(dy),
    argmax: bench.input(argmax),
    dFilter: bench.output(dFilter),
    ...(bias ? { dBias: bench.output(dBias) } : {}),
    ...(input ? { dx: bench.output(dx) } : {}),
  };
  const plan = pooledConvolutionGradients({ ...o, bias, input });
  const pixels = o.batch * rows * columns;
  for (const relaxed of precisions) {
    const got = (word: string, like: Float32Array) => bench.run(plan, words, word, like, { relaxed });
    const what = JSON.stringify({ ...o, relaxed });
    agree(got("dFilter", dFilter), rightFilter, pixels, `dFilter ${what}`);
    if (bias) agree(got("dBias", dBias), rightBias, pixels, `dBias ${what}`);
    if (input) agree(got("dx", dx), rightInput, o.kernel[0] * o.kernel[1] * outputs, `dx ${what}`);
  }
}

const poolable = shapes.filter((o) => {
  const { outHeight, outWidth } = convolutionShape(o);
  return outHeight >= 2 && outWidth >= 2;
});

test("the gradients behind pooling agree with those of the convolution before it", () => {
  fc.assert(fc.property(poolable, fc.boolean(), fc.boolean(), fc.nat(1000), check), { numRuns: 100 });
});

test("the gradients of LeNet-5's pooled convolutions, of many images, and of long windows", () => {
  check({ batch: 3, height: 28, width: 28, channels: 1, outputs: 20, kernel: [5, 5] }, true, false, 1);
  check({ batch: 5, height: 12, width: 12, channels: 20, outputs: 50, kernel: [5, 5] }, true, true, 2);
  check({ batch: 2, height: 6, width: 5, channels: 70, outputs: 3, kernel: [2, 3] }, true, true, 3);
  check({ batch: 2, height: 6, width: 5, channels: 96, outputs: 2, kernel: [2, 2] }, true, true, 4);
});

test("gradients behind pooling refuse an output that pooling leaves nothing of", () => {
  const o = { batch: 1, height: 5, width: 6, channels: 1, outputs: 1, kernel: [5, 5] as const };
  assert.throws(() => pooledConvolutionGradients(o), RangeError);
});
