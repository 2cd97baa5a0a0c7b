// Max pooling of sums that are still in registers.

import { f32x4, i32x4, v128 } from "./assembler.ts";
import type { FunctionBuilder, Local, V128 } from "./assembler.ts";
import type { Activation } from "./epilogue.ts";
import { storeLanes } from "./registerTile.ts";

/** What stands in `argmax` for a pooled output through which no gradient comes back. */
export const noGradient = -1;

/**
 * Stores the greatest of a window's sums and its place among them: the first of equals, and NaN before any number.
 * Bias and rectifier (`finish`) grow with their argument, so they come after; what they make equal counts as it was.
 */
export function storePooled(
  f: FunctionBuilder,
  sums: readonly Local<"v128">[],
  lanes: number,
  to: { readonly y: Local<"i32">; readonly argmax: Local<"i32">; readonly offset: number },
  activation: Activation,
  finish: (greatest: V128) => V128,
): void {
  const nans = sums.map((sum) => f.let(f32x4.ne(sum, sum)));
  const greatest = f.let(sums.reduce<V128>((best, sum) => f32x4.pmax(best, sum), sums[0]!));
  f.set(
    greatest,
    nans.reduce<V128>((all, nan) => v128.or(all, nan), greatest),
  );
  // The place is how many sums, from the first on, are neither the greatest nor NaN; the last need not be asked.
  const passed = f.let(i32x4.splat(-1));
  const place = f.let(i32x4.splat(0));
  sums.slice(0, -1).forEach((sum, k) => {
    f.set(passed, v128.and(passed, v128.andnot(f32x4.ne(sum, greatest), nans[k]!)));
    f.set(place, i32x4.sub(place, passed));
  });
  const value = f.let(finish(greatest));
  storeLanes(f, to.y, value, lanes, to.offset);
  // All ones, which is `noGradient`, where the rectifier made it zero.
  if (activation === "relu") f.set(place, v128.or(place, f32x4.le(value, f32x4.splat(0))));
  storeLanes(f, to.argmax, place, lanes, to.offset);
}
