import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad } from "../../../lib/grad.ts";
import { type Draw, dropout, normal, uniform } from "../../../lib/ops/draws.ts";
import { sum } from "../../../lib/ops/sum.ts";
import { fillNormal, fillUniform, type Key } from "../../../lib/random.ts";
import { sizeOf } from "../../../lib/shape.ts";
import { shapes } from "../arbitraries.ts";
import { devices, exactRuntime, runtimeOf } from "../runtimes.ts";

const word = fc.nat(2 ** 32 - 1);
const draws: fc.Arbitrary<Draw> = fc.record({
  key: fc.tuple(word, word) as fc.Arbitrary<Key>,
  stream: fc.nat(254),
  block: fc.nat(2 ** 24 - 1),
});
const some: Draw = { key: [1, 2], stream: 2, block: 3 };

for (const device of devices) {
  test(`uniform and normal on ${device.name} are the numbers of the generator, to the bit`, async () => {
    const runtime = await runtimeOf(device);
    const same = async (shape: readonly number[], from: Draw): Promise<void> => {
      for (const [operation, fill] of [[uniform, fillUniform], [normal, fillNormal]] as const) {
        const want = new Float32Array(sizeOf(shape));
        fill(want, from.key, from);
        const drawn = runtime.step(() => operation(runtime, shape, from));
        assert.deepEqual(drawn.shape, shape);
        assert.deepStrictEqual(await drawn.read(), want);
        assert.deepStrictEqual(await operation(runtime, shape, from).read(), want);
      }
    };
    await fc.assert(fc.asyncProperty(shapes(), draws, same), { numRuns: 40 });
    await same([64, 301], some);
  });

  test(`dropout on ${device.name} keeps what is drawn below \`keep\`, divided by it, and gradients alike`, async () => {
    const runtime = await runtimeOf(device);
    for (const keep of [0.5, 0.75, 0.3]) {
      const x = runtime.tensor(Float32Array.from({ length: 1000 }, (_, i) => i + 1), [10, 100]);
      const drawn = new Float32Array(1000);
      fillUniform(drawn, some.key, some);
      const want = drawn.map((u, i) => (u < keep ? (i + 1) / keep : 0));
      const { y, slope } = runtime.step(() => {
        const y = dropout(x, keep, some);
        return { y, slope: grad(sum(y), [x])[0]! };
      });
      const [got, slopes] = [await y.read(), await slope.read()];
      for (let i = 0; i < 1000; i++) {
        assert.ok(Math.abs(got[i]! - want[i]!) <= 1e-6 * want[i]!, `element ${i}`);
        assert.ok(Math.abs(slopes[i]! - want[i]! / (i + 1)) <= 1e-6, `slope ${i}`);
      }
    }
  });
}

test("dropout that keeps all is the tensor itself, and a share outside (0, 1] is refused", () => {
  const x = exactRuntime().tensor([1, 2]);
  assert.equal(dropout(x, 1, some), x);
  for (const keep of [0, -0.5, 1.01, NaN]) {
    assert.throws(() => dropout(x, keep, some), {
      name: "RangeError",
      message: `dropout: keep must be above 0 and at most 1, got ${keep}`,
    });
  }
});

test("draws outside the counter's range are refused", () => {
  const runtime = exactRuntime();
  assert.throws(() => uniform(runtime, [2], { ...some, stream: 255 }), RangeError);
  assert.throws(() => normal(runtime, [2], { ...some, block: 2 ** 24 }), RangeError);
  assert.throws(() => normal(runtime, [2, 0], some), { name: "ShapeError" });
});
