// The contract between those who write kernels and those who run them.

import { ModuleBuilder, f32x4 } from "./assembler.ts";
import type { FunctionBuilder, Local } from "./assembler.ts";

/** What an emitted module is for: the memory it will import, and whether relaxed SIMD may be used. */
export interface Target {
  readonly shared: boolean;
  readonly relaxed: boolean;
}

/**
 * A WebAssembly function `run(args: i32, tile: i32)`. `args` is the byte address of a block of 32-bit words, `tile`
 * the number of the piece of work to do. Tiles write disjoint outputs, their boundaries follow from shapes alone and
 * every sum inside has one order, so tiles may run in any order, on any thread, and give the same bits.
 */
export interface Kernel {
  /** Unique for the code emitted: family, shape and every other parameter that specialised it. */
  readonly key: string;
  /** The words of the `args` block, in order: byte addresses first, then scalars, a `f32` as its bits. */
  readonly arguments: readonly string[];
  readonly tiles: number;
  /** A whole module that imports `"env"."memory"` and exports `"run"`. */
  emit(target: Target): Uint8Array<ArrayBuffer>;
}

/**
 * An operation in phases: each runs when the one before has ended, and all read the same `args` block. When
 * `scratchBytes` is not zero, the word `scratch` holds the address of so many bytes, 16-byte aligned, that are
 * unspecified before and after.
 */
export interface Plan {
  readonly phases: readonly Kernel[];
  readonly scratchBytes: number;
}

/** The module of one kernel: an imported memory and `run(args, tile)`, whose body is given. */
export function emitRun(
  target: Target,
  body: (f: FunctionBuilder, args: Local<"i32">, tile: Local<"i32">, module: ModuleBuilder) => void,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(target);
  module.function({ parameters: ["i32", "i32"], result: "void", export: "run" }, (f, args, tile) =>
    body(f, args, tile, module),
  );
  return module.assemble();
}

/** The byte offset of a word in a kernel's `args` block. */
export function wordOffset(words: readonly string[], word: string): number {
  const index = words.indexOf(word);
  if (index < 0) throw new RangeError(`kernel: no argument called ${word}, only ${words.join(", ")}`);
  return 4 * index;
}

/** Whether this engine has relaxed SIMD: Node 22 and later, and browsers of that age. */
export function hasRelaxedSimd(): boolean {
  const module = new ModuleBuilder({ shared: false });
  module.function({ parameters: ["v128"], result: "v128" }, (f, x) => f.return(f32x4.relaxed_madd(x, x, x)));
  return WebAssembly.validate(module.assemble());
}

/** Compiles and instantiates a kernel over `memory`, on this thread. */
export function instantiate(
  memory: WebAssembly.Memory,
  kernel: Kernel,
  relaxed = false,
): (args: number, tile: number) => void {
  const shared = typeof SharedArrayBuffer !== "undefined" && memory.buffer instanceof SharedArrayBuffer;
  const module = new WebAssembly.Module(kernel.emit({ shared, relaxed }));
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  return instance.exports["run"] as (args: number, tile: number) => void;
}

/**
 * Runs a plan on this thread, one tile after another: the plain text of what a pool of threads does. The words are
 * written at byte address `args`; `order` may permute the tiles of a phase, which changes no bit of the result.
 */
export function runPlan(
  memory: WebAssembly.Memory,
  plan: Plan,
  args: number,
  words: Readonly<Record<string, number>>,
  options: { relaxed?: boolean; order?: (tiles: number[]) => number[] } = {},
): void {
  const block = new DataView(memory.buffer);
  for (const kernel of plan.phases) {
    kernel.arguments.forEach((word, i) => {
      const value = words[word];
      if (value === undefined) throw new RangeError(`${kernel.key}: argument ${word} is missing`);
      block.setInt32(args + 4 * i, value, true);
    });
    const run = instantiate(memory, kernel, options.relaxed);
    const tiles = Array.from({ length: kernel.tiles }, (_, tile) => tile);
    for (const tile of options.order?.(tiles) ?? tiles) run(args, tile);
  }
}
