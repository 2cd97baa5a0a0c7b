import { test } from "node:test";
import assert from "node:assert/strict";
import { v128 } from "../../../lib/wasm/assembler.ts";
import { emitRun, hasRelaxedSimd } from "../../../lib/wasm/kernel.ts";
import * as math from "../../../lib/wasm/math.ts";

const count = 4096;

/** The function over `count` floats at once. */
function over(name: "exp" | "log", relaxed: boolean): (x: Float32Array) => Float32Array {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const target = { shared: false, relaxed };
  const bytes = emitRun(target, (f) => {
    const g = math[name](f, target);
    f.loop(0, 4 * count, 16, (at) => f.do(v128.store(at, g(v128.load(at)))));
  });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const floats = new Float32Array(memory.buffer, 0, count);
  return (x) => {
    floats.set(x);
    (instance.exports["run"] as (args: number, tile: number) => void)(0, 0);
    return floats.slice(0, x.length);
  };
}

const bits = new DataView(new ArrayBuffer(4));

/** The distance of neighbouring floats at `value`: 2^-149 where they are subnormal. */
function ulp(value: number): number {
  bits.setFloat32(0, Math.abs(value));
  const rounded = bits.getUint32(0);
  // Rounding may have reached the next power of two, whose ulp is double.
  const exponent = (rounded >>> 23) - (bits.getFloat32(0) > Math.abs(value) && (rounded & 0x7fffff) === 0 ? 1 : 0);
  return 2 ** (Math.min(Math.max(exponent, 1), 254) - 150);
}

/** Floats spread over bit patterns from `first` to `last`, which covers every exponent alike. */
function* patterns(first: number, last: number, step: number): Generator<Float32Array> {
  let at = first;
  while (at <= last) {
    const block = new Uint32Array(count);
    let filled = 0;
    for (; filled < count && at <= last; at += step) block[filled++] = at;
    yield new Float32Array(block.buffer).slice(0, filled);
  }
}

const step = 4999;
const ranges = {
  // 0 to 89 and -0 to -104.
  exp: [[0, 0x42b20000], [0x80000000, 0xc2d00000]],
  // All positive floats.
  log: [[1, 0x7f7fffff]],
} as const;

for (const relaxed of hasRelaxedSimd() ? [false, true] : [false]) {
  for (const [name, most] of [["exp", relaxed ? 1.0238 : 0.9982], ["log", 0.8399]] as const) {
    const how = relaxed ? ", relaxed" : "";
    test(`${name} is within ${most} ulp of the true value on every ${step}th float${how}`, () => {
      const run = over(name, relaxed);
      for (const [first, last] of ranges[name]) {
        for (const x of patterns(first, last, step)) {
          run(x).forEach((y, i) => {
            const right = Math[name](x[i]!);
            if (Math.abs(right) >= 2 ** 128 * (1 - 2 ** -25)) return assert.equal(y, Infinity, `${name}(${x[i]})`);
            const error = Math.abs(y - right) / ulp(right);
            assert.ok(error <= most, `${name}(${x[i]}) is ${y}, ${error} ulp from ${right}`);
          });
        }
      }
    });
  }
}

test("exp at its ends", () => {
  const cases = [
    [0, 1], [-0, 1], [Infinity, Infinity], [-Infinity, 0], [NaN, NaN],
    [88.72284, Infinity], [1e30, Infinity], [3.4e38, Infinity],
    // Half of the smallest subnormal float rounds to even, which is zero.
    [-103.97207, 2 ** -149], [-103.97208404541016, 0], [-104, 0], [-1e30, 0], [1e-45, 1], [-1e-45, 1],
  ] as const;
  const y = over("exp", false)(Float32Array.from(cases, ([x]) => x));
  cases.forEach(([x, right], i) => assert.ok(Object.is(y[i], right), `exp(${x}) is ${y[i]}, not ${right}`));
});

test("log at its ends", () => {
  const cases = [
    [0, -Infinity], [-0, -Infinity], [1, 0], [Infinity, Infinity],
    [-Infinity, NaN], [NaN, NaN], [-1, NaN], [-1e-45, NaN],
  ] as const;
  const y = over("log", false)(Float32Array.from(cases, ([x]) => x));
  cases.forEach(([x, right], i) => assert.ok(Object.is(y[i], right), `log(${x}) is ${y[i]}, not ${right}`));
});
