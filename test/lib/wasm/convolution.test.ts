import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { convolution, noGradient } from "../../../lib/wasm/convolution.ts";
import type { ConvolutionEpilogue } from "../../../lib/wasm/convolution.ts";
import { convolutionShape } from "../../../lib/wasm/convolutionShape.ts";
import type { ConvolutionOptions } from "../../../lib/wasm/convolutionShape.ts";
import { hasRelaxedSimd } from "../../../lib/wasm/kernel.ts";
import { forward, shapes, sizeOf } from "./naive.ts";
import { Workbench, numbers } from "./workbench.ts";

const rounding = 2 ** -24;
const precisions = hasRelaxedSimd() ? [false, true] : [false];

function operands(o: ConvolutionOptions & ConvolutionEpilogue, seed: number) {
  const size = sizeOf(convolutionShape(o));
  const [x, filter, bias] = [
    numbers(size.x, seed),
    numbers(size.filter, seed + 1),
    numbers(o.outputs, seed + 2),
  ] as const;
  const bench = new Workbench();
  return { x, filter, bias, bench, words: { x: bench.input(x), filter: bench.input(filter), bias: bench.input(bias) } };
}

/**
 * How far each output may be off: as many roundings as there are terms, each of at most 2^-24 of what has been summed.
 * Winograd's roundings are fewer but larger, and come from all outputs of a tile.
 */
function bounds(o: ConvolutionOptions & ConvolutionEpilogue, magnitudes: Float64Array): Float64Array {
  const terms = o.kernel[0] * o.kernel[1] * o.channels;
  const largest = magnitudes.reduce((a, b) => Math.max(a, b));
  return magnitudes.map(
    (magnitude) => (o.winograd ? 100 * rounding * largest : (terms + 3) * rounding * magnitude) + 1e-37,
  );
}

function check(o: ConvolutionOptions & ConvolutionEpilogue, seed: number): void {
  const shape = convolutionShape(o);
  const { x, filter, bias, bench, words } = operands(o, seed);
  const y = new Float32Array(sizeOf(shape).y);
  const { values, magnitudes } = forward(shape, x, filter, o.bias ? bias : undefined);
  const slope = typeof o.activation === "object" ? o.activation.negativeSlope : o.activation === "relu" ? 0 : 1;
  const bound = bounds(o, magnitudes);
  const all = { ...words, y: bench.output(y) };
  for (const relaxed of precisions) {
    bench.run(convolution(o), all, "y", y, { relaxed }).forEach((value, i) => {
      const right = values[i]! < 0 ? slope * values[i]! : values[i]!;
      const wrong = `${JSON.stringify({ ...o, relaxed })}: element ${i} is ${value}, not ${right}`;
      assert.ok(Math.abs(value - right) <= bound[i]!, wrong);
    });
  }
}

function checkPooled(o: ConvolutionOptions & ConvolutionEpilogue, seed: number): void {
  const shape = convolutionShape(o);
  const { x, filter, bias, bench, words } = operands(o, seed);
  const { values, magnitudes } = forward(shape, x, filter, o.bias ? bias : undefined);
  const [rows, columns, outputs] = [shape.outHeight >> 1, shape.outWidth >> 1, shape.outputs];
  const [y, argmax] = [
    new Float32Array(o.batch * rows * columns * outputs),
    new Int32Array(o.batch * rows * columns * outputs),
  ];
  const all = { ...words, y: bench.output(y), argmax: bench.output(argmax) };
  const allowed = bounds(o, magnitudes);
  for (const relaxed of precisions) {
    const got = bench.run(convolution(o), all, "y", y, { relaxed });
    const where = bench.run(convolution(o), all, "argmax", argmax, { relaxed });
    got.forEach((value, i) => {
      const [channel, ox, oy] = [i % outputs, Math.floor(i / outputs) % columns, Math.floor(i / outputs / columns)];
      const image = Math.floor(oy / rows) * shape.outHeight + 2 * (oy % rows);
      const window = [0, 1, 2, 3].map(
        (k) => ((image + (k >> 1)) * shape.outWidth + 2 * ox + (k & 1)) * outputs + channel,
      );
      const bound = Math.max(...window.map((k) => allowed[k]!));
      const greatest = Math.max(...window.map((k) => values[k]!));
      const right = o.activation === "relu" ? Math.max(0, greatest) : greatest;
      assert.ok(Math.abs(value - right) <= bound, `${JSON.stringify(o)}: pooled ${i} is ${value}, not ${right}`);
      const position = where[i]!;
      if (o.activation === "relu" && value <= 0) assert.equal(position, noGradient);
      else
        assert.ok(
          values[window[position]!]! >= greatest - 2 * bound,
          `${JSON.stringify(o)}: argmax ${i} is ${position}`,
        );
    });
  }
}

const finish = fc.record({
  bias: fc.boolean(),
  activation: fc.constantFrom("none" as const, "relu" as const, { negativeSlope: 0.25 }),
});

test("convolution agrees with nested loops in float64 on ragged shapes", () => {
  fc.assert(
    fc.property(shapes, finish, fc.nat(1000), (shape, rest, seed) => check({ ...shape, ...rest }, seed)),
    {
      numRuns: 80,
    },
  );
});

test("convolution with pooling agrees with nested loops, and argmax points at a greatest output", () => {
  const poolable = shapes.filter((o) => {
    const { outHeight, outWidth } = convolutionShape(o);
    return outHeight >= 2 && outWidth >= 2;
  });
  const activation = fc.constantFrom("none" as const, "relu" as const);
  fc.assert(
    fc.property(poolable, fc.boolean(), activation, fc.nat(1000), (shape, bias, activation, seed) =>
      checkPooled({ ...shape, bias, activation, pool: true }, seed),
    ),
    { numRuns: 80 },
  );
});

test("the convolutions of LeNet-5, and shapes with filter panels", () => {
  const conv1 = { batch: 2, height: 28, width: 28, channels: 1, outputs: 20, kernel: [5, 5] as const };
  const conv2 = { batch: 2, height: 12, width: 12, channels: 20, outputs: 50, kernel: [5, 5] as const };
  for (const shape of [conv1, conv2]) {
    check({ ...shape, bias: true, activation: "relu" }, 1);
    checkPooled({ ...shape, bias: true, activation: "relu", pool: true }, 2);
  }
  check({ batch: 1, height: 7, width: 6, channels: 33, outputs: 27, kernel: [3, 3], padding: "same", bias: true }, 3);
  check({ batch: 2, height: 5, width: 5, channels: 64, outputs: 35, kernel: [1, 1], activation: "relu" }, 4);
});

test("Winograd's convolution agrees too, on all sides and ragged edges, pooled or not", () => {
  const deep = fc
    .record({
      batch: fc.integer({ min: 1, max: 3 }),
      height: fc.integer({ min: 5, max: 10 }),
      width: fc.integer({ min: 5, max: 10 }),
      channels: fc.integer({ min: 8, max: 13 }),
      outputs: fc.integer({ min: 8, max: 21 }),
      side: fc.integer({ min: 3, max: 5 }),
      padding: fc.constantFrom("valid" as const, "same" as const),
    })
    .map(({ side, ...rest }) => ({ ...rest, kernel: [side, side] as const, winograd: true }));
  fc.assert(
    fc.property(deep, finish, fc.boolean(), fc.nat(1000), (shape, rest, pool, seed) => {
      const { kernel, outHeight, outWidth } = convolutionShape(shape);
      const pools = pool && kernel[0] !== 4 && outHeight > 1 && outWidth > 1 && typeof rest.activation === "string";
      const o = { ...shape, ...rest };
      const direct = convolution({ ...o, winograd: false, pool: pools }).phases.at(-1)!.key;
      assert.notEqual(convolution({ ...o, pool: pools }).phases.at(-1)!.key, direct);
      if (pools) checkPooled({ ...o, pool: true }, seed);
      else check(o, seed);
    }),
    { numRuns: 30 },
  );
  const conv2 = { batch: 2, height: 12, width: 12, channels: 20, outputs: 50, kernel: [5, 5] as const };
  checkPooled({ ...conv2, bias: true, activation: "relu", pool: true, winograd: true }, 1);
});

test("the first of equal outputs is the greatest, and NaN shows", () => {
  const o = { batch: 1, height: 2, width: 4, channels: 1, outputs: 1, kernel: [1, 1] as const, pool: true };
  const bench = new Workbench();
  const words = {
    x: bench.input(Float32Array.of(1, 3, 2, 2, 3, 3, NaN, 1)),
    filter: bench.input(Float32Array.of(1)),
    y: bench.output(new Float32Array(2)),
    argmax: bench.output(new Int32Array(2)),
  };
  assert.deepEqual([...bench.run(convolution(o), words, "y", new Float32Array(2))], [3, NaN]);
  assert.deepEqual([...bench.run(convolution(o), words, "argmax", new Int32Array(2))], [1, 2]);
});

test("convolution refuses what it cannot do", () => {
  const o = { batch: 1, height: 4, width: 4, channels: 1, outputs: 1, kernel: [5, 3] as const };
  assert.throws(() => convolution(o), RangeError);
  assert.throws(() => convolution({ ...o, kernel: [3, 3], batch: 0 }), RangeError);
  assert.throws(() => convolution({ ...o, kernel: [4, 3], pool: true }), RangeError);
  assert.throws(
    () => convolution({ ...o, kernel: [3, 3], pool: true, activation: { negativeSlope: 0.1 } }),
    RangeError,
  );
});
