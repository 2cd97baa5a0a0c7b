import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { relu } from "../../../lib/ops/activations.ts";
import { add } from "../../../lib/ops/arithmetic.ts";
import { matmul, type ProductOptions } from "../../../lib/ops/matmul.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { dim, gridNumber, list } from "../arbitraries.ts";
import { at, each, fill, opLaws, type Plain } from "../laws.ts";
import { devices, runtimeOf } from "../runtimes.ts";

type Sides = Pick<ProductOptions, "transposeA" | "transposeB">;

const sides = fc.record({ transposeA: fc.boolean(), transposeB: fc.boolean() });

function shapesOf(m: number, k: number, n: number, { transposeA = false, transposeB = false }: Sides): number[][] {
  return [transposeA ? [k, m] : [m, k], transposeB ? [n, k] : [k, n]];
}

/** C[i, j] = bias[j] + Σ A[i, p] B[p, j]. */
function plain([a, b, bias]: readonly Plain[], { transposeA = false, transposeB = false }: Sides): Plain {
  const [m, k] = transposeA ? [a!.shape[1]!, a!.shape[0]!] : [a!.shape[0]!, a!.shape[1]!];
  const n = b!.shape[transposeB ? 0 : 1]!;
  return fill([m, n], ([i, j]) => {
    let sum = bias === undefined ? 0 : at(bias, [j!]);
    for (let p = 0; p < k; p++) sum += at(a!, transposeA ? [p, i!] : [i!, p]) * at(b!, transposeB ? [j!, p] : [p, j!]);
    return sum;
  });
}

const rectified = (x: Plain): Plain => each((value) => Math.max(0, value))([x]);

const cases = fc
  .tuple(dim, dim, dim, sides)
  .map(([m, k, n, settings]) => ({ shapes: shapesOf(m, k, n, settings), settings }));
/** The layers of LeNet-300-100 at a small batch, and odd sizes beyond every tile. */
const large = [[6, 784, 300], [6, 300, 100], [6, 100, 10], [131, 67, 45]].flatMap(([m, k, n]) =>
  [{}, { transposeA: true }, { transposeB: true }, { transposeA: true, transposeB: true }].map((settings) => ({
    shapes: shapesOf(m!, k!, n!, settings),
    settings,
  })),
);

opLaws(matmul, cases, {
  plain,
  sums: true,
  tolerance: 4e-6,
  large,
  refused: [
    [[[8, 784], [300, 10]], /inner sizes differ, got \[8, 784\] · \[300, 10\]$/],
    [{ shapes: [[2, 3], [3, 4]], settings: { transposeA: true } }, /inner sizes differ, got \[2, 3\]ᵀ · \[3, 4\]$/],
    [{ shapes: [[2, 3], [3, 4]], settings: { transposeB: true } }, /inner sizes differ, got \[2, 3\] · \[3, 4\]ᵀ$/],
    [[[3], [3, 4]], /got \[3\] · \[3, 4\]$/],
    [[[2, 2, 3], [3, 4]], /got \[2, 2, 3\] · \[3, 4\]$/],
    [[[3, 4], []], /got \[3, 4\] · \[\]$/],
  ],
});

opLaws(
  (a: Tensor, b: Tensor, bias: Tensor, settings?: Sides) => matmul(a, b, { ...settings, bias }),
  cases.map(({ shapes, settings }) => ({
    shapes: [...shapes, [shapes[1]![settings.transposeB ? 0 : 1]!]],
    settings,
  })),
  {
    name: "matmul",
    title: "matmul with a bias",
    plain,
    sums: true,
    tolerance: 4e-6,
    large: [{ shapes: [[33, 100], [100, 10], [10]], settings: {} }],
    refused: [
      [[[2, 3], [3, 4], [3]], /the bias must be \[4\], got \[3\]$/],
      [[[2, 3], [3, 4], [1, 4]], /the bias must be \[4\], got \[1, 4\]$/],
    ],
  },
);

/** The result rises by 9 or falls by 9 from the bias on, column by column: never near the rectifier's kink. */
const clear = (size: number, index: number): fc.Arbitrary<readonly number[]> =>
  index === 2
    ? fc.array(fc.constantFrom(-900, 900), { minLength: size, maxLength: size })
    : list(gridNumber, size);

opLaws(
  (a: Tensor, b: Tensor, bias: Tensor, settings?: Sides) => matmul(a, b, { ...settings, bias, activation: "relu" }),
  cases.map(({ shapes, settings }) => ({
    shapes: [...shapes, [shapes[1]![settings.transposeB ? 0 : 1]!]],
    settings,
  })),
  {
    name: "matmul",
    title: "matmul with a bias and a rectifier",
    plain: (inputs, settings: Sides) => rectified(plain(inputs, settings)),
    values: clear,
    sums: true,
    tolerance: 4e-6,
    refused: [[[[2, 3], [3, 4], []], /the bias must be \[4\], got \[\]$/]],
  },
);

for (const device of devices) {
  test(`matmul on ${device.name}: bias and rectifier fused are the same as apart, NaN included`, async () => {
    const runtime = await runtimeOf(device);
    const a = runtime.tensor([1, 2, 3, -4, NaN, 0], [3, 2]);
    const b = runtime.tensor([1, -1, 2, 0.5], [2, 2]);
    const bias = runtime.tensor([0.25, -6]);
    const fused = await matmul(a, b, { bias, activation: "relu" }).read();
    assert.deepEqual([...fused], [5.25, 0, 0, 0, NaN, NaN]);
    assert.deepEqual(fused, await relu(add(matmul(a, b), bias)).read());
  });
}
