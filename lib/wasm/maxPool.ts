// Max pooling over [batch, height, width, channels] and its gradient. Windows lie inside the image ("valid").

import { f32x4, i32, i32x4, memory, v128 } from "./assembler.ts";
import type { FunctionBuilder, I32, Local } from "./assembler.ts";
import { emitRun, wordOffset } from "./kernel.ts";
import type { Kernel, Plan } from "./kernel.ts";
import { least, panels } from "./panels.ts";
import { lanesOf, loadLanes, storeLanes } from "./registerTile.ts";

export interface MaxPoolOptions {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly window: readonly [height: number, width: number];
  /** As the window, unless said. */
  readonly stride?: readonly [down: number, right: number];
}

interface Shape extends Required<MaxPoolOptions> {
  readonly outHeight: number;
  readonly outWidth: number;
  readonly key: string;
}

function shapeOf(options: MaxPoolOptions): Shape {
  const { batch, height, width, channels, window } = options;
  const { stride = window } = options;
  const sizes = {
    batch,
    height,
    width,
    channels,
    windowHeight: window[0],
    windowWidth: window[1],
    strideDown: stride[0],
    strideRight: stride[1],
  };
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`maxPool: ${name} must be a whole number from 1, got ${size}`);
    }
  }
  if (window[0] > height || window[1] > width) {
    throw new RangeError(`maxPool: a window of ${window.join("x")} does not fit into an image of ${height}x${width}`);
  }
  const outHeight = Math.floor((height - window[0]) / stride[0]) + 1;
  const outWidth = Math.floor((width - window[1]) / stride[1]) + 1;
  const key = `${[batch, height, width, channels].join("x")}-${window.join("x")}-${stride.join("x")}`;
  return { batch, height, width, channels, window, stride, outHeight, outWidth, key };
}

/**
 * The plan of max pooling. Words: `x`, `y`, `argmax`: for every output an `i32`, the place of the greatest in its
 * window in row-major order. The first of equals wins, and a NaN is greater than every number.
 * @throws RangeError where a size is not a whole number from 1 or the window is larger than the image.
 */
export function maxPool(options: MaxPoolOptions): Plan {
  const shape = shapeOf(options);
  const { batch, width, height, channels, window, outHeight, outWidth, stride } = shape;
  const words = ["x", "y", "argmax"];
  // So many rows that a tile reads about 32768 numbers.
  const rows = batch * outHeight;
  const rowsPerTile = Math.max(1, Math.round(32768 / (outWidth * channels * window[0] * window[1])));
  const kernel: Kernel = {
    key: `maxPool-${shape.key}`,
    arguments: words,
    tiles: Math.ceil(rows / rowsPerTile),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
        const [x0, y0, argmax0] = [word("x"), word("y"), word("argmax")];
        const first = f.let(i32.mul(tile, rowsPerTile));
        f.loop(first, least(f, i32.add(first, rowsPerTile), rows), 1, (row) => {
          const image = f.let(i32.div_u(row, outHeight));
          const line = i32.add(i32.mul(image, height), i32.mul(i32.rem_u(row, outHeight), stride[0]));
          const x = f.let(i32.add(x0, i32.mul(line, 4 * width * channels)));
          const out = f.let(i32.mul(row, 4 * outWidth * channels));
          f.loop(0, outWidth, 1, (ox) => {
            eachVector(f, shape, x, ox, out, (p, at, lanes) => {
              const best = f.let(loadLanes(p, lanes));
              const place = f.let(i32x4.splat(0));
              eachPlace(f, shape, p, (k, address, offset) => {
                const value = f.let(loadLanes(address, lanes, offset));
                // What the best so far, unless it is NaN, is not at least as great as.
                const better = f.let(v128.andnot(f32x4.eq(best, best), f32x4.ge(best, value)));
                f.set(best, v128.bitselect(value, best, better));
                f.set(place, v128.bitselect(i32x4.splat(k), place, better));
              });
              storeLanes(f, f.let(i32.add(y0, at)), best, lanes);
              storeLanes(f, f.let(i32.add(argmax0, at)), place, lanes);
            });
          });
        });
      }),
  };
  return { phases: [kernel], scratchBytes: 0 };
}

/** The plan of max pooling's gradient. Words: `dy`, `argmax`, `dx`; every number of `dx` is written. */
export function maxPoolGradient(options: MaxPoolOptions): Plan {
  const shape = shapeOf(options);
  const { batch, width, height, channels, outHeight, outWidth, stride } = shape;
  const words = ["dy", "argmax", "dx"];
  const imageBytes = 4 * height * width * channels;
  const kernel: Kernel = {
    key: `maxPool-gradient-${shape.key}`,
    arguments: words,
    tiles: batch,
    emit: (target) =>
      emitRun(target, (f, args, image) => {
        const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
        const [dy0, argmax0] = [word("dy"), word("argmax")];
        const dx = f.let(i32.add(word("dx"), i32.mul(image, imageBytes)));
        f.do(memory.fill(dx, 0, imageBytes));
        f.loop(0, outHeight, 1, (oy) => {
          const x = f.let(i32.add(dx, i32.mul(oy, 4 * stride[0] * width * channels)));
          const row = i32.add(i32.mul(image, outHeight), oy);
          const out = f.let(i32.mul(row, 4 * outWidth * channels));
          f.loop(0, outWidth, 1, (ox) => {
            eachVector(f, shape, x, ox, out, (p, at, lanes) => {
              const gradient = f.let(loadLanes(i32.add(dy0, at), lanes));
              const place = f.let(loadLanes(i32.add(argmax0, at), lanes));
              eachPlace(f, shape, p, (k, address, offset) => {
                const share = v128.and(gradient, i32x4.eq(place, i32x4.splat(k)));
                storeLanes(f, address, f32x4.add(loadLanes(address, lanes, offset), share), lanes, offset);
              });
            });
          });
        });
      }),
  };
  return { phases: [kernel], scratchBytes: 0 };
}

/** The places of a window: number, and byte offset from an address. Large windows are loops, small ones one piece. */
function eachPlace(
  f: FunctionBuilder,
  { window, width, channels }: Shape,
  p: Local<"i32">,
  body: (k: I32, address: Local<"i32">, offset: number) => void,
): void {
  const [pixel, line] = [4 * channels, 4 * width * channels];
  if (window[0] * window[1] <= 16) {
    for (let ky = 0; ky < window[0]; ky++) {
      for (let kx = 0; kx < window[1]; kx++) body(ky * window[1] + kx, p, ky * line + kx * pixel);
    }
    return;
  }
  f.loop(0, window[0], 1, (ky) => {
    f.loop(0, window[1], 1, (kx) => {
      const address = f.let(i32.add(p, i32.add(i32.mul(ky, line), i32.mul(kx, pixel))));
      body(i32.add(i32.mul(ky, window[1]), kx), address, 0);
    });
  });
}

/** The channels of one output, up to four at a time: their address in the image, their byte among the outputs. */
function eachVector(
  f: FunctionBuilder,
  { channels, stride }: Shape,
  x: Local<"i32">,
  ox: Local<"i32">,
  out: Local<"i32">,
  body: (p: Local<"i32">, at: Local<"i32">, lanes: number) => void,
): void {
  const window = f.let(i32.add(x, i32.mul(ox, 4 * stride[1] * channels)));
  const first = f.let(i32.add(out, i32.mul(ox, 4 * channels)));
  panels(f, { columns: channels, width: 4 }, (c, count) => {
    const byte = f.let(i32.mul(c, 4));
    body(f.let(i32.add(window, byte)), f.let(i32.add(first, byte)), lanesOf(count)[0]!);
  });
}
