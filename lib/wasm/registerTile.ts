// The inner loop of every product: a block of sums held in SIMD registers, fed by splats from one side and vectors
// from the other. Each output is one chain of additions in the order of the inner index, whatever the block's size.

import { f32x4, i32, v128 } from "./assembler.ts";
import type { FunctionBuilder, I32, Local, V128 } from "./assembler.ts";
import type { Target } from "./kernel.ts";

/** Sums of `rows` by `lanes` outputs; `lanes` has the used lanes of each vector, four except perhaps in the last. */
export interface RegisterTile {
  readonly rows: number;
  readonly lanes: readonly number[];
  readonly sums: readonly (readonly Local<"v128">[])[];
}

/** Lane counts of the vectors that hold so many columns: `10` is `[4, 4, 2]`. */
export function lanesOf(columns: number): number[] {
  return Array.from({ length: Math.ceil(columns / 4) }, (_, v) => Math.min(4, columns - 4 * v));
}

export function registerTile(f: FunctionBuilder, rows: number, columns: number): RegisterTile {
  const lanes = lanesOf(columns);
  const sums = Array.from({ length: rows }, () => lanes.map(() => f.local("v128")));
  return { rows, lanes, sums };
}

export function clear(f: FunctionBuilder, tile: RegisterTile): void {
  for (const row of tile.sums) for (const sum of row) f.set(sum, f32x4.splat(0));
}

/** `a * b + c`: two roundings everywhere, or whatever the machine does best where that was asked for. */
export function multiplyAdd(target: Target, a: V128, b: V128, c: V128): V128 {
  return target.relaxed ? f32x4.relaxed_madd(a, b, c) : f32x4.add(c, f32x4.mul(a, b));
}

/**
 * Adds `count >= 1` terms to every sum and leaves `p` and `q` behind the last: term `k` of row `r` is the splat of
 * the number at `p + rowOffset(r) + k * pStep` times the vectors at `q + k * qStep`.
 */
export function sumProducts(
  f: FunctionBuilder,
  target: Target,
  tile: RegisterTile,
  from: { p: Local<"i32">; q: Local<"i32">; rowOffset: (row: number) => number; pStep: number; qStep: number },
  count: I32,
): void {
  const left = f.let(i32.add(count, 0));
  f.repeat(() => {
    const b = tile.lanes.map((lanes, v) => f.let(loadLanes(from.q, lanes, 16 * v)));
    tile.sums.forEach((row, r) => {
      const a = f.let(v128.load32_splat(from.p, from.rowOffset(r)));
      row.forEach((sum, v) => f.set(sum, multiplyAdd(target, a, b[v]!, sum)));
    });
    f.increment(from.p, from.pStep);
    f.increment(from.q, from.qStep);
    f.increment(left, -1);
    return left;
  });
}

/** One to four floats at an address; lanes above are zero, and nothing behind is touched. */
export function loadLanes(address: I32, lanes: number, offset = 0): V128 {
  if (lanes === 1) return v128.load32_zero(address, offset);
  if (lanes === 2) return v128.load64_zero(address, offset);
  if (lanes === 3) return v128.load32_lane(address, v128.load64_zero(address, offset), 2, offset + 8);
  return v128.load(address, offset);
}

/** Stores the first one to four lanes. */
export function storeLanes(f: FunctionBuilder, address: I32, value: V128, lanes: number, offset = 0): void {
  if (lanes === 4) return f.do(v128.store(address, value, offset));
  if (lanes === 1) return f.do(v128.store32_lane(address, value, 0, offset));
  f.do(v128.store64_lane(address, value, 0, offset));
  if (lanes === 3) f.do(v128.store32_lane(address, value, 2, offset + 8));
}

/**
 * Rows and vectors of the register tile that takes the fewest cycles for `rows` by `columns` sums, by a small model:
 * two multiply-adds a cycle with fusion and three halves of one without, three loads a cycle, and additions that
 * wait for the one before. `allowed` may rule tiles out. Sixteen registers, one of them the engine's, bound the tiles. Measured with K = 480 on a
 * Xeon with AVX-512: 5x8 and 4x12 at 32.5 GFLOP/s without fusion, 6x8 at 53 and 5x8 at 51 with it, 4x12 spills there.
 */
export function chooseTile(
  rows: number,
  columns: number,
  relaxed: boolean,
  allowed: (rows: number, columns: number) => boolean = () => true,
): { rows: number; vectors: number } {
  const candidates = relaxed
    ? [[6, 2], [5, 2], [4, 2], [3, 3], [2, 4], [1, 8]]
    : [[5, 2], [4, 3], [3, 4], [2, 4], [1, 8]];
  const cycles = (r: number, v: number) => Math.max((r * v) / (relaxed ? 2 : 1.5), (r + v) / 3, relaxed ? 4 : 3) + 0.5;
  const vectors = Math.ceil(columns / 4);
  let best = { rows: 1, vectors: 1, cost: Infinity };
  for (const [r, v] of candidates as [number, number][]) {
    if (!allowed(r, 4 * v)) continue;
    let cost = 0;
    for (const [height, times] of [[r, Math.floor(rows / r)], [rows % r, 1]] as const) {
      if (height === 0) continue;
      for (const [width, panels] of [[v, Math.floor(vectors / v)], [vectors % v, 1]] as const) {
        if (width > 0) cost += times * panels * cycles(height, width);
      }
    }
    if (cost < best.cost) best = { rows: r, vectors: v, cost };
  }
  return { rows: best.rows, vectors: best.vectors };
}
