// Gradient of a convolution to its input: every output's gradient, spread over the window it came from. For one row
// of the window that is a matrix product, dy[pixels, o] · filter[o, (kx, c)], whose rows land in the image side by
// side, overlapping by the width of a stride. No zeros are multiplied, as a convolution with the turned filter would.

import { call, f32, f32x4, i32, memory } from "./assembler.ts";
import type { FunctionReference, ModuleBuilder } from "./assembler.ts";
import { convolutionShape, cropImage, imageFloats, paddedShape } from "./convolutionShape.ts";
import type { ConvolutionOptions, ConvolutionShape } from "./convolutionShape.ts";
import { emitRun, wordOffset } from "./kernel.ts";
import type { Kernel, Plan, Target } from "./kernel.ts";
import { panels, rowTiles } from "./panels.ts";
import { chooseTile, clear, loadLanes, registerTile, storeLanes, sumProducts } from "./registerTile.ts";

const words = ["dy", "filter", "dx", "scratch"] as const;

/**
 * The plan of a convolution's gradient to its input. Words: `dy`, `filter`, `dx`, `scratch`. Every number of `dx` is
 * written, those that no window reaches as zero.
 */
export function convolutionInputGradient(options: ConvolutionOptions): Plan {
  const shape = convolutionShape(options);
  const padded = shape.padding === "same" ? 4 * shape.batch * imageFloats(paddedShape(shape)) : 0;
  const phases = [turnKernel(shape, padded), spreadKernel(shape, padded)];
  return { phases, scratchBytes: padded + 4 * shape.kernel[0] * runFloats(shape) * shape.outputs };
}

/** Numbers of one row of the filter's window, filled up to whole vectors. */
function runFloats({ kernel, channels }: ConvolutionShape): number {
  return 4 * Math.ceil((kernel[1] * channels) / 4);
}

function tileOf({ outWidth, kernel, channels }: ConvolutionShape, target: Target) {
  return chooseTile(outWidth, kernel[1] * channels, target.relaxed);
}

/** Turns each row of the filter's window from `[(kx, c), o]` into panels of `[o, (kx, c)]`, one row a tile. */
function turnKernel(shape: ConvolutionShape, padded: number): Kernel {
  const { kernel, channels, outputs } = shape;
  const run = kernel[1] * channels;
  return {
    key: `convolution-input-turn-${shape.key}`,
    arguments: words,
    tiles: kernel[0],
    emit: (target) =>
      emitRun(target, (f, args, ky) => {
        const from = f.let(i32.add(i32.load(args, wordOffset(words, "filter")), i32.mul(ky, 4 * run * outputs)));
        const scratch = i32.add(i32.load(args, wordOffset(words, "scratch")), padded);
        const to = f.let(i32.add(scratch, i32.mul(ky, 4 * runFloats(shape) * outputs)));
        panels(f, { columns: run, width: 4 * tileOf(shape, target).vectors }, (j, count) => {
          const rowBytes = 16 * Math.ceil(count / 4);
          const [source, panel] = [i32.add(from, i32.mul(j, 4 * outputs)), i32.add(to, i32.mul(j, 4 * outputs))];
          f.loop(0, count, 1, (column) => {
            const p = f.let(i32.add(source, i32.mul(column, 4 * outputs)));
            const q = f.let(i32.add(panel, i32.mul(column, 4)));
            f.loop(0, outputs, 1, () => {
              f.do(f32.store(q, f32.load(p)));
              f.increment(p, 4);
              f.increment(q, rowBytes);
            });
          });
        });
      }),
  };
}

function spreadKernel(shape: ConvolutionShape, padded: number): Kernel {
  return {
    key: `convolution-input-${shape.key}`,
    arguments: words,
    tiles: shape.batch,
    emit: (target) => emitSpread(target, shape, padded),
  };
}

/** One image a tile: its gradient is gathered in place, or between zeros in `scratch` and then copied out. */
function emitSpread(target: Target, shape: ConvolutionShape, padded: number): Uint8Array<ArrayBuffer> {
  const { kernel, channels, outputs, outHeight, outWidth, stride } = shape;
  const whole = padded > 0 ? paddedShape(shape) : shape;
  const [line, pixel] = [4 * whole.width * channels, 4 * channels];
  const run = kernel[1] * channels;
  const register = tileOf(shape, target);
  return emitRun(target, (f, args, image, module) => {
    const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
    const scratch = word("scratch");
    const to = padded > 0 ? scratch : word("dx");
    const dx = f.let(i32.add(to, i32.mul(image, 4 * imageFloats(whole))));
    const dy = f.let(i32.add(word("dy"), i32.mul(image, 4 * outHeight * outWidth * outputs)));
    f.do(memory.fill(dx, 0, 4 * imageFloats(whole)));
    f.loop(0, kernel[0], 1, (ky) => {
      const turned = f.let(i32.add(scratch, i32.add(i32.mul(ky, 4 * runFloats(shape) * outputs), padded)));
      panels(f, { columns: run, width: 4 * register.vectors }, (j, count) => {
        const q = f.let(i32.add(turned, i32.mul(j, 4 * outputs)));
        const reached = f.let(i32.add(dx, i32.add(i32.mul(ky, line), i32.mul(j, 4))));
        f.loop(0, outHeight, 1, (oy) => {
          const p0 = f.let(i32.add(dy, i32.mul(oy, 4 * outWidth * outputs)));
          const x0 = f.let(i32.add(reached, i32.mul(oy, stride[0] * line)));
          rowTiles(f, 0, outWidth, outWidth, register.rows, (height) => {
            const micro = microSpread(module, target, shape, height, count);
            return (ox) => {
              const p = i32.add(p0, i32.mul(ox, 4 * outputs));
              f.do(call(micro, p, q, i32.add(x0, i32.mul(ox, stride[1] * pixel))));
            };
          });
        });
      });
    });
    if (padded > 0) {
      const out = f.let(i32.add(word("dx"), i32.mul(image, 4 * imageFloats(shape))));
      cropImage(f, shape, dx, out);
    }
  });
}

/** Adds one register tile to the image: addresses of the gradients, the panel, and where the first row lands. */
function microSpread(
  module: ModuleBuilder,
  target: Target,
  { channels, outputs, stride }: ConvolutionShape,
  height: number,
  columns: number,
): FunctionReference<readonly ["i32", "i32", "i32"], "void"> {
  const parameters = ["i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, p, q, x) => {
    const tile = registerTile(f, height, columns);
    clear(f, tile);
    const rowOffset = (r: number) => 4 * r * outputs;
    sumProducts(f, target, tile, { p, q, rowOffset, pStep: 4, qStep: 16 * tile.lanes.length }, outputs);
    tile.sums.forEach((row, r) =>
      row.forEach((sum, v) => {
        const [lanes, offset] = [tile.lanes[v]!, 4 * r * stride[1] * channels + 16 * v];
        storeLanes(f, x, f32x4.add(loadLanes(x, lanes, offset), sum), lanes, offset);
      }),
    );
  });
}
