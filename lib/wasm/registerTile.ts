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
 * Where terms come from. Term `t` of one round is, for row `r`, the splat of the number at
 * `p + rowOffset(r) + t * pStep` times the vectors at `q + t * qStep`. A round has `terms` of them (one if not said)
 * and then moves `p` and `q` on, behind its last term or by what is given.
 */
export interface Operands {
  readonly p: Local<"i32">;
  readonly q: Local<"i32">;
  readonly rowOffset: (row: number) => number;
  readonly pStep: number;
  readonly qStep: number;
  readonly terms?: number;
  readonly pAdvance?: number;
  readonly qAdvance?: number;
}

/** Adds `rounds >= 1` rounds of terms to every sum. */
export function sumProducts(f: FunctionBuilder, target: Target, tile: RegisterTile, from: Operands, rounds: I32): void {
  const { rows, lanes } = tile;
  const { p, q, terms = 1, pStep, qStep } = from;
  const left = f.let(i32.add(rounds, 0));
  const splat = (r: number, t: number) => f.let(v128.load32_splat(p, from.rowOffset(r) + t * pStep));
  const vector = (v: number, t: number) => f.let(loadLanes(q, lanes[v]!, 16 * v + t * qStep));
  const add = (r: number, v: number, a: V128, b: V128) =>
    f.set(tile.sums[r]![v]!, multiplyAdd(target, a, b, tile.sums[r]![v]!));
  const steps = Math.max(rows, lanes.length);
  inOrder(f, left, (pause) => {
    for (let t = 0; t < terms; t++) {
      const few = rows < lanes.length;
      const held = few ? tile.sums.map((_, r) => splat(r, t)) : lanes.map((_, v) => vector(v, t));
      for (let s = 0; s < steps; s++) {
        const next = few ? vector(s, t) : splat(s, t);
        held.forEach((value, i) => (few ? add(i, s, value, next) : add(s, i, next, value)));
        if (t + 1 < terms || s + 1 < steps) pause();
      }
    }
    f.increment(p, from.pAdvance ?? terms * pStep);
    f.increment(q, from.qAdvance ?? terms * qStep);
  });
}

/**
 * Repeats `body` until `left`, positive at first, has counted down to zero. Where the body pauses, an exit that is
 * never taken keeps the engine from moving later loads forward: V8 (Node 20) otherwise moves all of them to the front,
 * runs out of its fifteen registers and keeps sums in memory (5x8 tile: 33 GFLOP/s, with exits 38). Each exit has a
 * condition of its own, for a repeated one would be optimised away.
 */
export function inOrder(f: FunctionBuilder, left: Local<"i32">, body: (pause: () => void) => void): void {
  f.block((never) => {
    f.repeat(() => {
      let exits = 0;
      body(() => f.brIf(never, i32.lt_s(left, -exits++)));
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
    ? [
        [6, 2],
        [5, 2],
        [4, 2],
        [3, 3],
        [2, 4],
        [1, 8],
      ]
    : [
        [5, 2],
        [4, 3],
        [6, 2],
        [4, 2],
        [3, 3],
        [2, 4],
        [1, 8],
      ];
  const cycles = (r: number, v: number) => Math.max((r * v) / (relaxed ? 2 : 1.5), (r + v) / 3, relaxed ? 4 : 3) + 0.5;
  const vectors = Math.ceil(columns / 4);
  let best = { rows: 1, vectors: 1, cost: Infinity };
  for (const [r, v] of candidates as [number, number][]) {
    if (!allowed(r, 4 * v)) continue;
    let cost = 0;
    for (const [height, times] of [
      [r, Math.floor(rows / r)],
      [rows % r, 1],
    ] as const) {
      if (height === 0) continue;
      for (const [width, panels] of [
        [v, Math.floor(vectors / v)],
        [vectors % v, 1],
      ] as const) {
        if (width > 0) cost += times * panels * cycles(height, width);
      }
    }
    if (cost < best.cost) best = { rows: r, vectors: v, cost };
  }
  return { rows: best.rows, vectors: best.vectors };
}
