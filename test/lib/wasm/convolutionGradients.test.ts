import { test } from "node:test";
import fc from "fast-check";
import { convolutionFilterGradient } from "../../../lib/wasm/convolutionFilter.ts";
import { convolutionInputGradient } from "../../../lib/wasm/convolutionInput.ts";
import { convolutionShape } from "../../../lib/wasm/convolutionShape.ts";
import type { ConvolutionOptions } from "../../../lib/wasm/convolutionShape.ts";
import { hasRelaxedSimd } from "../../../lib/wasm/kernel.ts";
import { add, agree, eachProduct, shapes, sizeOf, sums } from "./naive.ts";
import { Workbench, numbers } from "./workbench.ts";

const precisions = hasRelaxedSimd() ? [false, true] : [false];

function checkInput(o: ConvolutionOptions, seed: number): void {
  const shape = convolutionShape(o);
  const size = sizeOf(shape);
  const [dy, filter, dx] = [numbers(size.y, seed), numbers(size.filter, seed + 1), numbers(size.x, seed + 2)] as const;
  const right = sums(size.x);
  eachProduct(shape, (x, w, y) => add(right, x, dy[y]! * filter[w]!));
  const bench = new Workbench();
  const words = { dy: bench.input(dy), filter: bench.input(filter), dx: bench.output(dx) };
  for (const relaxed of precisions) {
    const got = bench.run(convolutionInputGradient(o), words, "dx", dx, { relaxed });
    agree(got, right, shape.kernel[0] * shape.kernel[1] * shape.outputs, JSON.stringify({ ...o, relaxed }));
  }
}

function checkFilter(o: ConvolutionOptions & { bias?: boolean }, seed: number): void {
  const shape = convolutionShape(o);
  const size = sizeOf(shape);
  const [x, dy] = [numbers(size.x, seed), numbers(size.y, seed + 1)] as const;
  const [dFilter, dBias] = [numbers(size.filter, seed + 2), numbers(o.outputs, seed + 3)] as const;
  const [rightFilter, rightBias] = [sums(size.filter), sums(o.outputs)];
  eachProduct(shape, (i, w, y) => add(rightFilter, w, x[i]! * dy[y]!));
  dy.forEach((value, i) => add(rightBias, i % o.outputs, value));
  const bench = new Workbench();
  const words = {
    x: bench.input(x),
    dy: bench.input(dy),
    dFilter: bench.output(dFilter),
    ...(o.bias ? { dBias: bench.output(dBias) } : {}),
  };
  const plan = convolutionFilterGradient(o);
  const pixels = shape.batch * shape.outHeight * shape.outWidth;
  for (const relaxed of precisions) {
    agree(bench.run(plan, words, "dFilter", dFilter, { relaxed }), rightFilter, pixels, JSON.stringify(o));
    if (o.bias)
      agree(bench.run(plan, words, "dBias", dBias, { relaxed }), rightBias, pixels, `bias, ${JSON.stringify(o)}`);
  }
}

test("the gradient to the input agrees with nested loops in float64", () => {
  fc.assert(fc.property(shapes, fc.nat(1000), checkInput), { numRuns: 80 });
});

test("the gradient to filter and bias agrees with nested loops in float64", () => {
  fc.assert(
    fc.property(shapes, fc.boolean(), fc.nat(1000), (o, bias, seed) => checkFilter({ ...o, bias }, seed)),
    {
      numRuns: 80,
    },
  );
});

test("the gradients of LeNet-5's convolutions, and of one over many images", () => {
  const conv1 = { batch: 3, height: 28, width: 28, channels: 1, outputs: 20, kernel: [5, 5] as const };
  const conv2 = { batch: 2, height: 12, width: 12, channels: 20, outputs: 50, kernel: [5, 5] as const };
  for (const shape of [conv1, conv2]) {
    checkInput(shape, 1);
    checkFilter({ ...shape, bias: true }, 2);
  }
  checkFilter({ batch: 29, height: 4, width: 5, channels: 3, outputs: 13, kernel: [2, 3], bias: true }, 3);
  checkFilter({ batch: 2, height: 9, width: 9, channels: 70, outputs: 66, kernel: [1, 1], bias: true }, 4);
});
