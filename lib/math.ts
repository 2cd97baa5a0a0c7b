/**
 * Transcendental functions with the same bits on every engine: made of `+ - * /`, `Math.floor`, comparisons and
 * exponent bits only, in a fixed order. `Math.exp` and its kin may differ between engines in the last bit, and a seeded
 * picture, schedule or table must not.
 *
 * Each function reduces its argument to a small interval, keeps what rounding lost there as a second, much smaller
 * number, and sums a Taylor series. Errors are in ulps, units in the last place of the true result, and were measured
 * against 256-bit arithmetic; the tests hold them.
 */

/** 2^n at n + 1023, n = -1023 to 1023. */
const POWERS_OF_TWO = new Float64Array(2047);
for (let n = 0, power = 1.1125369292536007e-308; n < 2047; n++, power *= 2) POWERS_OF_TWO[n] = power;

const bits = new DataView(new ArrayBuffer(8));

// ln 2 = LN2_HIGH + LN2_LOW. The high part has 32 bits, so that its product with an exponent is exact.
const LN2_HIGH = 2977044471 / 4294967296;
const LN2_LOW = 1.9082149292705877e-10;
const ONE_OVER_LN2 = 1.4426950408889634;

/**
 * e^x, within 0.7 ulp (0.8 where the result is subnormal). Overflows to Infinity above 709.782712893384, underflows to
 * 0 below -745.1332191019412.
 */
export function exp(x: number): number {
  if (x !== x) return x;
  if (x > 710) return Infinity;
  if (x < -746) return 0;
  // x = k ln 2 + r, |r| <= ln 2 / 2, r = high + low.
  const k = Math.floor(x * ONE_OVER_LN2 + 0.5);
  const start = x - k * LN2_HIGH;
  const high = start - k * LN2_LOW;
  const low = start - high - k * LN2_LOW;
  // e^high - 1 - high, by Taylor.
  const r = high;
  const tail =
    r * r *
    (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * (1 / 5040 + r * (1 / 40320 +
    r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * (1 / 479001600 + r / 6227020800)))))))))));
  // e^(high + low) = e^high (1 + low), to first order; `lost` is what 1 + high loses when it is rounded.
  const sum = 1 + high;
  const lost = high - (sum - 1);
  const y = sum + (lost + (tail + low * sum));
  // In two steps, because 2^k alone may lie outside the range of a double. Only the second can round.
  const half = k >> 1;
  return y * POWERS_OF_TWO[1023 + half] * POWERS_OF_TWO[1023 + k - half];
}

/** Natural logarithm, within 0.95 ulp. NaN below zero, -Infinity at either zero. */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN;
  if (x === Infinity) return x;
  // x = 2^k m, m from sqrt(1/2) to sqrt(2).
  let k = 0;
  if (x < 2.2250738585072014e-308) {
    x *= 18014398509481984;
    k = -54;
  }
  bits.setFloat64(0, x);
  const exponent = (bits.getUint32(0) >>> 20) - 1023;
  k += exponent;
  let m = x * POWERS_OF_TWO[1023 - exponent];
  if (m > 1.4142135623730951) {
    m *= 0.5;
    k += 1;
  }
  // With f = m - 1 and s = f / (2 + f): ln m = 2 atanh(s) = 2 s + s R, R = 2 (s^2/3 + s^4/5 + ... + s^20/21), and
  // 2 s = f - s f = f - f^2/2 + s f^2/2. The terms are added from the smallest to the largest.
  const f = m - 1;
  const s = f / (2 + f);
  const z = s * s;
  const R =
    z *
    (2 / 3 + z * (2 / 5 + z * (2 / 7 + z * (2 / 9 + z * (2 / 11 + z * (2 / 13 + z * (2 / 15 +
    z * (2 / 17 + z * (2 / 19 + (z * 2) / 21)))))))));
  const square = f * f * 0.5;
  return k * LN2_HIGH + (f - (square - (s * (square + R) + k * LN2_LOW)));
}

// pi / 2 is the sum of these four. The first three have at most 33 bits: their products with k < 2^20 are exact.
const HALF_PI_1 = 6746518852 / 4294967296;
const HALF_PI_2 = 1121027177 / 4294967296 / 4294967296;
const HALF_PI_3 = 4615408174 / 4294967296 / 4294967296 / 8589934592;
const HALF_PI_4 = 8.4784276603689e-32;
const TWO_OVER_PI = 0.6366197723675814;

/** Largest argument of `sin` and `cos`: beyond it the reduction by parts of pi / 2 would lose accuracy. */
export const MAX_ANGLE = 1048576;

/** What `difference`, the rounded a - b, lacks of the exact one. */
function lostBy(a: number, b: number, difference: number): number {
  const kept = a - difference;
  return a - (difference + kept) + (kept - b);
}

/** sin(x + quarters pi / 2) for x from 0 up. */
function sine(x: number, quarters: number): number {
  if (!(x <= MAX_ANGLE)) {
    if (x !== x || x === Infinity) return NaN;
    throw new RangeError(`${quarters === 0 ? "sin" : "cos"}: angles must lie within ${MAX_ANGLE} of 0, got ${x}`);
  }
  // x = k pi / 2 + r, |r| <= pi / 4, r = high + low.
  const k = Math.floor(x * TWO_OVER_PI + 0.5);
  const a = x - k * HALF_PI_1;
  const b = k * HALF_PI_2;
  const c = a - b;
  const d = k * HALF_PI_3;
  const e = c - d;
  const rest = lostBy(a, b, c) + lostBy(c, d, e) - k * HALF_PI_4;
  const high = e + rest;
  const low = e - high + rest;

  const z = high * high;
  const quadrant = (k + quarters) & 3;
  let y: number;
  if ((quadrant & 1) === 0) {
    // sin(high + low) = sin(high) + low cos(high), to first order.
    const tail =
      high * z *
      (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 + z * (-1 / 39916800 +
      z * (1 / 6227020800 + z * (-1 / 1307674368000 + z / 355687428096000)))))));
    y = high + (tail + low * (1 - z * 0.5));
  } else {
    // cos(high + low) = cos(high) - low high, to first order; `short` is what 1 - z / 2 loses when it is rounded.
    const tail =
      z * z *
      (1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z * (1 / 479001600 +
      z * (-1 / 87178291200 + z * (1 / 20922789888000 - z / 6402373705728000)))))));
    const sum = 1 - z * 0.5;
    const short = 1 - sum - z * 0.5;
    y = sum + (short + (tail - low * high));
  }
  return quadrant < 2 ? y : -y;
}

/** Sine of x radians, within 0.85 ulp, odd. RangeError beyond `MAX_ANGLE`, NaN for infinities. */
export function sin(x: number): number {
  // Near 0 it rounds to x, the sign of zero included.
  if (Math.abs(x) < 1e-8) return x;
  return x < 0 ? -sine(-x, 0) : sine(x, 0);
}

/** Cosine of x radians, within 0.85 ulp, even. RangeError beyond `MAX_ANGLE`, NaN for infinities. */
export function cos(x: number): number {
  return sine(Math.abs(x), 1);
}
