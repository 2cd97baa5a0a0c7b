// Convolution with fewer multiplications (Winograd 1980; Lavin and Gray 2016): windows of 6x6 numbers and filters are
// evaluated as polynomials at 0, 1, -1, 2, -2 and infinity, in both directions, multiplied point by point, and the
// products brought back. A 5x5 filter then takes 36 multiplications for 2x2 outputs instead of 100, a 3x3 filter 36 for
// 4x4 instead of 144. The 36 points are 36 small matrix products over channels.
//
// Measured on a Xeon with AVX-512, one thread, batch 64, LeNet-5's second convolution (12x12x20, 5x5x50): 3.1 ms, and
// 5.9 as a plain product. Rounding, in units of 2^-24 of the sum of the magnitudes of a sum's terms: root mean square
// 1.8 (5x5) and 3.0 (3x3) where plain sums have 0.5, at worst 14 and 63 where those have 4.

import { call, f32x4, i32, v128 } from "./assembler.ts";
import type { FunctionBuilder, Local, ModuleBuilder, V128 } from "./assembler.ts";
import { imageFloats, padImage, paddedShape } from "./convolutionShape.ts";
import type { ConvolutionShape } from "./convolutionShape.ts";
import { activate, activationKey } from "./epilogue.ts";
import type { Activation } from "./epilogue.ts";
import { emitRun, wordOffset } from "./kernel.ts";
import type { Kernel, Plan, Target } from "./kernel.ts";
import { least, panels, rowTiles } from "./panels.ts";
import { storePooled } from "./pooling.ts";
import { chooseTile, clear, lanesOf, loadLanes, registerTile, storeLanes, sumProducts } from "./registerTile.ts";

const points = 6;
const products = points * points;

interface Winograd {
  readonly shape: ConvolutionShape;
  /** Images with their zeros, and with as many more as whole tiles need; `shape` itself if there are none. */
  readonly whole: ConvolutionShape;
  readonly bias: boolean;
  readonly activation: Activation;
  readonly pool: boolean;
  readonly words: readonly string[];
  /** Side of an output tile, and how many tiles an image has down and across. */
  readonly side: number;
  readonly down: number;
  readonly across: number;
  /** Rows of tiles that are transformed together, and such blocks in one kernel tile. */
  readonly rows: number;
  readonly blocks: number;
  /** Bytes of padded images and transformed filters, with which `scratch` starts. */
  readonly padded: number;
  readonly filters: number;
}

/** Whether a convolution gains: whole sides of 3 to 5, no strides, and channels enough to pay for the transforms. */
export function winogradFits({ kernel, stride, channels, outputs }: ConvolutionShape, pool: boolean): boolean {
  const [height, width] = kernel;
  const square = height === width && (height === 3 || height === 5 || (height === 4 && !pool));
  return square && stride[0] === 1 && stride[1] === 1 && channels >= 8 && outputs >= 8;
}

/** The plan of a convolution that `winogradFits`; words and results as of `convolution`. */
export function winograd(
  shape: ConvolutionShape,
  { bias, activation, pool }: { bias: boolean; activation: Activation; pool: boolean },
): Plan {
  const { batch, kernel, channels, outputs, outHeight, outWidth, top, left } = shape;
  const side = points + 1 - kernel[0];
  // Pooling leaves an odd last row or column out, so that tiles may end before the image does.
  const [down, across] = [outHeight, outWidth].map((size) => Math.ceil((pool ? size & -2 : size) / side)) as [
    number,
    number,
  ];
  const reach = (tiles: number) => tiles * side + kernel[0] - 1;
  const bottom = Math.max(0, reach(down) - shape.height - top);
  const right = Math.max(0, reach(across) - shape.width - left);
  const alone = top + left + bottom + right === 0;
  const whole = alone ? shape : paddedShape({ ...shape, bottom, right });
  // Blocks of about 16 tiles stay in the second-level cache; fewer where there would not be a block for four threads.
  const rows = Math.max(1, Math.min(Math.round(16 / across), Math.ceil((batch * down) / 4)));
  const blocks = Math.ceil((batch * down) / rows / 24);
  const padded = alone ? 0 : 4 * batch * imageFloats(whole);
  const filters = 16 * products * channels * Math.ceil(outputs / 4);
  const words = ["x", "filter", "y", ...(pool ? ["argmax"] : []), ...(bias ? ["bias"] : []), "scratch"];
  const it: Winograd = {
    shape,
    whole,
    bias,
    activation,
    pool,
    words,
    side,
    down,
    across,
    rows,
    blocks,
    padded,
    filters,
  };
  const tiles = Math.ceil((batch * down) / (rows * blocks));
  return {
    phases: [prepareKernel(it, bottom, right), computeKernel(it, tiles)],
    scratchBytes: padded + filters + tiles * ownBytes(it),
  };
}

/** Bytes a kernel tile needs for itself: transformed windows, and products for one panel, of 32 outputs at most. */
function ownBytes({ rows, across, shape }: Winograd): number {
  return 4 * products * rows * across * (4 * Math.ceil(shape.channels / 4) + 32);
}

function keyOf(family: string, { shape, bias, activation, pool }: Winograd): string {
  return [family, shape.key, bias ? "bias" : "", activationKey(activation), pool ? "pool" : ""].join("-");
}

function tileOf({ rows, across, shape }: Winograd, target: Target): { rows: number; vectors: number } {
  return chooseTile(rows * across, shape.outputs, target.relaxed);
}

/** Sum and difference. */
function butterfly(f: FunctionBuilder, a: V128, b: V128): [sum: Local<"v128">, difference: Local<"v128">] {
  return [f.let(f32x4.add(a, b)), f.let(f32x4.sub(a, b))];
}

function scale(factor: number, x: V128): V128 {
  return factor === 1 ? x : f32x4.mul(x, f32x4.splat(factor));
}

function addUp(terms: V128[]): V128 {
  return terms.reduce((sum, term) => f32x4.add(sum, term));
}

/** The filter's polynomial at each point, divided by the product of the point's distances to the others. */
function transformFilter(f: FunctionBuilder, g: readonly V128[]): Local<"v128">[] {
  const atBoth = (point: 1 | 2, divisor: number) => {
    const powers = (parity: number) =>
      addUp(g.flatMap((value, i) => (i % 2 === parity ? [scale((point === 1 ? 1 : 2 ** i) / divisor, value)] : [])));
    return butterfly(f, powers(0), powers(1));
  };
  return [f.let(scale(1 / 4, g[0]!)), ...atBoth(1, -6), ...atBoth(2, 24), f.let(g.at(-1)!)];
}

/** Six numbers as the coefficients of the same polynomials, each times those that vanish at the other points. */
function transformWindow(f: FunctionBuilder, d: readonly V128[]): Local<"v128">[] {
  const difference = (a: V128, b: V128, factor: number) => f32x4.sub(a, scale(factor, b));
  const [d0, d1, d2, d3, d4, d5] = d as [V128, V128, V128, V128, V128, V128];
  const even = f.let(difference(d4, d2, 4));
  const odd = f.let(difference(d3, d1, 4));
  const even2 = f.let(f32x4.sub(d4, d2));
  const odd2 = f.let(scale(2, f32x4.sub(d3, d1)));
  return [
    f.let(f32x4.add(difference(d4, d2, 5), scale(4, d0))),
    ...butterfly(f, even, odd),
    ...butterfly(f, even2, odd2),
    f.let(f32x4.add(difference(d5, d3, 5), scale(4, d1))),
  ];
}

/** The `side` outputs of six products: sums of powers of the points. */
function transformProducts(f: FunctionBuilder, m: readonly V128[], side: number): Local<"v128">[] {
  const [m0, m1, m2, m3, m4, m5] = m as [V128, V128, V128, V128, V128, V128];
  const [sum, difference] = butterfly(f, m1, m2);
  const [sum2, difference2] = butterfly(f, m3, m4);
  return Array.from({ length: side }, (_, k) =>
    f.let(
      addUp([
        ...(k === 0 ? [m0] : []),
        k % 2 === 0 ? sum : difference,
        scale(2 ** k, k % 2 === 0 ? sum2 : difference2),
        ...(k === side - 1 ? [m5] : []),
      ]),
    ),
  );
}

/** A transform along columns, then along rows. `at(i, j)` gives what comes in, `[i][j]` is what comes out. */
function both(
  size: number,
  at: (i: number, j: number) => V128,
  transform: (values: V128[]) => Local<"v128">[],
): Local<"v128">[][] {
  const range = Array.from({ length: size }, (_, i) => i);
  const columns = range.map((j) => transform(range.map((i) => at(i, j))));
  return columns[0]!.map((_, i) => transform(columns.map((column) => column[i]!)));
}

/** Pads images, one a tile, and transforms the filter, one input channel a tile. */
function prepareKernel(it: Winograd, bottom: number, right: number): Kernel {
  const { shape, whole, words, padded } = it;
  const { channels, outputs, kernel } = shape;
  const images = padded > 0 ? shape.batch : 0;
  return {
    key: keyOf("winograd-prepare", it),
    arguments: words,
    tiles: images + channels,
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string) => i32.load(args, wordOffset(words, name));
        const padOne = () => {
          const from = f.let(i32.add(word("x"), i32.mul(tile, 4 * imageFloats(shape))));
          const to = f.let(i32.add(word("scratch"), i32.mul(tile, 4 * imageFloats(whole))));
          padImage(f, { ...shape, bottom, right }, from, to);
        };
        const width = 4 * tileOf(it, target).vectors;
        const transformOne = () => {
          const c = f.let(i32.sub(tile, images));
          const filter = f.let(i32.add(word("filter"), i32.mul(c, 4 * outputs)));
          const filters = f.let(i32.add(word("scratch"), padded));
          panels(f, { columns: outputs, width }, (j, count) => {
            const lanes = lanesOf(count);
            const from = f.let(i32.add(filter, i32.mul(j, 4)));
            const to = f.let(
              i32.add(filters, i32.add(i32.mul(j, 4 * products * channels), i32.mul(c, 16 * lanes.length))),
            );
            lanes.forEach((used, v) => {
              const at = (ky: number, kx: number) =>
                f.let(loadLanes(from, used, 4 * (ky * kernel[1] + kx) * channels * outputs + 16 * v));
              both(kernel[0], at, (values) => transformFilter(f, values)).forEach((row, i) =>
                row.forEach((value, k) =>
                  f.do(v128.store(to, value, 16 * ((i * points + k) * channels * lanes.length + v))),
                ),
              );
            });
          });
        };
        if (images > 0) f.if(i32.lt_s(tile, images), padOne, transformOne);
        else transformOne();
      }),
  };
}

function computeKernel(it: Winograd, tiles: number): Kernel {
  return {
    key: keyOf("winograd", it),
    arguments: it.words,
    tiles,
    emit: (target) => emitCompute(target, it),
  };
}

function emitCompute(target: Target, it: Winograd): Uint8Array<ArrayBuffer> {
  const { shape, whole, bias, pool, words, side, down, across, rows, blocks, padded, filters } = it;
  const { batch, channels, outputs } = shape;
  const width = 4 * tileOf(it, target).vectors;
  const windowFloats = 4 * Math.ceil(channels / 4);
  const windowBytes = 4 * products * rows * across * windowFloats;
  const [outRows, outColumns] = [shape.outHeight, shape.outWidth].map((size) => (pool ? size >> 1 : size)) as [
    number,
    number,
  ];
  const step = pool ? side / 2 : side;
  return emitRun(target, (f, args, tile, module) => {
    const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
    const scratch = word("scratch");
    const x = padded > 0 ? scratch : word("x");
    const filter = f.let(i32.add(scratch, padded));
    const own = f.let(i32.add(i32.add(scratch, padded + filters), i32.mul(tile, ownBytes(it))));
    const multiplied = f.let(i32.add(own, windowBytes));
    const [y, argmax, bias0] = [word("y"), pool ? word("argmax") : undefined, bias ? word("bias") : undefined];
    /** Visits the output tiles of a block: image, row and column of tiles, and number within the block. */
    const eachTile = (
      first: Local<"i32">,
      last: Local<"i32">,
      body: (image: Local<"i32">, ty: Local<"i32">, tx: Local<"i32">, t: Local<"i32">) => void,
    ) => {
      const t = f.let(i32.const(0));
      f.loop(first, last, 1, (row) => {
        const image = f.let(i32.div_u(row, down));
        const ty = f.let(i32.rem_u(row, down));
        f.loop(0, across, 1, (tx) => {
          body(image, ty, tx, t);
          f.increment(t, 1);
        });
      });
    };
    const start = f.let(i32.mul(tile, rows * blocks));
    f.loop(start, least(f, i32.add(start, rows * blocks), batch * down), rows, (first) => {
      const last = least(f, i32.add(first, rows), batch * down);
      eachTile(first, last, (image, ty, tx, t) => {
        const pixel = i32.add(i32.mul(ty, side * whole.width), i32.mul(tx, side));
        const from = f.let(
          i32.add(x, i32.mul(i32.add(i32.mul(image, imageFloats(whole)), i32.mul(pixel, channels)), 4)),
        );
        const to = f.let(i32.add(own, i32.mul(t, 4 * windowFloats)));
        panels(f, { columns: channels, width: 4 }, (c, count) => {
          const micro = windowFunction(module, it, windowFloats, count);
          const byte = f.let(i32.mul(c, 4));
          f.do(call(micro, i32.add(from, byte), i32.add(to, byte)));
        });
      });
      panels(f, { columns: outputs, width }, (j, count) => {
        const multiply = multiplyFunction(module, target, it, windowFloats, count);
        f.do(call(multiply, own, i32.add(filter, i32.mul(j, 4 * products * channels)), multiplied));
        const output = outputFunction(module, it, count);
        eachTile(first, last, (image, ty, tx, t) => {
          const line = i32.add(i32.mul(image, outRows), i32.mul(ty, step));
          const pixel = i32.add(i32.mul(line, outColumns), i32.mul(tx, step));
          const index = f.let(i32.mul(i32.add(i32.mul(pixel, outputs), j), 4));
          const from = i32.add(multiplied, i32.mul(t, 16 * Math.ceil(count / 4)));
          const [below, beside] = [i32.sub(outRows, i32.mul(ty, step)), i32.sub(outColumns, i32.mul(tx, step))];
          f.do(
            call(
              output,
              from,
              i32.add(y, index),
              argmax === undefined ? 0 : i32.add(argmax, index),
              bias0 === undefined ? 0 : i32.add(bias0, i32.mul(j, 4)),
              below,
              beside,
            ),
          );
        });
      });
    });
  });
}

/** Transforms one window of up to four channels. */
function windowFunction(module: ModuleBuilder, { whole, rows, across }: Winograd, windowFloats: number, lanes: number) {
  return module.function({ parameters: ["i32", "i32"], result: "void" }, (f, from, to) => {
    const at = (i: number, j: number) => f.let(loadLanes(from, lanes, 4 * (i * whole.width + j) * whole.channels));
    both(points, at, (values) => transformWindow(f, values)).forEach((row, i) =>
      row.forEach((value, j) => f.do(v128.store(to, value, 4 * (i * points + j) * rows * across * windowFloats))),
    );
  });
}

/** The 36 products of a block's windows with a panel of filters. */
function multiplyFunction(module: ModuleBuilder, target: Target, it: Winograd, windowFloats: number, columns: number) {
  const { rows, across, shape } = it;
  const [all, vectors] = [rows * across, Math.ceil(columns / 4)];
  const height = tileOf(it, target).rows;
  return module.function({ parameters: ["i32", "i32", "i32"], result: "void" }, (f, windows, filter, to) => {
    f.loop(0, products, 1, () => {
      rowTiles(f, 0, all, all, height, (count) => (t) => {
        const tile = registerTile(f, count, 4 * vectors);
        clear(f, tile);
        const p = f.let(i32.add(windows, i32.mul(t, 4 * windowFloats)));
        const rowOffset = (r: number) => 4 * r * windowFloats;
        sumProducts(f, target, tile, { p, q: f.let(filter), rowOffset, pStep: 4, qStep: 16 * vectors }, shape.channels);
        const out = f.let(i32.add(to, i32.mul(t, 16 * vectors)));
        tile.sums.forEach((row, r) => row.forEach((sum, v) => f.do(v128.store(out, sum, 16 * (r * vectors + v)))));
      });
      f.increment(windows, 4 * all * windowFloats);
      f.increment(filter, 16 * shape.channels * vectors);
      f.increment(to, 16 * all * vectors);
    });
  });
}

/** Brings the products of one tile back and stores its outputs, as many as there are `below` and `beside`. */
function outputFunction(module: ModuleBuilder, it: Winograd, columns: number) {
  const { shape, pool, bias: biased, activation, side, rows, down, across } = it;
  const [outRows, outColumns] = [shape.outHeight, shape.outWidth].map((size) => (pool ? size >> 1 : size)) as [
    number,
    number,
  ];
  const lanes = lanesOf(columns);
  const step = pool ? side / 2 : side;
  const ragged = outRows < down * step || outColumns < across * step;
  const parameters = ["i32", "i32", "i32", "i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, from, y, argmax, bias, below, beside) => {
    lanes.forEach((used, v) => {
      const at = (i: number, j: number) =>
        f.let(v128.load(from, 16 * ((i * points + j) * rows * across * lanes.length + v)));
      const sums = both(points, at, (values) => transformProducts(f, values, side));
      const finish = (sum: V128) => activate(activation, biased ? f32x4.add(sum, loadLanes(bias, used, 16 * v)) : sum);
      for (let i = 0; i < step; i++) {
        for (let j = 0; j < step; j++) {
          const offset = 4 * (i * outColumns + j) * shape.outputs + 16 * v;
          const store = () => {
            if (!pool) return storeLanes(f, y, finish(sums[i]![j]!), used, offset);
            const window = [0, 1, 2, 3].map((k) => sums[2 * i + (k >> 1)]![2 * j + (k & 1)]!);
            storePooled(f, window, used, { y, argmax, offset }, activation, finish);
          };
          if (ragged) f.if(i32.and(i32.gt_s(below, i), i32.gt_s(beside, j)), store);
          else store();
        }
      }
    });
  });
}
