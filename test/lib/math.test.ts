import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { cos, exp, log, MAX_ANGLE, sin } from "../../lib/math.ts";

/**
 * The oracle: the same functions in whole numbers of 2^-BITS. Enough for the smallest results that are looked at here,
 * with 100 bits to spare.
 */
const BITS = 256n;
const ONE = 1n << BITS;

const view = new DataView(new ArrayBuffer(8));

/** The number x stands for, in units of 2^-BITS, rounded down. */
function fixed(x: number): bigint {
  view.setFloat64(0, x);
  const pattern = view.getBigUint64(0);
  const field = (pattern >> 52n) & 0x7ffn;
  const fraction = pattern & ((1n << 52n) - 1n);
  const significand = field === 0n ? fraction : fraction | (1n << 52n);
  const shift = (field === 0n ? 1n : field) - 1075n + BITS;
  const size = shift >= 0n ? significand << shift : significand >> -shift;
  return pattern >> 63n ? -size : size;
}

/** 2 atanh(p / q) = ln((q + p) / (q - p)). */
function twiceArtanh(p: bigint, q: bigint): bigint {
  const s = (p * ONE) / q;
  const z = (s * s) >> BITS;
  let sum = 0n;
  for (let power = s, n = 1n; power !== 0n && power !== -1n; power = (power * z) >> BITS, n += 2n) sum += power / n;
  return 2n * sum;
}

function arctanOfReciprocal(q: bigint): bigint {
  let sum = 0n;
  for (let power = ONE / q, n = 1n; power !== 0n; power /= -q * q, n += 2n) sum += power / n;
  return sum;
}

const LN2 = twiceArtanh(1n, 3n);
const HALF_PI = 2n * (4n * arctanOfReciprocal(5n) - arctanOfReciprocal(239n));

/** x / y to the nearest whole number. */
const nearest = (x: bigint, y: bigint): bigint => {
  const doubled = 2n * x + y;
  const quotient = doubled / (2n * y);
  return doubled < 0n && quotient * 2n * y !== doubled ? quotient - 1n : quotient;
};

/** The true value, as units of 2^(exponent - BITS). */
interface Scaled {
  readonly value: bigint;
  readonly exponent: number;
}

function trueExp(x: number): Scaled {
  const k = nearest(fixed(x), LN2);
  const r = fixed(x) - k * LN2;
  let sum = 0n;
  for (let term = ONE, n = 1n; term !== 0n && term !== -1n; term = ((term * r) >> BITS) / n, n++) sum += term;
  return { value: sum, exponent: Number(k) };
}

function trueLog(x: number): Scaled {
  // Exact: a power of two, in two steps because one may be out of range, brings x near 1.
  const k = Math.floor(Math.log2(x));
  const m = fixed(x * 2 ** -Math.trunc(k / 2) * 2 ** (Math.trunc(k / 2) - k));
  return { value: BigInt(k) * LN2 + twiceArtanh(m - ONE, m + ONE), exponent: 0 };
}

function trueSine(x: number, quarters: bigint): Scaled {
  const k = nearest(fixed(x), HALF_PI);
  const r = fixed(x) - k * HALF_PI;
  const quadrant = (((k + quarters) % 4n) + 4n) % 4n;
  const z = (r * r) >> BITS;
  const odd = quadrant % 2n === 0n;
  let sum = 0n;
  for (let term = odd ? r : ONE, n = odd ? 2n : 1n; term !== 0n && term !== -1n; n += 2n) {
    sum += term;
    term = ((-term * z) >> BITS) / (n * (n + 1n));
  }
  return { value: quadrant < 2n ? sum : -sum, exponent: 0 };
}

/** |got - want| in units of the last place of `want`, to a millionth. */
function ulps(got: number, want: Scaled): number {
  const size = want.value < 0n ? -want.value : want.value;
  const top = Math.max(size.toString(2).length - 1 - Number(BITS) + want.exponent, -1022);
  const scale = top - 52;
  // Both in units of 2^-20 ulp, as whole numbers.
  const trueUnits = (want.value << 20n) >> (BITS + BigInt(scale - want.exponent));
  const gotUnits = BigInt(got * 2 ** -Math.trunc(scale / 2) * 2 ** (Math.trunc(scale / 2) - scale) * 2 ** 20);
  return Math.abs(Number(gotUnits - trueUnits)) / 2 ** 20;
}

/** How many doubles lie between two of the same sign. */
function steps(a: number, b: number): number {
  const pattern = (x: number) => {
    view.setFloat64(0, x);
    return view.getBigInt64(0) & 0x7fffffffffffffffn;
  };
  const apart = Number(pattern(a) - pattern(b));
  return a * b >= 0 ? Math.abs(apart) : Infinity;
}

const between = (low: number, high: number) =>
  fc.integer({ min: 0, max: 2 ** 40 }).map((n) => low + ((high - low) * n) / 2 ** 40);
const runs = { numRuns: 2000 };

test("exp is within 0.7 ulp of the true value", () => {
  fc.assert(
    fc.property(fc.oneof(between(-708, 709.78), between(-1, 1)), (x) => {
      assert.ok(ulps(exp(x), trueExp(x)) < 0.7);
    }),
    runs,
  );
});

test("exp is within 0.8 ulp where the result is subnormal", () => {
  fc.assert(
    fc.property(between(-745, -708.5), (x) => {
      assert.ok(ulps(exp(x), trueExp(x)) < 0.8);
    }),
    runs,
  );
});

test("log is within 0.95 ulp of the true value, for every positive double", () => {
  const positive = fc.oneof(between(0.5, 2), between(0.68, 0.72), fc.double({ min: Number.MIN_VALUE, noNaN: true }));
  fc.assert(
    fc.property(positive, (x) => {
      fc.pre(x !== 1 && x !== Infinity);
      assert.ok(ulps(log(x), trueLog(x)) < 0.95);
    }),
    runs,
  );
});

test("sin and cos are within 0.85 ulp of the true value over the whole allowed range", () => {
  const nearMultiple = fc.integer({ min: 1, max: 667543 }).map((k) => (k * Math.PI) / 2);
  const angle = fc.oneof(between(-1, 1), between(-10, 10), between(-MAX_ANGLE, MAX_ANGLE), nearMultiple);
  fc.assert(
    fc.property(angle, (x) => {
      fc.pre(Math.abs(x) > 1e-6);
      assert.ok(ulps(sin(x), trueSine(x, 0n)) < 0.85);
      assert.ok(ulps(cos(x), trueSine(x, 1n)) < 0.85);
    }),
    runs,
  );
});

test("this engine's Math agrees within two steps", () => {
  const some = fc.double({ noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(some, between(-745, 709), between(-100000, 100000), (any, exponent, angle) => {
      assert.ok(steps(exp(exponent), Math.exp(exponent)) <= 2);
      assert.ok(steps(exp(any), Math.exp(any)) <= 2);
      assert.ok(steps(log(Math.abs(any)), Math.log(Math.abs(any))) <= 2);
      assert.ok(steps(sin(angle), Math.sin(angle)) <= 2);
      assert.ok(steps(cos(angle), Math.cos(angle)) <= 2);
    }),
    runs,
  );
});

test("exact where the true value is a double, and at the ends", () => {
  const cases: [(x: number) => number, number, number][] = [
    [exp, 0, 1],
    [exp, -0, 1],
    [exp, NaN, NaN],
    [exp, Infinity, Infinity],
    [exp, -Infinity, 0],
    [exp, 709.782712893384, 1.7976931348622732e308],
    [exp, 709.7827128933841, Infinity],
    [exp, -745.1332191019411, Number.MIN_VALUE],
    [exp, -745.1332191019412, 0],
    [exp, 1e308, Infinity],
    [exp, -1e308, 0],
    [log, 1, 0],
    [log, 0, -Infinity],
    [log, -0, -Infinity],
    [log, -1, NaN],
    [log, -Infinity, NaN],
    [log, NaN, NaN],
    [log, Infinity, Infinity],
    [log, Number.MIN_VALUE, -744.4400719213812],
    [log, Number.MAX_VALUE, 709.782712893384],
    [sin, 0, 0],
    [sin, -0, -0],
    [sin, Number.MIN_VALUE, Number.MIN_VALUE],
    [sin, -1e-9, -1e-9],
    [sin, NaN, NaN],
    [sin, Infinity, NaN],
    [cos, 0, 1],
    [cos, -0, 1],
    [cos, NaN, NaN],
    [cos, -Infinity, NaN],
  ];
  for (const [f, x, y] of cases) assert.ok(Object.is(f(x), y), `${f.name}(${x}) gave ${f(x)}, not ${y}`);
});

test("sin is odd, cos even, and angles out of range are refused", () => {
  fc.assert(
    fc.property(between(0, MAX_ANGLE), (x) => {
      assert.equal(sin(-x), -sin(x));
      assert.equal(cos(-x), cos(x));
    }),
  );
  assert.throws(() => sin(MAX_ANGLE + 1), { name: "RangeError", message: /sin: angles must lie within 1048576/ });
  assert.throws(() => cos(-1e300), RangeError);
});

test("the bits are these on every engine", () => {
  const values = new DataView(new ArrayBuffer(4 * 1000 * 8));
  for (let i = 0; i < 1000; i++) {
    values.setFloat64(i * 32, exp((i - 500) * 1.3));
    values.setFloat64(i * 32 + 8, log(exp((i - 500) * 1.3)));
    values.setFloat64(i * 32 + 16, sin((i - 500) * i * 0.7));
    values.setFloat64(i * 32 + 24, cos((i - 500) * i * 0.7));
  }
  const digest = createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");
  assert.equal(digest, "78d7516bb30a88167b2c690f714d65491a7a4c4dc8f8f913f64a4494fa799d64");
});
