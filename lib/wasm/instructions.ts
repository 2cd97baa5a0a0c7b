// WebAssembly's instructions, as far as kernels have asked for them. Names are those of the specification (3.0,
// section 6.5), numbers those of its binary format (section 5.4).

import {
  atomic,
  atomicUpdate,
  binary,
  bytesOf,
  extractLane,
  f32Constant,
  f64Constant,
  folding,
  i32Constant,
  laneOf,
  lift,
  load,
  loadLane,
  misc,
  plain,
  replaceLane,
  simd,
  store,
  storeLane,
  ternary,
  unary,
} from "./encoding.ts";
import type { Expression, I32, Operand, Statement, V128 } from "./encoding.ts";

const vectors = (opcode: number) => binary("v128", "v128", "v128", simd(opcode));
const vector = (opcode: number) => unary("v128", "v128", simd(opcode));
const shift = (opcode: number) => binary("v128", "i32", "v128", simd(opcode));
const i32Binary = (opcode: number) => binary("i32", "i32", "i32", plain(opcode));
const f32Binary = (opcode: number) => binary("f32", "f32", "f32", plain(opcode));
const f32Unary = (opcode: number) => unary("f32", "f32", plain(opcode));
const f32Compare = (opcode: number) => binary("f32", "f32", "i32", plain(opcode));
const f64Binary = (opcode: number) => binary("f64", "f64", "f64", plain(opcode));
const f64Unary = (opcode: number) => unary("f64", "f64", plain(opcode));
const f64Compare = (opcode: number) => binary("f64", "f64", "i32", plain(opcode));

const i32Multiply = folding(plain(0x6c), Math.imul, 1);

export const i32 = {
  const: i32Constant,
  load: load("i32", plain(0x28)),
  load8_s: load("i32", plain(0x2c)),
  load8_u: load("i32", plain(0x2d)),
  load16_s: load("i32", plain(0x2e)),
  load16_u: load("i32", plain(0x2f)),
  store: store("i32", plain(0x36)),
  store8: store("i32", plain(0x3a)),
  store16: store("i32", plain(0x3b)),
  eqz: unary("i32", "i32", plain(0x45)),
  eq: i32Binary(0x46),
  ne: i32Binary(0x47),
  lt_s: i32Binary(0x48),
  lt_u: i32Binary(0x49),
  gt_s: i32Binary(0x4a),
  gt_u: i32Binary(0x4b),
  le_s: i32Binary(0x4c),
  le_u: i32Binary(0x4d),
  ge_s: i32Binary(0x4e),
  ge_u: i32Binary(0x4f),
  clz: unary("i32", "i32", plain(0x67)),
  ctz: unary("i32", "i32", plain(0x68)),
  popcnt: unary("i32", "i32", plain(0x69)),
  add: folding(plain(0x6a), (a, b) => a + b, 0),
  sub: folding(plain(0x6b), (a, b) => a - b, 0),
  /** A factor that is a power of two, given last, becomes a shift. */
  mul: (a: I32, b: I32): Expression<"i32"> => {
    const [left, right] = [lift("i32", a), lift("i32", b)];
    const factor = right.known ?? 0;
    const powerOfTwo = factor > 1 && (factor & (factor - 1)) === 0;
    if (left.known === undefined && powerOfTwo) return i32.shl(left, 31 - Math.clz32(factor));
    return i32Multiply(left, right);
  },
  div_s: i32Binary(0x6d),
  div_u: i32Binary(0x6e),
  rem_s: i32Binary(0x6f),
  rem_u: i32Binary(0x70),
  and: i32Binary(0x71),
  or: i32Binary(0x72),
  xor: i32Binary(0x73),
  shl: folding(plain(0x74), (a, b) => a << b, 0),
  shr_s: folding(plain(0x75), (a, b) => a >> b, 0),
  shr_u: folding(plain(0x76), (a, b) => a >>> b, 0),
  rotl: i32Binary(0x77),
  rotr: i32Binary(0x78),
  reinterpret_f32: unary("f32", "i32", plain(0xbc)),
  trunc_sat_f32_s: unary("f32", "i32", misc(0)),
  trunc_sat_f32_u: unary("f32", "i32", misc(1)),
  trunc_sat_f64_s: unary("f64", "i32", misc(2)),
  trunc_sat_f64_u: unary("f64", "i32", misc(3)),
  atomic: {
    load: load("i32", atomic(0x10), 2),
    store: store("i32", atomic(0x17), 2),
    add: atomicUpdate(atomic(0x1e)),
    sub: atomicUpdate(atomic(0x25)),
    and: atomicUpdate(atomic(0x2c)),
    or: atomicUpdate(atomic(0x33)),
    exchange: atomicUpdate(atomic(0x41)),
    /** Wakes up to `count` waiters; leaves how many there were. */
    notify: atomicUpdate(atomic(0x00)),
  },
};

export const f32 = {
  const: f32Constant,
  load: load("f32", plain(0x2a)),
  store: store("f32", plain(0x38)),
  eq: f32Compare(0x5b),
  ne: f32Compare(0x5c),
  lt: f32Compare(0x5d),
  gt: f32Compare(0x5e),
  le: f32Compare(0x5f),
  ge: f32Compare(0x60),
  abs: f32Unary(0x8b),
  neg: f32Unary(0x8c),
  ceil: f32Unary(0x8d),
  floor: f32Unary(0x8e),
  trunc: f32Unary(0x8f),
  nearest: f32Unary(0x90),
  sqrt: f32Unary(0x91),
  add: f32Binary(0x92),
  sub: f32Binary(0x93),
  mul: f32Binary(0x94),
  div: f32Binary(0x95),
  min: f32Binary(0x96),
  max: f32Binary(0x97),
  copysign: f32Binary(0x98),
  convert_i32_s: unary("i32", "f32", plain(0xb2)),
  convert_i32_u: unary("i32", "f32", plain(0xb3)),
  demote_f64: unary("f64", "f32", plain(0xb6)),
  reinterpret_i32: unary("i32", "f32", plain(0xbe)),
};

export const f64 = {
  const: f64Constant,
  load: load("f64", plain(0x2b)),
  store: store("f64", plain(0x39)),
  eq: f64Compare(0x61),
  ne: f64Compare(0x62),
  lt: f64Compare(0x63),
  gt: f64Compare(0x64),
  le: f64Compare(0x65),
  ge: f64Compare(0x66),
  abs: f64Unary(0x99),
  neg: f64Unary(0x9a),
  ceil: f64Unary(0x9b),
  floor: f64Unary(0x9c),
  trunc: f64Unary(0x9d),
  nearest: f64Unary(0x9e),
  sqrt: f64Unary(0x9f),
  add: f64Binary(0xa0),
  sub: f64Binary(0xa1),
  mul: f64Binary(0xa2),
  div: f64Binary(0xa3),
  min: f64Binary(0xa4),
  max: f64Binary(0xa5),
  copysign: f64Binary(0xa6),
  convert_i32_s: unary("i32", "f64", plain(0xb7)),
  convert_i32_u: unary("i32", "f64", plain(0xb8)),
  promote_f32: unary("f32", "f64", plain(0xbb)),
};

export const v128 = {
  const: (bytes: ArrayLike<number>): V128 => {
    if (bytes.length !== 16) throw new RangeError(`assembler: a v128 constant has 16 bytes, got ${bytes.length}`);
    return { type: "v128", code: [simd(0x0c), Uint8Array.from(bytes)] };
  },
  load: load("v128", simd(0x00)),
  load8_splat: load("v128", simd(0x07)),
  load16_splat: load("v128", simd(0x08)),
  load32_splat: load("v128", simd(0x09)),
  load64_splat: load("v128", simd(0x0a)),
  load32_zero: load("v128", simd(0x5c)),
  load64_zero: load("v128", simd(0x5d)),
  load8x8_s: load("v128", simd(0x01)),
  load8x8_u: load("v128", simd(0x02)),
  load16x4_s: load("v128", simd(0x03)),
  load16x4_u: load("v128", simd(0x04)),
  store: store("v128", simd(0x0b)),
  load8_lane: loadLane(16, simd(0x54)),
  load16_lane: loadLane(8, simd(0x55)),
  load32_lane: loadLane(4, simd(0x56)),
  load64_lane: loadLane(2, simd(0x57)),
  store8_lane: storeLane(16, simd(0x58)),
  store16_lane: storeLane(8, simd(0x59)),
  store32_lane: storeLane(4, simd(0x5a)),
  store64_lane: storeLane(2, simd(0x5b)),
  not: vector(0x4d),
  and: vectors(0x4e),
  andnot: vectors(0x4f),
  or: vectors(0x50),
  xor: vectors(0x51),
  /** Bits of `a` where `mask` is one, of `b` where it is zero. */
  bitselect: ternary("v128", simd(0x52)),
  any_true: unary("v128", "i32", simd(0x53)),
};

export const i8x16 = {
  /** Sixteen bytes picked by number from the thirty-two of `a` then `b`. */
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 => {
    if (lanes.length !== 16) throw new RangeError(`assembler: shuffle picks 16 lanes, got ${lanes.length}`);
    const picks = lanes.map((lane) => laneOf(lane, 32));
    return { type: "v128", code: [a.code, b.code, simd(0x0d), picks] };
  },
  swizzle: vectors(0x0e),
  splat: unary("i32", "v128", simd(0x0f)),
  extract_lane_u: extractLane("i32", 16, simd(0x16)),
  replace_lane: replaceLane("i32", 16, simd(0x17)),
  eq: vectors(0x23),
  ne: vectors(0x24),
  narrow_i16x8_s: vectors(0x65),
  narrow_i16x8_u: vectors(0x66),
  add: vectors(0x6e),
  sub: vectors(0x71),
  min_u: vectors(0x77),
  max_u: vectors(0x79),
  all_true: unary("v128", "i32", simd(0x63)),
  bitmask: unary("v128", "i32", simd(0x64)),
};

export const i16x8 = {
  splat: unary("i32", "v128", simd(0x10)),
  extract_lane_u: extractLane("i32", 8, simd(0x19)),
  narrow_i32x4_s: vectors(0x85),
  narrow_i32x4_u: vectors(0x86),
  extend_low_i8x16_s: vector(0x87),
  extend_high_i8x16_s: vector(0x88),
  extend_low_i8x16_u: vector(0x89),
  extend_high_i8x16_u: vector(0x8a),
};

export const i32x4 = {
  const: (a: number, b: number, c: number, d: number): V128 => v128.const(bytesOf(Int32Array.of(a, b, c, d))),
  splat: unary("i32", "v128", simd(0x11)),
  extract_lane: extractLane("i32", 4, simd(0x1b)),
  replace_lane: replaceLane("i32", 4, simd(0x1c)),
  /** Four lanes picked by number from the eight of `a` then `b`. */
  shuffle: (a: V128, b: V128, lanes: readonly [number, number, number, number]): V128 =>
    i8x16.shuffle(
      a,
      b,
      lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * laneOf(lane, 8) + byte)),
    ),
  eq: vectors(0x37),
  ne: vectors(0x38),
  lt_s: vectors(0x39),
  lt_u: vectors(0x3a),
  gt_s: vectors(0x3b),
  gt_u: vectors(0x3c),
  le_s: vectors(0x3d),
  le_u: vectors(0x3e),
  ge_s: vectors(0x3f),
  ge_u: vectors(0x40),
  abs: vector(0xa0),
  neg: vector(0xa1),
  all_true: unary("v128", "i32", simd(0xa3)),
  bitmask: unary("v128", "i32", simd(0xa4)),
  extend_low_i16x8_s: vector(0xa7),
  extend_high_i16x8_s: vector(0xa8),
  extend_low_i16x8_u: vector(0xa9),
  extend_high_i16x8_u: vector(0xaa),
  shl: shift(0xab),
  shr_s: shift(0xac),
  shr_u: shift(0xad),
  add: vectors(0xae),
  sub: vectors(0xb1),
  mul: vectors(0xb5),
  min_s: vectors(0xb6),
  min_u: vectors(0xb7),
  max_s: vectors(0xb8),
  max_u: vectors(0xb9),
  trunc_sat_f32x4_s: vector(0xf8),
  trunc_sat_f32x4_u: vector(0xf9),
};

export const f32x4 = {
  const: (a: number, b: number, c: number, d: number): V128 => v128.const(bytesOf(Float32Array.of(a, b, c, d))),
  splat: unary("f32", "v128", simd(0x13)),
  extract_lane: extractLane("f32", 4, simd(0x1f)),
  replace_lane: replaceLane("f32", 4, simd(0x20)),
  eq: vectors(0x41),
  ne: vectors(0x42),
  lt: vectors(0x43),
  gt: vectors(0x44),
  le: vectors(0x45),
  ge: vectors(0x46),
  ceil: vector(0x67),
  floor: vector(0x68),
  trunc: vector(0x69),
  nearest: vector(0x6a),
  abs: vector(0xe0),
  neg: vector(0xe1),
  sqrt: vector(0xe3),
  add: vectors(0xe4),
  sub: vectors(0xe5),
  mul: vectors(0xe6),
  div: vectors(0xe7),
  min: vectors(0xe8),
  max: vectors(0xe9),
  /** `b < a ? b : a`, the one-instruction minimum; NaN and signed zeros as that comparison says. */
  pmin: vectors(0xea),
  /** `a < b ? b : a`. */
  pmax: vectors(0xeb),
  convert_i32x4_s: vector(0xfa),
  convert_i32x4_u: vector(0xfb),
  demote_f64x2_zero: vector(0x5e),
  /** `a * b + c`, rounded once or twice as the machine likes. Not reproducible: only where that was asked for. */
  relaxed_madd: ternary("v128", simd(0x105)),
};

export const f64x2 = {
  const: (a: number, b: number): V128 => v128.const(bytesOf(Float64Array.of(a, b))),
  splat: unary("f64", "v128", simd(0x14)),
  extract_lane: extractLane("f64", 2, simd(0x21)),
  replace_lane: replaceLane("f64", 2, simd(0x22)),
  eq: vectors(0x47),
  ne: vectors(0x48),
  lt: vectors(0x49),
  gt: vectors(0x4a),
  le: vectors(0x4b),
  ge: vectors(0x4c),
  ceil: vector(0x74),
  floor: vector(0x75),
  trunc: vector(0x7a),
  nearest: vector(0x94),
  abs: vector(0xec),
  neg: vector(0xed),
  sqrt: vector(0xef),
  add: vectors(0xf0),
  sub: vectors(0xf1),
  mul: vectors(0xf2),
  div: vectors(0xf3),
  min: vectors(0xf4),
  max: vectors(0xf5),
  promote_low_f32x4: vector(0x5f),
  convert_low_i32x4_s: vector(0xfe),
};

export const memory = {
  copy: (to: I32, from: I32, bytes: I32): Statement => ({
    type: "void",
    code: [lift("i32", to).code, lift("i32", from).code, lift("i32", bytes).code, 0xfc, 0x0a, 0, 0],
  }),
  fill: (to: I32, byte: I32, bytes: I32): Statement => ({
    type: "void",
    code: [lift("i32", to).code, lift("i32", byte).code, lift("i32", bytes).code, 0xfc, 0x0b, 0],
  }),
};

/** `condition` chooses between two values that are both computed. */
export function select<T extends "i32" | "f32" | "f64">(
  type: T,
  whenTrue: Operand[T],
  whenFalse: Operand[T],
  condition: I32,
): Expression<T> {
  const [a, b] = [lift(type, whenTrue), lift(type, whenFalse)];
  return { type, code: [a.code, b.code, lift("i32", condition).code, 0x1b] };
}

/** The condition of a branch, or any other place that wants an `i32` from outside this file. */
export function toI32(value: I32): Expression<"i32"> {
  return lift("i32", value);
}
