import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { conv2d } from "../../../lib/ops/conv2d.ts";
import type { Padding } from "../../../lib/ops/convolution.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { gridNumber, list } from "../arbitraries.ts";
import { at, each, fill, indices, opLaws, type Plain } from "../laws.ts";
import { exactRuntime } from "../runtimes.ts";

interface Settings {
  readonly stride?: number | readonly [number, number];
  readonly padding?: Padding;
}

const small = fc.integer({ min: 1, max: 4 });
const step = fc.integer({ min: 1, max: 3 });
const cases = fc
  .record({
    batch: step,
    height: fc.integer({ min: 1, max: 8 }),
    width: fc.integer({ min: 1, max: 8 }),
    kernel: fc.tuple(small, small),
    channels: small,
    filters: fc.integer({ min: 1, max: 6 }),
    stride: fc.oneof(step, fc.tuple(step, step)),
    padding: fc.constantFrom<Padding>("valid", "same"),
  })
  .filter(({ height, width, kernel, padding }) => padding === "same" || (kernel[0] <= height && kernel[1] <= width))
  .map(({ batch, height, width, kernel, channels, filters, stride, padding }) => ({
    shapes: [
      [batch, height, width, channels],
      [...kernel, channels, filters],
    ],
    settings: { stride, padding } satisfies Settings,
  }));

const withBias = cases.map(({ shapes, settings }) => ({ shapes: [...shapes, [shapes[1]![3]!]], settings }));

/** Zeros in front and behind so that every ⌈length / stride⌉-th window fits, the odd one behind. */
function margins(length: number, kernel: number, stride: number, padding: Padding): [before: number, after: number] {
  const missing = padding === "valid" ? 0 : Math.max(0, (Math.ceil(length / stride) - 1) * stride + kernel - length);
  return [Math.floor(missing / 2), Math.ceil(missing / 2)];
}

/** Pads the images, then slides the window over them. */
function plain([x, w, bias]: readonly Plain[], { stride = 1, padding = "valid" }: Settings): Plain {
  const [batch, height, width, channels] = x!.shape as [number, number, number, number];
  const [kh, kw, , filters] = w!.shape as [number, number, number, number];
  const [sv, sh] = typeof stride === "number" ? [stride, stride] : stride;
  const [top, bottom] = margins(height, kh, sv, padding);
  const [left, right] = margins(width, kw, sh, padding);
  const pixel = (n: number, row: number, column: number, c: number): number => {
    const [y, z] = [row - top, column - left];
    return y < 0 || z < 0 || y >= height || z >= width ? 0 : at(x!, [n, y, z, c]);
  };
  const rows = Math.floor((top + height + bottom - kh) / sv) + 1;
  const columns = Math.floor((left + width + right - kw) / sh) + 1;
  const window = indices([kh, kw, channels]);
  return fill([batch, rows, columns, filters], ([n, row, column, f]) =>
    window.reduce(
      (sum, [i, j, c]) => sum + pixel(n!, row! * sv + i!, column! * sh + j!, c!) * at(w!, [i!, j!, c!, f!]),
      bias === undefined ? 0 : at(bias, [f!]),
    ),
  );
}

opLaws(conv2d, cases, {
  plain,
  sums: true,
  // Winograd's form loses up to 14 units of 2^-24 of the sum of all magnitudes, and sums of 500 terms may cancel.
  tolerance: 1e-5,
  large: [
    // The convolutions of LeNet-5, and shapes that fill no tile.
    { shapes: [[3, 28, 28, 1], [5, 5, 1, 20]], settings: {} },
    { shapes: [[2, 12, 12, 20], [5, 5, 20, 50]], settings: {} },
    { shapes: [[2, 17, 13, 5], [3, 3, 5, 7]], settings: { padding: "same" } },
    { shapes: [[1, 19, 19, 3], [7, 7, 3, 9]], settings: { padding: "same", stride: 2 } },
  ],
  refused: [
    [
      [[2, 5, 5, 3], [3, 3, 4, 8]],
      /needs images \[n, h, w, c\] and filters \[kh, kw, c, f\], got \[2, 5, 5, 3\] and \[3, 3, 4, 8\]$/,
    ],
    [[[5, 5, 3], [3, 3, 3, 8]], /got \[5, 5, 3\] and \[3, 3, 3, 8\]$/],
    [[[2, 5, 5, 3], [3, 3, 3]], /got \[2, 5, 5, 3\] and \[3, 3, 3\]$/],
    [[[2, 5, 2, 3], [3, 3, 3, 8]], /the kernel 3x3 is larger than the image 5x2$/],
  ],
});

opLaws((x: Tensor, w: Tensor, bias: Tensor, settings?: Settings) => conv2d(x, w, { ...settings, bias }), withBias, {
  name: "conv2d",
  title: "conv2d with a bias",
  plain,
  sums: true,
  tolerance: 4e-6,
  refused: [[[[2, 5, 5, 3], [3, 3, 3, 8], [3]], /the bias must be \[8\], got \[3\]$/]],
});

opLaws(
  (x: Tensor, w: Tensor, bias: Tensor, settings?: Settings) =>
    conv2d(x, w, { ...settings, bias, activation: "relu" }),
  withBias,
  {
    name: "conv2d",
    title: "conv2d with a bias and a rectifier",
    plain: (inputs, settings: Settings) => each((x) => Math.max(0, x))([plain(inputs, settings)]),
    // Filters are switched on or off by a bias that no sum reaches: far from the rectifier's kink.
    values: (size, index) => list(index === 2 ? fc.constantFrom(-900, 900) : gridNumber, size),
    sums: true,
    tolerance: 1e-5,
    large: [{ shapes: [[2, 12, 12, 20], [5, 5, 20, 50], [50]], settings: {} }],
    refused: [[[[2, 5, 5, 3], [3, 3, 3, 8], [8, 1]], /the bias must be \[8\], got \[8, 1\]$/]],
  },
);

test("conv2d refuses strides that are not whole numbers from 1 up", () => {
  const runtime = exactRuntime();
  const x = runtime.tensor(new Float32Array(25), [1, 5, 5, 1]);
  const w = runtime.tensor(new Float32Array(4), [2, 2, 1, 1]);
  for (const stride of [0, -1, 1.5, NaN]) {
    assert.throws(() => conv2d(x, w, { stride }), {
      name: "RangeError",
      message: `conv2d: strides must be whole numbers from 1 up, got ${stride}, ${stride}`,
    });
  }
});

test("conv2d with same padding puts the odd zero below and right", () => {
  const runtime = exactRuntime();
  const x = runtime.tensor([1, 2, 3, 4], [1, 2, 2, 1]);
  const w = runtime.tensor([1, 10, 100, 1000], [2, 2, 1, 1]);
  assert.deepEqual([...conv2d(x, w, { padding: "same" }).readSync()], [4321, 402, 43, 4]);
});
