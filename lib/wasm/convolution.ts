// Convolution forward as an implicit matrix product: rows of the register tile are outputs beside each other, whose
// windows are read where they lie in the image, and columns are output channels. Nothing is unfolded.

import { call, f32x4, i32 } from "./assembler.ts";
import type { FunctionReference, ModuleBuilder, V128 } from "./assembler.ts";
import { convolutionShape, imageFloats, padImage, paddedShape } from "./convolutionShape.ts";
import type { ConvolutionOptions, ConvolutionShape } from "./convolutionShape.ts";
import { activate, activationKey } from "./epilogue.ts";
import type { Activation } from "./epilogue.ts";
import { emitRun, wordOffset } from "./kernel.ts";
import type { Kernel, Plan, Target } from "./kernel.ts";
import { least, packPanels, panels, rowTiles } from "./panels.ts";
import { storePooled } from "./pooling.ts";
import { chooseTile, clear, loadLanes, registerTile, storeLanes, sumProducts } from "./registerTile.ts";
import { winograd, winogradFits } from "./winograd.ts";

export { noGradient } from "./pooling.ts";

export interface ConvolutionEpilogue {
  /** One number per output channel, added to the finished sum. */
  readonly bias?: boolean;
  readonly activation?: Activation;
  /**
   * Keeps the greatest of every 2x2 outputs (stride 2, an odd last row or column is left out) and, in `argmax`, where
   * it was: 0 to 3 in row-major order, or `noGradient` where `relu` has made it zero and no gradient comes back. The
   * first of equals wins, and NaN before any number. Needs an activation of `none` or `relu`.
   */
  readonly pool?: boolean;
  /** Takes the algorithm with fewer multiplications where it gains; `winograd.ts` says what it costs in precision. */
  readonly winograd?: boolean;
}

interface Forward {
  readonly shape: ConvolutionShape;
  readonly bias: boolean;
  readonly activation: Activation;
  readonly pool: boolean;
  /** Output rows and columns that are computed and, per row, stored: pooled ones if there is pooling. */
  readonly rows: number;
  readonly columns: number;
  readonly words: readonly string[];
  /** Bytes of padded images and of filter panels at the start of `scratch`. */
  readonly padded: number;
  readonly panels: number;
}

/**
 * The plan of a convolution. Words: `x`, `filter`, `y`, then `argmax` (an `i32` per pooled output), `bias` and
 * `scratch`, each only if there is such a thing. `y` is `[batch, outHeight, outWidth, outputs]`, halved by pooling.
 * @throws RangeError as `convolutionShape`, and where pooling leaves nothing or follows a leaky rectifier.
 */
export function convolution(options: ConvolutionOptions & ConvolutionEpilogue): Plan {
  const shape = convolutionShape(options);
  const { bias = false, activation = "none", pool = false } = options;
  if (pool && (shape.outHeight < 2 || shape.outWidth < 2 || typeof activation === "object")) {
    throw new RangeError("convolution: pooling needs an output of at least 2x2, and relu or no activation");
  }
  if (options.winograd === true && winogradFits(shape, pool)) return winograd(shape, { bias, activation, pool });
  const padded = shape.padding === "same" ? 4 * shape.batch * imageFloats(paddedShape(shape)) : 0;
  const inner = innerSize(shape);
  // One panel fits the register tile anyway; a small filter stays in the first-level cache as it is.
  const packs = shape.outputs > 12 && inner * shape.outputs > 2048;
  const panels = packs ? 16 * inner * Math.ceil(shape.outputs / 4) : 0;
  const words = ["x", "filter", "y", ...(pool ? ["argmax"] : []), ...(bias ? ["bias"] : [])];
  if (padded + panels > 0) words.push("scratch");
  const [rows, columns] = [shape.outHeight, shape.outWidth].map((size) => (pool ? size >> 1 : size)) as [
    number,
    number,
  ];
  const forward: Forward = { shape, bias, activation, pool, rows, columns, words, padded, panels };
  const phases = padded + panels > 0 ? [prepareKernel(forward), computeKernel(forward)] : [computeKernel(forward)];
  return { phases, scratchBytes: padded + panels };
}

/** Terms of every sum. */
function innerSize({ kernel, channels }: ConvolutionShape): number {
  return kernel[0] * kernel[1] * channels;
}

function keyOf(family: string, { shape, bias, activation, pool }: Forward): string {
  return [family, shape.key, bias ? "bias" : "", activationKey(activation), pool ? "pool" : ""].join("-");
}

/** Copies images between zeros, one a tile, and the filter into panels, in the last tile. */
function prepareKernel(forward: Forward): Kernel {
  const { shape, words, padded, panels } = forward;
  const images = padded > 0 ? shape.batch : 0;
  return {
    key: keyOf("convolution-prepare", forward),
    arguments: words,
    tiles: images + (panels > 0 ? 1 : 0),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const scratch = f.let(i32.load(args, wordOffset(words, "scratch")));
        if (images > 0) {
          f.if(i32.lt_s(tile, images), () => {
            const from = f.let(i32.add(i32.load(args, wordOffset(words, "x")), i32.mul(tile, 4 * imageFloats(shape))));
            const to = f.let(i32.add(scratch, i32.mul(tile, 4 * imageFloats(paddedShape(shape)))));
            padImage(f, shape, from, to);
          });
        }
        if (panels > 0) {
          f.if(i32.ge_s(tile, images), () => {
            const from = f.let(i32.load(args, wordOffset(words, "filter")));
            const matrix = { from, rows: innerSize(shape), columns: shape.outputs, rowBytes: 4 * shape.outputs };
            packPanels(f, matrix, f.let(i32.add(scratch, padded)), 4 * tileOf(forward, target).vectors);
          });
        }
      }),
  };
}

function tileOf({ shape, pool, columns }: Forward, target: Target): { rows: number; vectors: number } {
  // A pooling window is one tile of four rows, so that its sums never leave the registers.
  return chooseTile(pool ? 4 : columns, shape.outputs, target.relaxed, (rows) => !pool || rows === 4);
}

function computeKernel(forward: Forward): Kernel {
  const { shape, words, pool, rows, columns } = forward;
  const all = shape.batch * rows;
  const flopsPerRow = 2 * innerSize(shape) * shape.outputs * columns * (pool ? 4 : 1);
  const wanted = Math.min(Math.max((flopsPerRow * all) / 24, 2e5), 3e6);
  const rowsPerTile = Math.max(1, Math.round(wanted / flopsPerRow));
  return {
    key: keyOf("convolution", forward),
    arguments: words,
    tiles: Math.ceil(all / rowsPerTile),
    emit: (target) => emitCompute(target, forward, rowsPerTile),
  };
}

function emitCompute(target: Target, forward: Forward, rowsPerTile: number): Uint8Array<ArrayBuffer> {
  const { words, bias, pool, rows, columns, padded, panels: packed } = forward;
  const shape = padded > 0 ? paddedShape(forward.shape) : forward.shape;
  const { channels, outputs, stride } = shape;
  const height = tileOf(forward, target).rows;
  const width = 4 * tileOf(forward, target).vectors;
  // A row of the register tile is one output, but for pooling, where a tile is one.
  const [outputsPerTile, apart] = pool ? [1, 2] : [height, 1];
  return emitRun(target, (f, args, tile, module) => {
    const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
    const scratch = words.includes("scratch") ? word("scratch") : undefined;
    const x0 = padded > 0 ? scratch! : word("x");
    const q0 = packed > 0 ? f.let(i32.add(scratch!, padded)) : word("filter");
    const y0 = word("y");
    const argmax0 = pool ? word("argmax") : undefined;
    const bias0 = bias ? word("bias") : undefined;
    const firstRow = f.let(i32.mul(tile, rowsPerTile));
    const lastRow = least(f, i32.add(firstRow, rowsPerTile), shape.batch * rows);
    panels(f, { columns: outputs, width }, (j, panel) => {
      const q = f.let(i32.add(q0, i32.mul(j, packed > 0 ? 4 * innerSize(shape) : 4)));
      const beside = bias0 === undefined ? i32.const(0) : f.let(i32.add(bias0, i32.mul(j, 4)));
      f.loop(firstRow, lastRow, 1, (row) => {
        const image = f.let(i32.div_u(row, rows));
        const oy = i32.mul(i32.rem_u(row, rows), apart * stride[0] * shape.width * channels);
        const p = f.let(i32.add(x0, i32.mul(i32.add(i32.mul(image, imageFloats(shape)), oy), 4)));
        const at = f.let(i32.add(i32.mul(row, columns * outputs), j));
        rowTiles(f, 0, columns, columns, outputsPerTile, (count) => {
          const micro = microTile(module, target, forward, shape, pool ? height : count, panel);
          return (ox) => {
            const window = i32.add(p, i32.mul(ox, 4 * apart * stride[1] * channels));
            const index = f.let(i32.add(at, i32.mul(ox, outputs)));
            const y = i32.add(y0, i32.mul(index, 4));
            f.do(call(micro, window, q, y, beside, argmax0 === undefined ? 0 : i32.add(argmax0, i32.mul(index, 4))));
          };
        });
      });
    });
  });
}

/** The function that computes one register tile: addresses of the first window, filter, outputs, bias and argmax. */
function microTile(
  module: ModuleBuilder,
  target: Target,
  { bias: biased, activation, pool, panels: packed }: Forward,
  { width, channels, outputs, kernel, stride }: ConvolutionShape,
  height: number,
  columns: number,
): FunctionReference<readonly ["i32", "i32", "i32", "i32", "i32"], "void"> {
  const [pixel, line] = [4 * channels, 4 * width * channels];
  // One row of the window lies in one piece.
  const run = kernel[1] * channels;
  const parameters = ["i32", "i32", "i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, p, q, y, bias, argmax) => {
    const tile = registerTile(f, height, columns);
    clear(f, tile);
    const [down, right] = [stride[0] * line, stride[1] * pixel];
    const rowOffset = (r: number) => (pool ? (r >> 1) * down + (r & 1) * right : r * right);
    const operands = { p, q, rowOffset, pStep: 4, qStep: packed > 0 ? 16 * tile.lanes.length : 4 * outputs };
    if (run <= 8) {
      sumProducts(f, target, tile, { ...operands, terms: run, pAdvance: line }, kernel[0]);
    } else {
      f.loop(0, kernel[0], 1, () => {
        sumProducts(f, target, tile, operands, run);
        f.increment(p, line - 4 * run);
      });
    }
    const finish = (sum: V128, v: number) =>
      activate(activation, biased ? f32x4.add(sum, loadLanes(bias, tile.lanes[v]!, 16 * v)) : sum);
    if (pool) {
      return tile.lanes.forEach((lanes, v) => {
        const sums = tile.sums.map((row) => row[v]!);
        storePooled(f, sums, lanes, { y, argmax, offset: 16 * v }, activation, (greatest) => finish(greatest, v));
      });
    }
    tile.sums.forEach((row, r) =>
      row.forEach((sum, v) => storeLanes(f, y, finish(sum, v), tile.lanes[v]!, 4 * (r * outputs + 4 * v))),
    );
  });
}
