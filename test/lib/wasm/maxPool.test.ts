import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { maxPool, maxPoolGradient } from "../../../lib/wasm/maxPool.ts";
import type { MaxPoolOptions } from "../../../lib/wasm/maxPool.ts";
import { Workbench, numbers } from "./workbench.ts";

/** What comes in and out of every window: the index of each place in `x`, in row-major order, and of the output. */
function eachWindow(o: MaxPoolOptions, visit: (places: number[], y: number) => void): void {
  const [down, right] = o.stride ?? o.window;
  let y = 0;
  for (let n = 0; n < o.batch; n++) {
    for (let top = 0; top + o.window[0] <= o.height; top += down) {
      for (let left = 0; left + o.window[1] <= o.width; left += right) {
        for (let c = 0; c < o.channels; c++) {
          const places: number[] = [];
          for (let ky = 0; ky < o.window[0]; ky++) {
            for (let kx = 0; kx < o.window[1]; kx++) {
              places.push(((n * o.height + top + ky) * o.width + left + kx) * o.channels + c);
            }
          }
          visit(places, y++);
        }
      }
    }
  }
}

function forward(o: MaxPoolOptions, x: Float32Array): { y: number[]; argmax: number[] } {
  const [y, argmax] = [[], []] as number[][] as [number[], number[]];
  eachWindow(o, (places) => {
    const values = places.map((place) => x[place]!);
    const nan = values.findIndex(Number.isNaN);
    const place = nan >= 0 ? nan : values.indexOf(Math.max(...values));
    y.push(values[place]!);
    argmax.push(place);
  });
  return { y, argmax };
}

const side = fc.integer({ min: 1, max: 8 });
const pair = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }));
const shapes = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    height: side,
    width: side,
    channels: fc.integer({ min: 1, max: 21 }),
    window: pair,
    stride: fc.option(pair, { nil: undefined }),
  })
  .filter(({ height, width, window }) => window[0] <= height && window[1] <= width)
  .map(({ stride, ...rest }): MaxPoolOptions => (stride === undefined ? rest : { ...rest, stride }));

test("max pooling keeps the first greatest and says where it was; ties, infinities and NaN included", () => {
  fc.assert(
    fc.property(shapes, fc.nat(1000), fc.boolean(), (o, seed, odd) => {
      // Few distinct values, so that there are ties.
      const x = numbers(o.batch * o.height * o.width * o.channels, seed).map(Math.round);
      if (odd) for (let i = seed % 5; i < x.length; i += 5) x[i] = [NaN, Infinity, -Infinity][i % 3]!;
      const right = forward(o, x);
      const bench = new Workbench();
      const [y, argmax] = [new Float32Array(right.y.length), new Int32Array(right.y.length)];
      const words = { x: bench.input(x), y: bench.output(y), argmax: bench.output(argmax) };
      assert.deepEqual(
        [...bench.run(maxPool(o), words, "y", y)].map((v) => v + 0),
        right.y.map((v) => v + 0),
      );
      assert.deepEqual([...bench.run(maxPool(o), words, "argmax", argmax)], right.argmax);
    }),
    { numRuns: 80 },
  );
});

test("the gradient goes to where the greatest was, and adds up where windows overlap", () => {
  fc.assert(
    fc.property(shapes, fc.nat(1000), (o, seed) => {
      const x = numbers(o.batch * o.height * o.width * o.channels, seed);
      const { argmax, y } = forward(o, x);
      // Quarters add up exactly in any order.
      const dy = numbers(y.length, seed + 1).map((value) => Math.round(4 * value) / 4);
      const right = new Float32Array(x.length);
      eachWindow(o, (places, i) => (right[places[argmax[i]!]!]! += dy[i]!));
      const bench = new Workbench();
      const words = {
        dy: bench.input(dy),
        argmax: bench.input(Int32Array.from(argmax)),
        dx: bench.output(numbers(x.length, seed + 2)),
      };
      assert.deepEqual(
        bench.run(maxPoolGradient(o), words, "dx", x).map((v) => v + 0),
        right.map((v) => v + 0),
      );
    }),
    { numRuns: 80 },
  );
});

test("max pooling over several tiles, and refusals", () => {
  const o = { batch: 3, height: 24, width: 24, channels: 20, window: [2, 2] as const };
  const x = numbers(3 * 24 * 24 * 20, 1);
  const right = forward(o, x);
  const bench = new Workbench();
  const y = new Float32Array(right.y.length);
  const words = { x: bench.input(x), y: bench.output(y), argmax: bench.output(new Int32Array(y.length)) };
  assert.ok(maxPool(o).phases[0]!.tiles > 1);
  assert.deepEqual([...bench.run(maxPool(o), words, "y", y)], right.y);
  assert.throws(() => maxPool({ ...o, window: [25, 1] }), RangeError);
  assert.throws(() => maxPoolGradient({ ...o, stride: [0, 1] }), RangeError);
});
