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
  const { rows, lanes } = tile;
  const splat = (r: number) => f.let(v128.load32_splat(from.p, from.rowOffset(r)));
  const vector = (v: number) => f.let(loadLanes(from.q, lanes[v]!, 16 * v));
  const add = (r: number, v: number, a: V128, b: V128) =>
    f.set(tile.sums[r]![v]!, multiplyAdd(target, a, b, tile.sums[r]![v]!));
  f.block((done) => {
    // An exit never taken. Without it V8 (Node 20) moves all loads to the front of the loop body, runs out of its
    // fifteen registers and keeps sums in memory: the 5x8 tile does 33 GFLOP/s so, and 38 with exits.
    const keepOrder = (i: number) => f.brIf(done, i32.lt_s(left, -i));
    f.repeat(() => {
      if (rows >= lanes.length) {
        const b = lanes.map((_, v) => vector(v));
        for (let r = 0; r < rows; r++) {
          const a = splat(r);
          b.forEach((value, v) => add(r, v, a, value));
          if (r + 1 < rows) keepOrder(r);
        }
      } else {
        const a = tile.sums.map((_, r) => splat(r));
        for (let v = 0; v < lanes.length; v++) {
          const b = vector(v);
          a.forEach((value, r) => add(r, v, value, b));
          if (v + 1 < lanes.length) keepOrder(v);
        }
      }
      f.increment(from.p, from.pStep);
      f.increment(from.q, from.qStep);
      f.increment(left, -1);
      return left;
    });
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
 * two multiply-adds a cycle with fusion and three halves of one without, three loads a cycle, additions that wait for
 * the one before, and a little for the loop. Sixteen registers, one of them the engine's, bound the tiles. `allowed`
 * may rule tiles out. Measured on a Xeon with AVX-512: all of these do 38 GFLOP/s without fusion; with it 6x8 does 53,
 * 5x8 51, 3x12 47, 4x8 46.
 */
export function chooseTile(
  rows: number,
  columns: number,
  relaxed: boolean,
  allowed: (rows: number, columns: number) => boolean = () => true,
): { rows: number; vectors: number } {
  const candidates = relaxed
    ? [[6, 2], [5, 2], [4, 2], [3, 3], [2, 4], [1, 8]]
    : [[5, 2], [4, 3], [6, 2], [4, 2], [3, 3], [2, 4], [1, 8]];
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
