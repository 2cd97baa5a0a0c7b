// Small pieces that several kernel families are made of.

import { f32x4, i32, i32x4, memory, select, toI32, v128 } from "./assembler.ts";
import type { FunctionBuilder, I32, Local, V128 } from "./assembler.ts";

/** The smaller of two signed integers. */
export function lesser(a: I32, b: I32): ReturnType<typeof toI32> {
  return select("i32", a, b, i32.lt_s(a, b));
}

/** A constant in all four lanes, kept in a local: engines would build it anew in every round of a loop. */
export function constant4(f: FunctionBuilder, value: number): V128 {
  return f.let(f32x4.const(value, value, value, value));
}

export function integer4(f: FunctionBuilder, value: number): V128 {
  return f.let(i32x4.const(value, value, value, value));
}

/** How many lanes of a vector count: all four, or one to three, known when the kernel runs. */
export type Lanes = "all" | Local<"i32">;

/**
 * Emits a loop over `count` elements, four at a time, and what remains after it: `body` is emitted twice, and given the
 * number of the first element. One loop with a look at every store would be shorter, but V8 (Node 20) then moves the
 * computation of a vector into the branches of its stores, and repeats it for each: draws took twice as long.
 */
export function eachVector(f: FunctionBuilder, count: I32, body: (first: Local<"i32">, lanes: Lanes) => void): void {
  const whole = f.let(i32.and(count, -4));
  f.loop(0, whole, 4, (i) => body(i, "all"));
  const rest = f.let(i32.and(count, 3));
  f.if(rest, () => body(whole, rest));
}

/** The lanes that count; zeros in the others, or the lanes of `otherwise`. */
export function onlyLanes(v: V128, lanes: Lanes, otherwise?: V128): V128 {
  if (lanes === "all") return v;
  const mask = i32x4.lt_s(i32x4.const(0, 1, 2, 3), i32x4.splat(lanes));
  return otherwise === undefined ? v128.and(v, mask) : v128.bitselect(v, otherwise, mask);
}

/** Stores the lanes that count. */
export function storeLanes(f: FunctionBuilder, address: I32, vector: V128, lanes: Lanes, offset = 0): void {
  if (lanes === "all") {
    f.do(v128.store(address, vector, offset));
    return;
  }
  const v = f.let(vector);
  f.if(
    i32.and(lanes, 2),
    () => {
      f.do(v128.store64_lane(address, v, 0, offset));
      f.if(i32.and(lanes, 1), () => f.do(v128.store32_lane(address, v, 2, offset + 8)));
    },
    () => f.do(v128.store32_lane(address, v, 0, offset)),
  );
}

/** Stores the first `count` lanes: none if that is not positive, all four if there are more. */
export function storeUpTo(f: FunctionBuilder, address: I32, vector: V128, count: Local<"i32">, offset = 0): void {
  const v = f.let(vector);
  f.if(
    i32.ge_s(count, 4),
    () => storeLanes(f, address, v, "all", offset),
    () => f.if(i32.gt_s(count, 0), () => storeLanes(f, address, v, count, offset)),
  );
}

/** Reports a value that cannot be worked on: see `Addresses.fault`. */
export function refuse(f: FunctionBuilder, fault: I32, value: I32): void {
  f.do(i32.store(fault, value, 4), i32.store(fault, 1));
}

/** Copies `count` numbers between places that do not overlap; both locals are moved along. */
export function copyNumbers(f: FunctionBuilder, to: Local<"i32">, from: Local<"i32">, count: Local<"i32">): void {
  // Below this a loop is done before a bulk copy, which leaves WebAssembly, has begun.
  f.if(
    i32.gt_s(count, 128),
    () => f.do(memory.copy(to, from, i32.mul(count, 4))),
    () =>
      eachVector(f, count, (_, lanes) => {
        storeLanes(f, to, v128.load(from), lanes);
        f.increment(from, 16);
        f.increment(to, 16);
      }),
  );
}
