// exp and log of four floats at once, from additions, multiplications and one division in a fixed order: the same bits
// on every machine and engine. With a relaxed target `a * b + c` may be rounded once instead of twice.
//
// Each function emits its constants where it is called, outside the loop, and returns what to emit for a vector.

import { f32x4, i32x4, v128 } from "./assembler.ts";
import type { FunctionBuilder, V128 } from "./assembler.ts";
import type { Target } from "./kernel.ts";
import { multiplyAdd } from "./registerTile.ts";
import { constant4, integer4 } from "./vectors.ts";

export type VectorFunction = (x: V128) => V128;

// ln 2 = LN2_HIGH + LN2_LOW. The high part has 15 bits: its product with an exponent is exact.
const LN2_HIGH = 45426 / 65536;
const LN2_LOW = 1.428606765330187e-6;

/**
 * e^x. The error is below 1 ulp (0.9982; with a relaxed target 1.0238; measured over all floats), subnormal results
 * included. Infinity from 88.72284 up, 0 from -103.972084 down, NaN for NaN.
 */
export function exp(f: FunctionBuilder, target: Target): VectorFunction {
  const madd = (a: V128, b: V128, c: V128): V128 => multiplyAdd(target, a, b, c);
  const lowest = constant4(f, -104);
  const highest = constant4(f, 89);
  const log2e = constant4(f, 1.4426950408889634);
  // Added to a small number, it leaves that number rounded to the nearest integer in its lowest bits.
  const magic = constant4(f, 12582912);
  const minusHigh = constant4(f, -LN2_HIGH);
  const minusLow = constant4(f, -LN2_LOW);
  // e^r = 1 + r + r^2 P(r) on |r| <= ln 2 / 2, within 2^-27.7: the minimax polynomial (Remez), coefficients rounded to
  // floats one after the other, the rest fitted anew each time.
  const [c2, c3, c4, c5, c6] = [
    0.5, 0.16666488349437714, 0.04166555777192116, 0.008372262120246887, 0.0014033940387889743,
  ].map((c) => constant4(f, c)) as [V128, V128, V128, V128, V128];
  const one = constant4(f, 1);
  const bias = integer4(f, 127);

  return (value) => {
    // pmax and pmin give their first operand, so NaN, when either is NaN.
    const x = f.let(f32x4.pmin(f32x4.pmax(value, lowest), highest));
    // x = n ln 2 + r
    const shifted = f.let(madd(x, log2e, magic));
    const n = f.let(f32x4.sub(shifted, magic));
    const r = f.let(madd(n, minusLow, madd(n, minusHigh, x)));
    const p = madd(madd(madd(madd(c6, r, c5), r, c4), r, c3), r, c2);
    const y = f32x4.add(madd(p, f32x4.mul(r, r), r), one);
    // 2^n in two factors, because 2^n alone may not be a normal float. Only the second product can round.
    const exponent = f.let(i32x4.sub(shifted, magic));
    const half = f.let(i32x4.shr_s(exponent, 1));
    const first = i32x4.shl(i32x4.add(half, bias), 23);
    const second = i32x4.shl(i32x4.add(i32x4.sub(exponent, half), bias), 23);
    return f32x4.mul(f32x4.mul(y, first), second);
  };
}

/**
 * Natural logarithm. The error is below 0.84 ulp (measured over all floats), subnormal arguments included.
 * -Infinity at either zero, NaN below, Infinity at Infinity.
 */
export function log(f: FunctionBuilder, target: Target): VectorFunction {
  const madd = (a: V128, b: V128, c: V128): V128 => multiplyAdd(target, a, b, c);
  const smallestNormal = constant4(f, 2 ** -126);
  const lift = constant4(f, 2 ** 23);
  const lifted = constant4(f, -23);
  const rootHalf = constant4(f, Math.SQRT1_2);
  const [zero, half, one, two] = [0, 0.5, 1, 2].map((c) => constant4(f, c)) as [V128, V128, V128, V128];
  const high = constant4(f, LN2_HIGH);
  const low = constant4(f, LN2_LOW);
  const infinity = constant4(f, Infinity);
  const minusInfinity = constant4(f, -Infinity);
  // ln((1 + s) / (1 - s)) = 2 s + s R(s^2) on the range of s below, within 2^-30 of the logarithm; fitted as in `exp`.
  const [c1, c2, c3] = [0.6666677594184875, 0.3997756838798523, 0.29871460795402527].map((c) => constant4(f, c)) as [
    V128,
    V128,
    V128,
  ];

  return (value) => {
    const x = f.let(value);
    // x = 2^k m, m from sqrt(1/2) to sqrt(2)
    const tiny = f.let(f32x4.lt(x, smallestNormal));
    const normal = f.let(v128.bitselect(f32x4.mul(x, lift), x, tiny));
    const exponent = f.let(i32x4.shr_s(i32x4.sub(normal, rootHalf), 23));
    const m = i32x4.sub(normal, i32x4.shl(exponent, 23));
    const k = f.let(f32x4.add(f32x4.convert_i32x4_s(exponent), v128.and(tiny, lifted)));
    // With t = m - 1 and s = t / (2 + t): ln m = 2 s + s R = t - (t^2 / 2 - s (t^2 / 2 + R)).
    const t = f.let(f32x4.sub(m, one));
    const s = f.let(f32x4.div(t, f32x4.add(t, two)));
    const z = f.let(f32x4.mul(s, s));
    const R = f32x4.mul(z, madd(madd(c3, z, c2), z, c1));
    const square = f.let(f32x4.mul(f32x4.mul(t, t), half));
    const small = madd(s, f32x4.add(square, R), f32x4.mul(k, low));
    const y = madd(k, high, f32x4.sub(t, f32x4.sub(square, small)));
    // All bits set is a NaN.
    const defined = v128.or(y, v128.not(f32x4.ge(x, zero)));
    const above = v128.bitselect(x, defined, f32x4.eq(x, infinity));
    return v128.bitselect(minusInfinity, above, f32x4.eq(x, zero));
  };
}
