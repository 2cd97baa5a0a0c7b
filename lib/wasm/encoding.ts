// Typed expressions of WebAssembly code and what instructions are made from: LEB128, operands, kinds of instruction.
// An expression is the bytes that leave one value on the stack, so composing instructions is joining bytes.

/**
 * Bytes in order. Codes are joined by nesting, and each byte is copied once, when the function that it belongs to takes
 * it: joining flat lists copies an operand again for every instruction around it.
 */
export type Code = Uint8Array | readonly (number | Code)[];

/** Bytes that grow at their end. */
export class CodeWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** `capacity` is how many bytes to expect. */
  constructor(capacity = 512) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  append(code: Code): void {
    if (code instanceof Uint8Array) {
      this.#reserve(code.length);
      this.#bytes.set(code, this.#length);
      this.#length += code.length;
      return;
    }
    for (let i = 0; i < code.length; i++) {
      const part = code[i]!;
      if (typeof part === "number") this.byte(part);
      else this.append(part);
    }
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** What was written, as a view: to be taken when nothing more will be. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }
}

export type ValueType = "i32" | "f32" | "f64" | "v128";

/** Bytes of code that leave a value of type `T` on the stack, or nothing for `"void"` (a statement). */
export interface Expression<T extends ValueType | "void"> {
  readonly type: T;
  readonly code: Code;
  /** The value, when it is known at emission; `i32` arithmetic folds it. */
  readonly known?: number;
}

export type Statement = Expression<"void">;
export type V128 = Expression<"v128">;
/** Where a number stands for a scalar operand it is a constant. */
export type I32 = Expression<"i32"> | number;
export type F32 = Expression<"f32"> | number;
export type F64 = Expression<"f64"> | number;

export interface Operand {
  i32: I32;
  f32: F32;
  f64: F64;
  v128: V128;
}

/** Most immediates are one byte, and their lists are shared. */
const single: readonly (readonly number[])[] = Array.from({ length: 0x80 }, (_, byte) => [byte]);

/** LEB128, unsigned: seven bits a byte, lowest first. */
export function unsigned(value: number): readonly number[] {
  const short = single[value];
  if (short !== undefined) return short;
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new RangeError(`assembler: an unsigned immediate must be a whole number from 0 to 2^32 - 1, got ${value}`);
  }
  const bytes: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value & 0x7f) | 0x80);
  bytes.push(value);
  return bytes;
}

/** LEB128, signed, of a 32-bit integer; ends when the rest is only copies of the sign bit just written. */
export function signed(value: number): readonly number[] {
  if (!Number.isInteger(value) || value < -0x80000000 || value > 0xffffffff) {
    throw new RangeError(`assembler: an i32 constant must be a whole number of 32 bits, got ${value}`);
  }
  if (value >= -0x40 && value < 0x40) return single[value & 0x7f]!;
  const bytes: number[] = [];
  let rest = value | 0;
  for (; rest >> 6 !== 0 && rest >> 6 !== -1; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest & 0x7f);
  return bytes;
}

export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

export function i32Constant(value: number): Expression<"i32"> {
  return { type: "i32", code: [0x41, signed(value)], known: value | 0 };
}

export function f32Constant(value: number): Expression<"f32"> {
  return { type: "f32", code: [0x43, bytesOf(Float32Array.of(value))] };
}

export function f64Constant(value: number): Expression<"f64"> {
  return { type: "f64", code: [0x44, bytesOf(Float64Array.of(value))] };
}

/** The operand as an expression: a bare number becomes a constant of the type asked for. */
export function lift<T extends ValueType>(type: T, operand: Operand[T]): Expression<T> {
  let lifted: Expression<ValueType>;
  if (typeof operand !== "number") lifted = operand;
  else if (type === "i32") lifted = i32Constant(operand);
  else if (type === "f32") lifted = f32Constant(operand);
  else lifted = f64Constant(operand);
  if (lifted.type !== type) throw new TypeError(`assembler: expected an operand of type ${type}, got ${lifted.type}`);
  return lifted as Expression<T>;
}

/** The bytes of an opcode. */
type Opcode = readonly number[];

export const plain = (code: number): Opcode => [code];
export const simd = (code: number): Opcode => [0xfd, ...unsigned(code)];
export const atomic = (code: number): Opcode => [0xfe, ...unsigned(code)];
export const misc = (code: number): Opcode => [0xfc, ...unsigned(code)];

export function unary<A extends ValueType, R extends ValueType>(argument: A, result: R, opcode: Opcode) {
  return (a: Operand[A]): Expression<R> => ({ type: result, code: [lift(argument, a).code, opcode] });
}

export function binary<A extends ValueType, B extends ValueType, R extends ValueType>(
  left: A,
  right: B,
  result: R,
  opcode: Opcode,
) {
  return (a: Operand[A], b: Operand[B]): Expression<R> => ({
    type: result,
    code: [lift(left, a).code, lift(right, b).code, opcode],
  });
}

export function ternary<A extends ValueType>(type: A, opcode: Opcode) {
  return (a: Operand[A], b: Operand[A], c: Operand[A]): Expression<A> => ({
    type,
    code: [lift(type, a).code, lift(type, b).code, lift(type, c).code, opcode],
  });
}

/** Binary `i32` arithmetic whose constants are folded, so that specialised kernels carry no sums of literals. */
export function folding(opcode: Opcode, compute: (a: number, b: number) => number, identity: number | undefined) {
  const emit = binary("i32", "i32", "i32", opcode);
  return (a: I32, b: I32): Expression<"i32"> => {
    const [left, right] = [lift("i32", a), lift("i32", b)];
    if (left.known !== undefined && right.known !== undefined) return i32Constant(compute(left.known, right.known) | 0);
    if (right.known !== undefined && right.known === identity) return left;
    return emit(left, right);
  };
}

// `alignment` is a base-two logarithm, and a hint to engines, except for atomics, which trap when it is wrong.

export function load<R extends ValueType>(result: R, opcode: Opcode, alignment = 0) {
  return (address: I32, offset = 0): Expression<R> => ({
    type: result,
    code: [lift("i32", address).code, opcode, alignment, unsigned(offset)],
  });
}

export function store<A extends ValueType>(type: A, opcode: Opcode, alignment = 0) {
  return (address: I32, value: Operand[A], offset = 0): Statement => ({
    type: "void",
    code: [lift("i32", address).code, lift(type, value).code, opcode, alignment, unsigned(offset)],
  });
}

export function laneOf(lane: number, lanes: number): number {
  if (!Number.isInteger(lane) || lane < 0 || lane >= lanes) {
    throw new RangeError(`assembler: a lane must be a whole number from 0 to ${lanes - 1}, got ${lane}`);
  }
  return lane;
}

export function loadLane(lanes: number, opcode: Opcode) {
  return (address: I32, into: V128, lane: number, offset = 0): V128 => ({
    type: "v128",
    code: [lift("i32", address).code, into.code, opcode, 0, unsigned(offset), laneOf(lane, lanes)],
  });
}

export function storeLane(lanes: number, opcode: Opcode) {
  return (address: I32, value: V128, lane: number, offset = 0): Statement => ({
    type: "void",
    code: [lift("i32", address).code, value.code, opcode, 0, unsigned(offset), laneOf(lane, lanes)],
  });
}

export function extractLane<R extends ValueType>(result: R, lanes: number, opcode: Opcode) {
  return (a: V128, lane: number): Expression<R> => ({
    type: result,
    code: [a.code, opcode, laneOf(lane, lanes)],
  });
}

export function replaceLane<A extends ValueType>(type: A, lanes: number, opcode: Opcode) {
  return (a: V128, lane: number, value: Operand[A]): V128 => ({
    type: "v128",
    code: [a.code, lift(type, value).code, opcode, laneOf(lane, lanes)],
  });
}

export function atomicUpdate(opcode: Opcode) {
  return (address: I32, value: I32, offset = 0): Expression<"i32"> => ({
    type: "i32",
    code: [lift("i32", address).code, lift("i32", value).code, opcode, 2, unsigned(offset)],
  });
}
