// Gradients of a convolution with 2x2 max pooling behind it. Of every four outputs one at most has a gradient, and
// rectified ones have none, so instead of products over all pixels the gradients that exist are listed, per output
// channel, with the place in the image where their window starts. Each adds a multiple of a window of the image to the
// filter's gradient, and a multiple of the filter to a window of the image's gradient.

import { call, f32, i32, memory, v128 } from "./assembler.ts";
import type { FunctionReference, Local, ModuleBuilder } from "./assembler.ts";
import { noGradient } from "./convolution.ts";
import { convolutionShape, cropImage, imageFloats, padImage, paddedShape } from "./convolutionShape.ts";
import type { ConvolutionOptions, ConvolutionShape } from "./convolutionShape.ts";
import { emitRun, wordOffset } from "./kernel.ts";
import type { Kernel, Plan, Target } from "./kernel.ts";
import { least } from "./panels.ts";
import { inOrder, lanesOf, loadLanes, multiplyAdd, storeLanes } from "./registerTile.ts";

interface Pooled {
  readonly shape: ConvolutionShape;
  /** The convolution over images with their zeros, where there are such. */
  readonly whole: ConvolutionShape;
  readonly bias: boolean;
  readonly input: boolean;
  readonly words: readonly string[];
  readonly rows: number;
  readonly columns: number;
  /** Images are taken so many at a time as stay in the first-level cache, and output channels a few at a time. */
  readonly images: number;
  readonly chunks: number;
  readonly channels: number;
  readonly groups: number;
  /** Numbers of one channel's filter, rows of the window filled up to whole vectors. */
  readonly turnedFloats: number;
  /** Byte offsets in `scratch`. */
  readonly at: Readonly<Record<"lists" | "counts" | "biases" | "turned" | "sums" | "x" | "dx" | "end", number>>;
}

/** The bytes of a list's entry: where the window starts, from the first image on, and the gradient. */
const entryBytes = 8;

/**
 * The plan of the gradients of `convolution` with `pool`. Words: `x`, `filter`, `dy` and `argmax` (of the pooled
 * outputs), `dFilter`, then `dBias` and `dx` if asked for, `scratch`. All of the gradients is written.
 */
export function pooledConvolutionGradients(
  options: ConvolutionOptions & { readonly bias?: boolean; readonly input?: boolean },
): Plan {
  const shape = convolutionShape(options);
  const { bias = false, input = false } = options;
  const [rows, columns] = [shape.outHeight >> 1, shape.outWidth >> 1];
  if (rows < 1 || columns < 1) throw new RangeError("pooledConvolutionGradients: the output must be at least 2x2");
  const whole = shape.padding === "same" ? paddedShape(shape) : shape;
  const images = Math.max(1, Math.min(shape.batch, Math.floor(24576 / (4 * imageFloats(whole)))));
  const chunks = Math.ceil(shape.batch / images);
  const channels = Math.ceil(shape.outputs / 16);
  const groups = Math.ceil(shape.outputs / channels);
  const turnedFloats = shape.kernel[0] * 4 * Math.ceil((shape.kernel[1] * shape.channels) / 4);
  const lists = chunks * shape.outputs;
  const padded = whole === shape ? 0 : 4 * shape.batch * imageFloats(whole);
  const parts = [
    ["lists", lists * images * rows * columns * entryBytes],
    ["counts", 4 * lists],
    ["biases", 4 * lists],
    ["turned", input ? 4 * shape.outputs * turnedFloats : 0],
    ["sums", 4 * shape.outputs * turnedFloats],
    ["x", padded],
    ["dx", input ? padded : 0],
    ["end", 0],
  ] as const;
  const at: Record<string, number> = {};
  let end = 0;
  for (const [part, bytes] of parts) {
    at[part] = end;
    end += Math.ceil(bytes / 16) * 16;
  }
  const words = [
    "x",
    "filter",
    "dy",
    "argmax",
    "dFilter",
    ...(bias ? ["dBias"] : []),
    ...(input ? ["dx"] : []),
    "scratch",
  ];
  const pooled: Pooled = {
    shape,
    whole,
    bias,
    input,
    words,
    rows,
    columns,
    images,
    chunks,
    channels,
    groups,
    turnedFloats,
    at: at as Pooled["at"],
  };
  return { phases: [listKernel(pooled), gradientKernel(pooled)], scratchBytes: end };
}

function keyOf(family: string, { shape, bias, input }: Pooled): string {
  return [family, shape.key, bias ? "bias" : "", input ? "input" : ""].join("-");
}

/** Lists the gradients of some images, one chunk a tile; further tiles turn the filter, one row of it each. */
function listKernel(pooled: Pooled): Kernel {
  const { shape, whole, words, input, images, chunks, at } = pooled;
  return {
    key: keyOf("pooled-list", pooled),
    arguments: words,
    tiles: chunks + (input ? shape.kernel[0] : 0),
    emit: (target) =>
      emitRun(target, (f, args, tile, module) => {
        const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
        const scratch = word("scratch");
        f.if(
          i32.lt_s(tile, chunks),
          () => {
            const first = f.let(i32.mul(tile, images));
            const last = least(f, i32.add(first, images), shape.batch);
            if (whole !== shape) {
              const x = word("x");
              f.loop(first, last, 1, (image) => {
                const from = f.let(i32.add(x, i32.mul(image, 4 * imageFloats(shape))));
                const to = f.let(i32.add(i32.add(scratch, at.x), i32.mul(image, 4 * imageFloats(whole))));
                padImage(f, shape, from, to);
              });
            }
            const list = listFunction(module, pooled);
            f.do(call(list, word("dy"), word("argmax"), scratch, tile, first, last));
          },
          () => {
            if (input) f.do(call(turnFunction(module, pooled), word("filter"), scratch, i32.sub(tile, chunks)));
          },
        );
      }),
  };
}

/** Writes the lists of one chunk, images `first` to `last`: entries, how many, and their sum. */
function listFunction(module: ModuleBuilder, { shape, whole, rows, columns, images, at }: Pooled) {
  const { outputs, stride } = shape;
  const [pixel, line] = [4 * stride[1] * whole.channels, 4 * stride[0] * whole.width * whole.channels];
  const parameters = ["i32", "i32", "i32", "i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, dy, argmax, scratch, chunk, first, last) => {
    const capacity = images * rows * columns * entryBytes;
    f.loop(0, outputs, 1, (o) => {
      const list = f.let(i32.add(i32.mul(chunk, outputs), o));
      const start = f.let(i32.add(i32.add(scratch, at.lists), i32.mul(list, capacity)));
      const entry = f.let(start);
      const sum = f.local("f32");
      f.set(sum, f32.const(0));
      f.loop(first, last, 1, (image) => {
        const index = f.let(i32.add(i32.mul(image, rows * columns * outputs), o));
        const position = f.let(i32.add(argmax, i32.mul(index, 4)));
        const gradient = f.let(i32.add(dy, i32.mul(index, 4)));
        const top = f.let(i32.mul(image, 4 * imageFloats(whole)));
        f.loop(0, rows, 1, () => {
          const left = f.let(top);
          f.loop(0, columns, 1, () => {
            const place = f.let(i32.load(position));
            const bits = f.let(i32.load(gradient));
            const lives = f.let(i32.ne(place, noGradient));
            // Written in any case, counted only if it lives: no branch to guess wrong.
            const down = i32.mul(i32.shr_u(i32.and(place, 2), 1), line);
            const right = i32.mul(i32.and(place, 1), pixel);
            f.do(i32.store(entry, i32.add(left, i32.add(down, right))));
            f.do(i32.store(entry, bits, 4));
            f.set(sum, f32.add(sum, f32.reinterpret_i32(i32.and(bits, i32.sub(0, lives)))));
            f.increment(entry, i32.mul(lives, entryBytes));
            f.increment(position, 4 * outputs);
            f.increment(gradient, 4 * outputs);
            f.increment(left, 2 * pixel);
          });
          f.increment(top, 2 * line);
        });
      });
      const word = f.let(i32.add(scratch, i32.mul(list, 4)));
      f.do(i32.store(word, i32.div_u(i32.sub(entry, start), entryBytes), at.counts));
      f.do(f32.store(word, sum, at.biases));
    });
  });
}

/** Turns row `ky` of the filter's window from `[(kx, c), o]` into `[o, (kx, c)]`, filled up with zeros. */
function turnFunction(module: ModuleBuilder, { shape, turnedFloats, at }: Pooled) {
  const { kernel, channels, outputs } = shape;
  const run = kernel[1] * channels;
  const row = 4 * Math.ceil(run / 4);
  return module.function({ parameters: ["i32", "i32", "i32"], result: "void" }, (f, filter, scratch, ky) => {
    const from = f.let(i32.add(filter, i32.mul(ky, 4 * run * outputs)));
    const to = f.let(i32.add(i32.add(scratch, at.turned), i32.mul(ky, 4 * row)));
    f.loop(0, outputs, 1, (o) => {
      const p = f.let(i32.add(from, i32.mul(o, 4)));
      const q = f.let(i32.add(to, i32.mul(o, 4 * turnedFloats)));
      f.loop(0, run, 1, () => {
        f.do(f32.store(q, f32.load(p)));
        f.increment(p, 4 * outputs);
        f.increment(q, 4);
      });
    });
  });
}

/** A vector of the window: byte offsets in an image and in one channel's turned filter. */
interface WindowVector {
  readonly image: number;
  readonly turned: number;
  readonly lanes: number;
}

/** The vectors of a window in blocks that fit into registers, twelve at most, beside a factor and a product. */
function blocksOf({ whole, shape }: Pooled): WindowVector[][] {
  const { kernel, channels } = shape;
  const lanes = lanesOf(kernel[1] * channels);
  const rows = Array.from({ length: kernel[0] }, (_, ky) =>
    lanes.map((used, v) => ({
      image: 4 * ky * whole.width * channels + 16 * v,
      turned: 16 * (ky * lanes.length + v),
      lanes: used,
    })),
  );
  // Blocks across rows waste no registers, but each has code of its own; those within long rows are alike.
  const pieces = lanes.length >= 48 ? rows : [rows.flat()];
  return pieces.flatMap((vectors) => {
    const blocks = Math.ceil(vectors.length / 12);
    const cut = (i: number) => Math.round((i * vectors.length) / blocks);
    return Array.from({ length: blocks }, (_, i) => vectors.slice(cut(i), cut(i + 1)));
  });
}

type Micro = FunctionReference<readonly ["i32", "i32", "i32", "i32"], "void">;

/**
 * One function per kind of block, and how to call it: the list's first entry and length, the first image, and the
 * channel's turned filter or sums.
 */
function microBlocks(blocks: WindowVector[][], define: (vectors: WindowVector[]) => Micro) {
  const known = new Map<string, Micro>();
  return blocks.map((block) => {
    const [base] = block as [WindowVector];
    const relative = block.map(({ image, turned, lanes }) => ({
      image: image - base.image,
      turned: turned - base.turned,
      lanes,
    }));
    const kind = JSON.stringify(relative);
    const micro = known.get(kind) ?? define(relative);
    known.set(kind, micro);
    return (entries: Local<"i32">, count: Local<"i32">, images: Local<"i32">, turned: Local<"i32">) =>
      call(micro, entries, count, i32.add(images, base.image), i32.add(turned, base.turned));
  });
}

/** Adds to each vector of a channel's sums the multiples of the image's vectors that its list says. */
function microFilter(module: ModuleBuilder, target: Target, vectors: WindowVector[]): Micro {
  const parameters = ["i32", "i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, entry, count, x, sums) => {
    const totals = vectors.map(({ turned }) => f.let(v128.load(sums, turned)));
    inOrder(f, f.let(count), (pause) => {
      const window = f.let(i32.add(x, i32.load(entry)));
      const gradient = f.let(v128.load32_splat(entry, 4));
      vectors.forEach(({ image, lanes }, v) => {
        if (v > 0 && v % 2 === 0) pause();
        f.set(totals[v]!, multiplyAdd(target, gradient, loadLanes(window, lanes, image), totals[v]!));
      });
      f.increment(entry, entryBytes);
    });
    vectors.forEach(({ turned }, v) => f.do(v128.store(sums, totals[v]!, turned)));
  });
}

/** Adds to each window of the image's gradient that a list names a multiple of the channel's filter. */
function microInput(module: ModuleBuilder, target: Target, vectors: WindowVector[]): Micro {
  const parameters = ["i32", "i32", "i32", "i32"] as const;
  return module.function({ parameters, result: "void" }, (f, entry, count, dx, turned) => {
    const filter = vectors.map((vector) => f.let(v128.load(turned, vector.turned)));
    inOrder(f, f.let(count), () => {
      const window = f.let(i32.add(dx, i32.load(entry)));
      const gradient = f.let(v128.load32_splat(entry, 4));
      vectors.forEach(({ image, lanes }, v) => {
        const sum = multiplyAdd(target, gradient, filter[v]!, loadLanes(window, lanes, image));
        storeLanes(f, window, sum, lanes, image);
      });
      f.increment(entry, entryBytes);
    });
  });
}

/** Gradients to the filter, some output channels a tile, and to the input, a chunk of images a tile. */
function gradientKernel(pooled: Pooled): Kernel {
  const { words, input, groups, chunks } = pooled;
  return {
    key: keyOf("pooled-gradients", pooled),
    arguments: words,
    tiles: groups + (input ? chunks : 0),
    emit: (target) =>
      emitRun(target, (f, args, tile, module) => {
        const filter = filterFunction(module, target, pooled);
        if (!input) return f.do(call(filter, args, tile));
        const toInput = inputFunction(module, target, pooled);
        f.if(
          i32.lt_s(tile, groups),
          () => f.do(call(filter, args, tile)),
          () => f.do(call(toInput, args, i32.sub(tile, groups))),
        );
      }),
  };
}

function filterFunction(module: ModuleBuilder, target: Target, pooled: Pooled) {
  const { shape, whole, bias, words, images, chunks, channels, rows, columns, turnedFloats, at } = pooled;
  const { outputs, kernel } = shape;
  const run = kernel[1] * shape.channels;
  const blocks = microBlocks(blocksOf(pooled), (vectors) => microFilter(module, target, vectors));
  return module.function({ parameters: ["i32", "i32"], result: "void" }, (f, args, group) => {
    const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
    const scratch = word("scratch");
    const x = whole === shape ? word("x") : f.let(i32.add(scratch, at.x));
    const first = f.let(i32.mul(group, channels));
    const last = least(f, i32.add(first, channels), outputs);
    const own = f.let(i32.add(i32.add(scratch, at.sums), i32.mul(first, 4 * turnedFloats)));
    f.do(memory.fill(own, 0, i32.mul(i32.sub(last, first), 4 * turnedFloats)));
    f.loop(0, chunks, 1, (chunk) => {
      const sums = f.let(own);
      f.loop(first, last, 1, (o) => {
        const list = f.let(i32.add(i32.mul(chunk, outputs), o));
        const entries = f.let(i32.add(i32.add(scratch, at.lists), i32.mul(list, images * rows * columns * entryBytes)));
        const count = f.let(i32.load(i32.add(scratch, i32.mul(list, 4)), at.counts));
        f.if(count, () => f.do(...blocks.map((block) => block(entries, count, x, sums))));
        f.increment(sums, 4 * turnedFloats);
      });
    });
    const dFilter = word("dFilter");
    const dBias = bias ? word("dBias") : undefined;
    f.loop(first, last, 1, (o) => {
      const to = f.let(i32.add(dFilter, i32.mul(o, 4)));
      f.loop(0, kernel[0], 1, () => {
        const from = f.let(own);
        f.loop(0, run, 1, () => {
          f.do(f32.store(to, f32.load(from)));
          f.increment(to, 4 * outputs);
          f.increment(from, 4);
        });
        f.increment(own, 16 * Math.ceil(run / 4));
      });
      if (dBias === undefined) return;
      const sum = f.local("f32");
      f.set(sum, f32.const(0));
      f.loop(0, chunks, 1, (chunk) => {
        const list = i32.add(i32.mul(chunk, outputs), o);
        f.set(sum, f32.add(sum, f32.load(i32.add(scratch, i32.mul(list, 4)), at.biases)));
      });
      f.do(f32.store(i32.add(dBias, i32.mul(o, 4)), sum));
    });
  });
}

function inputFunction(module: ModuleBuilder, target: Target, pooled: Pooled) {
  const { shape, whole, words, images, rows, columns, turnedFloats, at } = pooled;
  const { outputs, batch } = shape;
  const blocks = microBlocks(blocksOf(pooled), (vectors) => microInput(module, target, vectors));
  return module.function({ parameters: ["i32", "i32"], result: "void" }, (f, args, chunk) => {
    const word = (name: string) => f.let(i32.load(args, wordOffset(words, name)));
    const scratch = word("scratch");
    const dx = whole === shape ? word("dx") : f.let(i32.add(scratch, at.dx));
    const first = f.let(i32.mul(chunk, images));
    const last = least(f, i32.add(first, images), batch);
    const bytes = 4 * imageFloats(whole);
    f.do(memory.fill(i32.add(dx, i32.mul(first, bytes)), 0, i32.mul(i32.sub(last, first), bytes)));
    const turned = f.let(i32.add(scratch, at.turned));
    f.loop(0, outputs, 1, (o) => {
      const list = f.let(i32.add(i32.mul(chunk, outputs), o));
      const entries = f.let(i32.add(i32.add(scratch, at.lists), i32.mul(list, images * rows * columns * entryBytes)));
      const count = f.let(i32.load(i32.add(scratch, i32.mul(list, 4)), at.counts));
      f.if(count, () => f.do(...blocks.map((block) => block(entries, count, dx, turned))));
      f.increment(turned, 4 * turnedFloats);
    });
    if (whole === shape) return;
    f.loop(first, last, 1, (image) => {
      const from = f.let(i32.add(dx, i32.mul(image, bytes)));
      cropImage(f, shape, from, f.let(i32.add(word("dx"), i32.mul(image, 4 * imageFloats(shape)))));
    });
  });
}
