// Matrix products in all transposition forms, C[m, n] = op(A)[m, k] · op(B)[k, n], row-major.
//
// Unless both sides run along k (A as it is, B transposed), rows of the register tile are splats of one operand and
// columns are vectors of the other. Where both run along k, sums are dot products, four lanes wide until the end.

import { call, f32x4, i32, i32x4, v128 } from "./assembler.ts";
import type { FunctionBuilder, FunctionReference, I32, Local, ModuleBuilder, V128 } from "./assembler.ts";
import { activate, activationKey } from "./epilogue.ts";
import type { Activation } from "./epilogue.ts";
import { emitRun, wordOffset } from "./kernel.ts";
import type { Kernel, Plan, Target } from "./kernel.ts";
import { least, packPanels, panels, rowTiles } from "./panels.ts";
import { chooseTile, clear, loadLanes, multiplyAdd, registerTile, storeLanes, sumProducts } from "./registerTile.ts";
import type { RegisterTile } from "./registerTile.ts";

export interface GemmOptions {
  /** `C` has `m` rows and `n` columns; sums have `k` terms. */
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** `A` is stored as `[k, m]` instead of `[m, k]`. */
  readonly transposeA?: boolean;
  /** `B` is stored as `[n, k]` instead of `[k, n]`. */
  readonly transposeB?: boolean;
  /** Sums start from what `C` holds. */
  readonly accumulate?: boolean;
  /** One number per column, added to the finished sum. */
  readonly bias?: boolean;
  readonly activation?: Activation;
}

type Gemm = Required<GemmOptions>;

/**
 * The plan of a matrix product. Words: `a`, `b`, `c`, `bias` if asked for, `scratch` if the plan needs some. `C` must
 * not overlap the other operands.
 * @throws RangeError where a size is not a whole number from 1.
 */
export function gemm(options: GemmOptions): Plan {
  const shape: Gemm = {
    transposeA: false,
    transposeB: false,
    accumulate: false,
    bias: false,
    activation: "none",
    ...options,
  };
  for (const name of ["m", "n", "k"] as const) {
    const size = shape[name];
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`gemm: ${name} must be a whole number from 1, got ${size}`);
    }
  }
  if (shape.transposeB && !shape.transposeA) return { phases: [dotKernel(shape)], scratchBytes: 0 };
  return outerPlan(shape);
}

function keyOf(family: string, { m, n, k, transposeA, transposeB, accumulate, bias, activation }: Gemm): string {
  const form = (transposeA ? "t" : "n") + (transposeB ? "t" : "n");
  return [family, form, m, n, k, accumulate ? "accumulate" : "", bias ? "bias" : "", activationKey(activation)].join(
    "-",
  );
}

function wordsOf({ bias }: Gemm, scratch: boolean): string[] {
  return ["a", "b", "c", ...(bias ? ["bias"] : []), ...(scratch ? ["scratch"] : [])];
}

/** How the output is cut into tiles for threads, and long sums into blocks that stay in the first-level cache. */
interface Blocking {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
}

/** Blocks are multiples of most register tiles' sides; the others are ruled out. Only last blocks have ragged edges. */
const rowUnit = 60;
const columnUnit = (rows: number) => ({ 1: 32, 2: 16, 3: 48 })[rows] ?? 24;

function registerTileOf({ rows, columns }: Outer, blocking: Blocking, relaxed: boolean) {
  return chooseTile(
    rows,
    columns,
    relaxed,
    (r, w) =>
      (blocking.rows >= rows || blocking.rows % r === 0) && (blocking.columns >= columns || blocking.columns % w === 0),
  );
}

function blockingOf(rows: number, columns: number, k: number, innerLimit: number): Blocking {
  // About two dozen tiles, but none too small to be worth claiming, nor so large that the last one is waited for.
  const products = Math.min(Math.max((rows * columns * k) / 24, 1e5), 2e6);
  const fewRows = rows <= 2 * rowUnit;
  const fit = (size: number, unit: number, wanted: number) =>
    Math.min(size, unit * Math.max(1, Math.round(wanted / unit)));
  const across = fit(Math.min(columns, 384), columnUnit(rows), products / (k * (fewRows ? rows : rowUnit)));
  const down = fewRows ? rows : fit(rows, rowUnit, products / (k * across));
  return { rows: down, columns: across, inner: Math.ceil(k / Math.ceil(k / innerLimit)) };
}

/**
 * A product as the register tile sees it: `rows` come as splats from `P`, `columns` as vectors from `Q`, and the
 * sum for row `r` and column `j` belongs at `c + r * cRow + j * cColumn`. Steps and strides are in bytes.
 */
interface Outer {
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
  readonly p: "a" | "b";
  readonly pRow: number;
  readonly pStep: number;
  readonly q: "a" | "b";
  readonly qStep: number;
  readonly cRow: number;
  readonly cColumn: number;
  /** Rows here are columns of `C`. */
  readonly turned: boolean;
}

function outerOf({ m, n, k, transposeA, transposeB }: Gemm): Outer {
  // With both transposed the product is turned round, C^T = B · A, and only its stores are scattered.
  if (transposeB) {
    const [pRow, qStep] = [4 * k, 4 * m];
    return { rows: n, columns: m, k, p: "b", pRow, pStep: 4, q: "a", qStep, cRow: 4, cColumn: 4 * n, turned: true };
  }
  const [pRow, pStep] = transposeA ? [4, 4 * m] : [4 * k, 4];
  return { rows: m, columns: n, k, p: "a", pRow, pStep, q: "b", qStep: 4 * n, cRow: 4 * n, cColumn: 4, turned: false };
}

function outerPlan(shape: Gemm): Plan {
  const outer = outerOf(shape);
  // Panels of Q cost a pass over it and a barrier; they spare every row block reads scattered over many pages.
  // 512^3: 28.5 GFLOP/s without panels, 31.8 with; 800x500 with k = 64: 30.3 and 31.0, not worth a barrier.
  const packed = outer.rows >= 240 && outer.k >= 192;
  // Without panels a block's rows of Q lie on as many pages, and where P runs along its rows one inner step reads a
  // line of it that the next row tiles need again: both ask for short blocks. 64x800x500: 30.6 GFLOP/s in one block,
  // 32.8 in blocks of 256, 34.5 of 128.
  const innerLimit = packed && outer.pStep === 4 ? 512 : 128;
  const blocking = blockingOf(outer.rows, outer.columns, outer.k, innerLimit);
  const compute: Kernel = {
    key: keyOf(packed ? "gemm-panels" : "gemm", shape),
    arguments: wordsOf(shape, packed),
    tiles: Math.ceil(outer.rows / blocking.rows) * Math.ceil(outer.columns / blocking.columns),
    emit: (target) => emitOuter(target, shape, outer, blocking, packed),
  };
  if (!packed) return { phases: [compute], scratchBytes: 0 };
  return {
    phases: [packKernel(shape, outer, blocking), compute],
    scratchBytes: 16 * Math.ceil(outer.columns / 4) * outer.k,
  };
}

/** Copies Q into panels, one block of columns a tile. */
function packKernel(shape: Gemm, outer: Outer, blocking: Blocking): Kernel {
  const { columns, k, qStep } = outer;
  const words = wordsOf(shape, true);
  return {
    key: keyOf("gemm-pack", shape),
    arguments: words,
    tiles: Math.ceil(columns / blocking.columns),
    emit: (target) => {
      const width = 4 * registerTileOf(outer, blocking, target.relaxed).vectors;
      return emitRun(target, (f, args, tile) => {
        const from = f.let(i32.load(args, wordOffset(words, outer.q)));
        const to = f.let(i32.load(args, wordOffset(words, "scratch")));
        const first = f.let(i32.mul(tile, blocking.columns));
        packPanels(f, { from, rows: k, columns, rowBytes: qStep }, to, width, first, blocking.columns);
      });
    },
  };
}

type Micro = FunctionReference<readonly ["i32", "i32", "i32", "i32", "i32", "i32"], "void">;

/** The function that computes one register tile: addresses of P, Q, C and bias, inner start and count. */
function microOuter(
  module: ModuleBuilder,
  target: Target,
  shape: Gemm,
  outer: Outer,
  blocking: Blocking,
  qStep: number,
  rows: number,
  columns: number,
): Micro {
  const { pRow, pStep, cRow, cColumn, turned, k } = outer;
  const parameters = ["i32", "i32", "i32", "i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, p, q, c, bias, start, count) => {
    const tile = registerTile(f, rows, columns);
    const offset = (r: number, v: number) => r * cRow + 4 * v * cColumn;
    const resume = () => each(tile, (sum, lanes, r, v) => f.set(sum, loadStrided(c, lanes, offset(r, v), cColumn)));
    // Only the first block of a long sum starts from nothing.
    if (shape.accumulate) resume();
    else if (blocking.inner >= k) clear(f, tile);
    else f.if(start, resume, () => clear(f, tile));
    sumProducts(f, target, tile, { p, q, rowOffset: (r) => r * pRow, pStep, qStep }, count);
    const finish = () =>
      each(tile, (sum, lanes, r, v) => {
        const biased = !shape.bias
          ? sum
          : f32x4.add(sum, turned ? v128.load32_splat(bias, 4 * r) : loadLanes(bias, lanes, 16 * v));
        f.set(sum, activate(shape.activation, biased));
      });
    if (shape.bias || shape.activation !== "none") {
      f.if(blocking.inner >= k ? 1 : i32.eq(i32.add(start, count), k), finish);
    }
    each(tile, (sum, lanes, r, v) => storeStrided(f, c, sum, lanes, offset(r, v), cColumn));
  });
}

function each(
  tile: RegisterTile,
  body: (sum: Local<"v128">, lanes: number, row: number, vector: number) => void,
): void {
  tile.sums.forEach((row, r) => row.forEach((sum, v) => body(sum, tile.lanes[v]!, r, v)));
}

function loadStrided(address: I32, lanes: number, offset: number, stride: number): V128 {
  if (stride === 4) return loadLanes(address, lanes, offset);
  let value = v128.load32_zero(address, offset);
  for (let lane = 1; lane < lanes; lane++) value = v128.load32_lane(address, value, lane, offset + lane * stride);
  return value;
}

function storeStrided(
  f: FunctionBuilder,
  address: I32,
  value: V128,
  lanes: number,
  offset: number,
  stride: number,
): void {
  if (stride === 4) return storeLanes(f, address, value, lanes, offset);
  for (let lane = 0; lane < lanes; lane++) f.do(v128.store32_lane(address, value, lane, offset + lane * stride));
}

function emitOuter(
  target: Target,
  shape: Gemm,
  outer: Outer,
  blocking: Blocking,
  packed: boolean,
): Uint8Array<ArrayBuffer> {
  const { rows, columns, k, pRow, pStep, cRow, cColumn, turned } = outer;
  const words = wordsOf(shape, packed);
  const register = registerTileOf(outer, blocking, target.relaxed);
  const width = 4 * register.vectors;
  return emitRun(target, (f, args, tile, module) => {
    const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
    const [p0, q0, c0] = [word(outer.p), word(packed ? "scratch" : outer.q), word("c")];
    const bias = shape.bias ? word("bias") : undefined;
    const across = Math.ceil(columns / blocking.columns);
    const firstRow = f.let(i32.mul(i32.div_u(tile, across), blocking.rows));
    const firstColumn = f.let(i32.mul(i32.rem_u(tile, across), blocking.columns));
    const lastRow = least(f, i32.add(firstRow, blocking.rows), rows);
    f.loop(0, k, blocking.inner, (start) => {
      const count = least(f, i32.sub(k, start), blocking.inner);
      const block = { columns, width, first: firstColumn, block: blocking.columns };
      panels(f, block, (j, panel) => {
        const step = packed ? 16 * Math.ceil(panel / 4) : outer.qStep;
        const q = f.let(i32.add(i32.add(q0, i32.mul(j, packed ? 4 * k : 4)), i32.mul(start, step)));
        const compute = (height: number) => {
          const micro = microOuter(module, target, shape, outer, blocking, step, height, panel);
          return (i: Local<"i32">) => {
            const p = i32.add(p0, i32.add(i32.mul(i, pRow), i32.mul(start, pStep)));
            const c = i32.add(c0, i32.add(i32.mul(i, cRow), i32.mul(j, cColumn)));
            const beside = bias === undefined ? 0 : i32.add(bias, i32.mul(turned ? i : j, 4));
            f.do(call(micro, p, q, c, beside, start, count));
          };
        };
        rowTiles(f, firstRow, lastRow, rows, register.rows, compute);
      });
    });
  });
}

/** A row-major, B transposed: every output is a dot product of two rows. Nothing to pack, whatever the sizes. */
function dotKernel(shape: Gemm): Kernel {
  const blocking = blockingOf(shape.m, shape.n, shape.k, 1024);
  // Blocks end at whole vectors, so that only the last has a ragged end.
  const inner = Math.min(shape.k, Math.ceil(blocking.inner / 4) * 4);
  return {
    key: keyOf("gemm-dot", shape),
    arguments: wordsOf(shape, false),
    tiles: Math.ceil(shape.m / blocking.rows) * Math.ceil(shape.n / blocking.columns),
    emit: (target) => emitDot(target, shape, { ...blocking, inner }),
  };
}

function emitDot(target: Target, shape: Gemm, blocking: Blocking): Uint8Array<ArrayBuffer> {
  const { m, n, k } = shape;
  const words = wordsOf(shape, false);
  const [height, width] = m === 1 ? [1, 8] : [2, 4];
  return emitRun(target, (f, args, tile, module) => {
    const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
    const [a0, b0, c0] = [word("a"), word("b"), word("c")];
    const bias = shape.bias ? word("bias") : undefined;
    const across = Math.ceil(n / blocking.columns);
    const firstRow = f.let(i32.mul(i32.div_u(tile, across), blocking.rows));
    const firstColumn = f.let(i32.mul(i32.rem_u(tile, across), blocking.columns));
    const lastRow = least(f, i32.add(firstRow, blocking.rows), m);
    f.loop(0, k, blocking.inner, (start) => {
      const block = { columns: n, width, first: firstColumn, block: blocking.columns };
      panels(f, block, (j, columns) => {
        rowTiles(f, firstRow, lastRow, m, height, (rows) => {
          const micro = microDot(module, target, shape, blocking, rows, columns);
          return (i) => {
            const a = i32.add(a0, i32.mul(i32.add(i32.mul(i, k), start), 4));
            const b = i32.add(b0, i32.mul(i32.add(i32.mul(j, k), start), 4));
            const c = i32.add(c0, i32.mul(i32.add(i32.mul(i, n), j), 4));
            f.do(call(micro, a, b, c, bias === undefined ? 0 : i32.add(bias, i32.mul(j, 4)), start));
          };
        });
      });
    });
  });
}

/** One tile of dot products: addresses of A, B, C and bias, and where on the inner axis the block starts. */
function microDot(
  module: ModuleBuilder,
  target: Target,
  shape: Gemm,
  { inner }: Blocking,
  rows: number,
  columns: number,
): FunctionReference<readonly ["i32", "i32", "i32", "i32", "i32"], "void"> {
  const { n, k } = shape;
  const parameters = ["i32", "i32", "i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, a, b, c, bias, start) => {
    const sums = Array.from({ length: rows }, () => Array.from({ length: columns }, () => f.let(f32x4.splat(0))));
    const step = (lanes: number) => {
      const left = sums.map((_, r) => f.let(loadLanes(a, lanes, 4 * k * r)));
      for (let j = 0; j < columns; j++) {
        const right = f.let(loadLanes(b, lanes, 4 * k * j));
        sums.forEach((row, r) => f.set(row[j]!, multiplyAdd(target, left[r]!, right, row[j]!)));
      }
    };
    const end = f.let(i32.add(a, i32.and(i32.mul(least(f, i32.sub(k, start), inner), 4), -16)));
    f.while(
      () => i32.lt_u(a, end),
      () => {
        step(4);
        f.increment(a, 16);
        f.increment(b, 16);
      },
    );
    const last = inner >= k ? 1 : i32.ge_s(i32.add(start, inner), k);
    if (k % 4 > 0) f.if(last, () => step(k % 4));
    sums.forEach((row, r) => {
      for (let j = 0; j < columns; j += 4) {
        const lanes = Math.min(4, columns - j);
        const offset = 4 * (r * n + j);
        const total = f.let(sumAcross(f, row.slice(j, j + 4)));
        const resume = () => f.set(total, f32x4.add(loadLanes(c, lanes, offset), total));
        if (shape.accumulate) resume();
        else if (inner < k) f.if(start, resume);
        if (shape.bias || shape.activation !== "none") {
          f.if(last, () => {
            const biased = shape.bias ? f32x4.add(total, loadLanes(bias, lanes, 4 * j)) : total;
            f.set(total, activate(shape.activation, biased));
          });
        }
        storeLanes(f, c, total, lanes, offset);
      }
    });
  });
}

/** The sums over the lanes of up to four vectors, as the lanes of one: `(x0 + x2) + (x1 + x3)`. */
function sumAcross(f: FunctionBuilder, x: readonly Local<"v128">[]): V128 {
  const pair = (a: V128, b: V128) =>
    f.let(f32x4.add(i32x4.shuffle(a, b, [0, 4, 1, 5]), i32x4.shuffle(a, b, [2, 6, 3, 7])));
  const [low, high] = [pair(x[0]!, x[1] ?? x[0]!), pair(x[2] ?? x[0]!, x[3] ?? x[0]!)];
  return f32x4.add(i32x4.shuffle(low, high, [0, 1, 4, 5]), i32x4.shuffle(low, high, [2, 3, 6, 7]));
}
