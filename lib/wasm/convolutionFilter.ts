// Gradient of a convolution to its filter and bias: for one row ky of the window and one image a matrix product,
// x[(kx, c), pixels] · dy[pixels, o], summed over images. Images are taken in a fixed number of groups, each with sums
// of its own that are added up at the end, so that threads have work and the order of every sum stays the same.

import { call, f32x4, i32 } from "./assembler.ts";
import type { FunctionBuilder, FunctionReference, I32, Local, ModuleBuilder } from "./assembler.ts";
import { convolutionShape, imageFloats, padImage, paddedShape } from "./convolutionShape.ts";
import type { ConvolutionOptions, ConvolutionShape } from "./convolutionShape.ts";
import { emitRun, wordOffset } from "./kernel.ts";
import type { Kernel, Plan, Target } from "./kernel.ts";
import { least, panels, rowTiles } from "./panels.ts";
import { chooseTile, clear, lanesOf, loadLanes, registerTile, storeLanes, sumProducts } from "./registerTile.ts";

interface FilterGradient {
  readonly shape: ConvolutionShape;
  readonly bias: boolean;
  readonly words: readonly string[];
  readonly groups: number;
  readonly imagesPerGroup: number;
  /** Bytes of padded images, with which `scratch` starts, and of one group's sums, filter then bias. */
  readonly padded: number;
  readonly sums: number;
}

/**
 * The plan of a convolution's gradient to its filter. Words: `x`, `dy`, `dFilter`, then `dBias` if asked for and
 * `scratch` if the plan needs some.
 */
export function convolutionFilterGradient(options: ConvolutionOptions & { readonly bias?: boolean }): Plan {
  const shape = convolutionShape(options);
  const { bias = false } = options;
  const padded = shape.padding === "same" ? 4 * shape.batch * imageFloats(paddedShape(shape)) : 0;
  const sums = 4 * (filterFloats(shape) + shape.outputs);
  // About two dozen tiles of a group and a window row each, as far as images and four mebibytes of sums go.
  const wanted = Math.max(1, Math.min(Math.ceil(24 / shape.kernel[0]), shape.batch, Math.floor(2 ** 22 / sums)));
  const imagesPerGroup = Math.ceil(shape.batch / wanted);
  const groups = Math.ceil(shape.batch / imagesPerGroup);
  const words = ["x", "dy", "dFilter", ...(bias ? ["dBias"] : []), ...(padded > 0 || groups > 1 ? ["scratch"] : [])];
  const gradient: FilterGradient = { shape, bias, words, groups, imagesPerGroup, padded, sums };
  return {
    phases: [
      ...(padded > 0 ? [padKernel(gradient)] : []),
      sumKernel(gradient),
      ...(groups > 1 ? [combineKernel(gradient)] : []),
    ],
    scratchBytes: padded + (groups > 1 ? groups * sums : 0),
  };
}

function filterFloats({ kernel, channels, outputs }: ConvolutionShape): number {
  return kernel[0] * kernel[1] * channels * outputs;
}

function keyOf(family: string, { shape, bias }: FilterGradient): string {
  return [family, shape.key, bias ? "bias" : ""].join("-");
}

function padKernel(gradient: FilterGradient): Kernel {
  const { shape, words } = gradient;
  return {
    key: keyOf("convolution-filter-pad", gradient),
    arguments: words,
    tiles: shape.batch,
    emit: (target) =>
      emitRun(target, (f, args, image) => {
        const word = (name: string) => i32.load(args, wordOffset(words, name));
        const from = f.let(i32.add(word("x"), i32.mul(image, 4 * imageFloats(shape))));
        const to = f.let(i32.add(word("scratch"), i32.mul(image, 4 * imageFloats(paddedShape(shape)))));
        padImage(f, shape, from, to);
      }),
  };
}

function sumKernel(gradient: FilterGradient): Kernel {
  return {
    key: keyOf("convolution-filter", gradient),
    arguments: gradient.words,
    tiles: gradient.groups * gradient.shape.kernel[0],
    emit: (target) => emitSum(target, gradient),
  };
}

function emitSum(target: Target, gradient: FilterGradient): Uint8Array<ArrayBuffer> {
  const { words, bias, groups, imagesPerGroup, padded, sums } = gradient;
  const shape = padded > 0 ? paddedShape(gradient.shape) : gradient.shape;
  const { batch, width, channels, outputs, kernel, outHeight, outWidth } = shape;
  const run = kernel[1] * channels;
  const register = chooseTile(run, outputs, target.relaxed);
  return emitRun(target, (f, args, tile, module) => {
    const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
    const ky = f.let(i32.rem_u(tile, kernel[0]));
    const group = f.let(i32.div_u(tile, kernel[0]));
    const x0 = f.let(i32.add(word(padded > 0 ? "scratch" : "x"), i32.mul(ky, 4 * width * channels)));
    const dy0 = word("dy");
    const own = groups > 1 ? f.let(i32.add(word("scratch"), i32.add(i32.mul(group, sums), padded))) : word("dFilter");
    const dFilter = f.let(i32.add(own, i32.mul(ky, 4 * run * outputs)));
    const dBias = !bias ? undefined : groups > 1 ? f.let(i32.add(own, 4 * filterFloats(shape))) : word("dBias");
    const first = f.let(i32.mul(group, imagesPerGroup));
    f.loop(first, least(f, i32.add(first, imagesPerGroup), batch), 1, (image) => {
      const x = f.let(i32.add(x0, i32.mul(image, 4 * imageFloats(shape))));
      const dy = f.let(i32.add(dy0, i32.mul(image, 4 * outHeight * outWidth * outputs)));
      const resume = f.let(i32.ne(image, first));
      panels(f, { columns: outputs, width: 4 * register.vectors }, (j, columns) => {
        const q = f.let(i32.add(dy, i32.mul(j, 4)));
        const to = f.let(i32.add(dFilter, i32.mul(j, 4)));
        rowTiles(f, 0, run, run, register.rows, (rows) => {
          const micro = microSum(module, target, shape, rows, columns);
          return (i) => {
            f.do(call(micro, i32.add(x, i32.mul(i, 4)), q, i32.add(to, i32.mul(i, 4 * outputs)), resume));
          };
        });
      });
      if (dBias !== undefined) f.if(i32.eqz(ky), () => sumBias(f, shape, dy, dBias, resume));
    });
  });
}

/** Sums one register tile over the pixels of an image: addresses of x, dy and the sums, and whether those count on. */
function microSum(
  module: ModuleBuilder,
  target: Target,
  { width, channels, outputs, outHeight, outWidth, stride }: ConvolutionShape,
  rows: number,
  columns: number,
): FunctionReference<readonly ["i32", "i32", "i32", "i32"], "void"> {
  const [pStep, qStep] = [4 * stride[1] * channels, 4 * outputs];
  const line = 4 * stride[0] * width * channels;
  const parameters = ["i32", "i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, p, q, sums, resume) => {
    const tile = registerTile(f, rows, columns);
    const offset = (r: number, v: number) => 4 * r * outputs + 16 * v;
    clear(f, tile);
    f.if(resume, () =>
      tile.sums.forEach((row, r) => row.forEach((sum, v) => f.set(sum, loadLanes(sums, tile.lanes[v]!, offset(r, v))))),
    );
    const operands = { p, q, rowOffset: (r: number) => 4 * r, pStep, qStep };
    if (outWidth <= 8) {
      sumProducts(f, target, tile, { ...operands, terms: outWidth, pAdvance: line }, outHeight);
    } else {
      f.loop(0, outHeight, 1, () => {
        sumProducts(f, target, tile, operands, outWidth);
        f.increment(p, line - outWidth * pStep);
      });
    }
    tile.sums.forEach((row, r) => row.forEach((sum, v) => storeLanes(f, sums, sum, tile.lanes[v]!, offset(r, v))));
  });
}

/** Adds the gradients of one image's pixels, each channel for itself. */
function sumBias(f: FunctionBuilder, shape: ConvolutionShape, dy: I32, dBias: I32, resume: I32): void {
  const { outputs, outHeight, outWidth } = shape;
  panels(f, { columns: outputs, width: 32 }, (j, columns) => {
    const lanes = lanesOf(columns);
    const to = f.let(i32.add(dBias, i32.mul(j, 4)));
    const sums = lanes.map(() => f.let(f32x4.splat(0)));
    f.if(resume, () => sums.forEach((sum, v) => f.set(sum, loadLanes(to, lanes[v]!, 16 * v))));
    const from = f.let(i32.add(dy, i32.mul(j, 4)));
    f.loop(0, outHeight * outWidth, 1, () => {
      sums.forEach((sum, v) => f.set(sum, f32x4.add(sum, loadLanes(from, lanes[v]!, 16 * v))));
      f.increment(from, 4 * outputs);
    });
    sums.forEach((sum, v) => storeLanes(f, to, sum, lanes[v]!, 16 * v));
  });
}

/** Adds up the sums of all groups, first to last. */
function combineKernel(gradient: FilterGradient): Kernel {
  const { shape, bias, words, groups, padded, sums } = gradient;
  const floats = filterFloats(shape);
  const chunk = 4096;
  return {
    key: keyOf("convolution-filter-combine", gradient),
    arguments: words,
    tiles: Math.ceil(floats / chunk) + (bias ? 1 : 0),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
        const from = f.let(i32.add(word("scratch"), padded));
        const add = (source: Local<"i32">, to: Local<"i32">, lanes: number) => {
          const total = f.let(loadLanes(source, lanes));
          const p = f.let(source);
          f.loop(1, groups, 1, () => {
            f.increment(p, sums);
            f.set(total, f32x4.add(total, loadLanes(p, lanes)));
          });
          storeLanes(f, to, total, lanes);
          f.increment(source, 16);
          f.increment(to, 16);
        };
        const addAll = (source: Local<"i32">, to: Local<"i32">, count: I32, rest: number) => {
          f.loop(0, count, 4, () => add(source, to, 4));
          if (rest > 0) add(source, to, rest);
        };
        const whole = floats - (floats % 4);
        const start = f.let(i32.mul(tile, chunk));
        const [source, to] = [
          f.let(i32.add(from, i32.mul(start, 4))),
          f.let(i32.add(word("dFilter"), i32.mul(start, 4))),
        ];
        f.if(i32.lt_s(start, floats), () => {
          addAll(source, to, i32.sub(least(f, i32.add(start, chunk), whole), start), 0);
          if (floats % 4 > 0) f.if(i32.ge_s(i32.add(start, chunk), floats), () => add(source, to, floats % 4));
        });
        if (bias) {
          f.if(i32.ge_s(start, floats), () => {
            const count = shape.outputs - (shape.outputs % 4);
            addAll(f.let(i32.add(from, 4 * floats)), word("dBias"), count, shape.outputs % 4);
          });
        }
      }),
  };
}
