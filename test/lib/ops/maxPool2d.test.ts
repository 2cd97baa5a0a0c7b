import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad } from "../../../lib/grad.ts";
import { maxPool2d } from "../../../lib/ops/maxPool2d.ts";
import { sum } from "../../../lib/ops/sum.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { distinct } from "../arbitraries.ts";
import { at, fill, indices, opLaws } from "../laws.ts";
import { devices, exactRuntime, runtimeOf } from "../runtimes.ts";

interface Settings {
  readonly size: number;
  readonly stride?: number;
}

const side = fc.integer({ min: 1, max: 9 });
const cases = fc
  .record({
    image: fc.tuple(fc.integer({ min: 1, max: 3 }), side, side, fc.integer({ min: 1, max: 6 })),
    size: fc.integer({ min: 1, max: 4 }),
    stride: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  })
  .filter(({ image, size }) => image[1] >= size && image[2] >= size)
  .map(({ image, size, stride }) => ({
    shapes: [image],
    settings: stride === undefined ? { size } : { size, stride },
  }));

opLaws((x: Tensor, { size, stride }: Settings) => maxPool2d(x, size, stride), cases, {
  name: "maxPool2d",
  plain: ([x], { size, stride = size }: Settings) => {
    const [batch, height, width, channels] = x!.shape as [number, number, number, number];
    const rows = Math.floor((height - size) / stride) + 1;
    const columns = Math.floor((width - size) / stride) + 1;
    return fill([batch, rows, columns, channels], ([n, row, column, c]) =>
      Math.max(...indices([size, size]).map(([i, j]) => at(x!, [n!, row! * stride + i!, column! * stride + j!, c!]))),
    );
  },
  values: distinct,
  large: [
    { shapes: [[3, 24, 24, 20]], settings: { size: 2 } },
    { shapes: [[3, 8, 8, 50]], settings: { size: 2 } },
    { shapes: [[2, 15, 15, 33]], settings: { size: 3, stride: 2 } },
  ],
  refused: [
    [{ shapes: [[1, 5, 3, 1]], settings: { size: 4 } }, /images \[n, h, w, c\] of at least 4x4, got \[1, 5, 3, 1\]$/],
    [{ shapes: [[5, 3, 1]], settings: { size: 2 } }, /needs images \[n, h, w, c\] of at least 2x2, got \[5, 3, 1\]$/],
  ],
});

for (const device of devices) {
  test(`maxPool2d on ${device.name}: the first of equals gets the gradient; overlaps add up`, async () => {
    const runtime = await runtimeOf(device);
    const equals = runtime.tensor([2, 2, 2, 2], [1, 2, 2, 1]);
    assert.deepEqual([...(await grad(sum(maxPool2d(equals, 2)), [equals])[0]!.read())], [1, 0, 0, 0]);
    const x = runtime.tensor([0, 0, 0, 0, 5, 0, 0, 0, 0], [1, 3, 3, 1]);
    assert.deepEqual([...(await grad(sum(maxPool2d(x, 2, 1)), [x])[0]!.read())], [0, 0, 0, 0, 4, 0, 0, 0, 0]);
  });
}

test("maxPool2d refuses sizes and strides that are not whole numbers from 1 up", () => {
  const x = exactRuntime().tensor(new Float32Array(16), [1, 4, 4, 1]);
  for (const [size, stride] of [[0, 1], [1.5, 1], [2, 0], [2, NaN]] as const) {
    const message = new RegExp(`whole numbers from 1 up, got ${size} and ${stride}$`);
    assert.throws(() => maxPool2d(x, size, stride), { name: "RangeError", message });
  }
});
