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

/** All bits of the first `count` lanes, none of the others. */
export function firstLanes(count: I32): V128 {
  return i32x4.lt_s(i32x4.const(0, 1, 2, 3), i32x4.splat(count));
}

/** Stores the first `count` lanes, all four if there are more. `v` is read more than once. */
export function storeFirst(f: FunctionBuilder, address: I32, v: V128, count: I32, offset = 0): void {
  f.if(
    i32.ge_s(count, 4),
    () => f.do(v128.store(address, v, offset)),
    () => {
      f.if(
        i32.and(count, 2),
        () => {
          f.do(v128.store64_lane(address, v, 0, offset));
          f.if(i32.and(count, 1), () => f.do(v128.store32_lane(address, v, 2, offset + 8)));
        },
        () => f.if(i32.and(count, 1), () => f.do(v128.store32_lane(address, v, 0, offset))),
      );
    },
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
      f.loop(0, count, 4, (i) => {
        storeFirst(f, to, f.let(v128.load(from)), f.let(i32.sub(count, i)));
        f.increment(from, 16);
        f.increment(to, 16);
      }),
  );
}
