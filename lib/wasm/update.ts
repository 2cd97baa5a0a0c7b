// Optimizer steps in one pass over parameter, gradient, moments and mask.

import { sizeOf } from "../shape.ts";
import { f32x4, i32, memory, v128 } from "./assembler.ts";
import type { FunctionBuilder, Local, V128 } from "./assembler.ts";
import { emitRun, type Kernel, type Target, wordOffset } from "./kernel.ts";
import { floatBits, type WasmKernel } from "./launch.ts";
import { loadWord } from "./nest.ts";
import { multiplyAdd } from "./registerTile.ts";
import { constant4, eachVector, lesser, storeLanes } from "./vectors.ts";

/** Elements of a tile, a multiple of 16. */
const TILE = 16384;

/**
 * The kernel of an update. `arrays` are read; `step` gives, from their vectors and the scalars, the new vectors of
 * those it changes. Where there is a mask, they become zero where it is.
 */
function updateKernel(
  name: string,
  count: number,
  arrays: readonly string[],
  scalars: readonly string[],
  step: (
    f: FunctionBuilder,
    target: Target,
    arrays: Readonly<Record<string, V128>>,
    scalars: Readonly<Record<string, V128>>,
  ) => Readonly<Record<string, V128>>,
): Kernel {
  const words = [...arrays, ...scalars, "count"];
  const masked = arrays.includes("mask");
  return {
    key: masked ? `${name} masked` : name,
    arguments: words,
    tiles: Math.ceil(count / TILE),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const first = f.let(i32.mul(tile, TILE));
        const left = f.let(lesser(TILE, i32.sub(loadWord(f, args, words, "count"), first)));
        const at = Object.fromEntries(
          arrays.map((array) => [array, f.let(i32.add(loadWord(f, args, words, array), i32.mul(first, 4)))]),
        ) as Record<string, Local<"i32">>;
        const values = Object.fromEntries(
          scalars.map((scalar) => [scalar, f.let(v128.load32_splat(args, wordOffset(words, scalar)))]),
        );
        const zero = constant4(f, 0);
        eachVector(f, left, (_, lanes) => {
          const old = Object.fromEntries(arrays.map((array) => [array, f.let(v128.load(at[array]!))]));
          const changed = Object.entries(step(f, target, old, values)).map(([array, value]) => {
            const kept = masked ? v128.and(value, f32x4.ne(old["mask"]!, zero)) : value;
            return [array, f.let(kept)] as const;
          });
          for (const [array, value] of changed) storeLanes(f, at[array]!, value, lanes);
          for (const array of arrays) f.increment(at[array]!, 16);
        });
      }),
  };
}

interface Masked {
  readonly masked: boolean;
}

/** Inputs w, g, v and a mask. Scalars: rate, momentum, decay. The formulas are those of `ops/update.ts`. */
export const sgdUpdate: WasmKernel<Masked & { readonly nesterov: boolean }> = ({ inputs, attributes }) => {
  const { masked, nesterov } = attributes;
  const count = sizeOf(inputs[0]!.shape);
  const arrays = ["w", "g", "v", ...(masked ? ["mask"] : [])];
  const scalars = ["rate", "momentum", "decay"];
  const kernel = updateKernel(nesterov ? "sgd nesterov" : "sgd", count, arrays, scalars, (f, target, old, by) => {
    const madd = (a: V128, b: V128, c: V128): V128 => multiplyAdd(target, a, b, c);
    const g = f.let(madd(by["decay"]!, old["w"]!, old["g"]!));
    const v = f.let(madd(by["momentum"]!, old["v"]!, g));
    const direction = nesterov ? madd(by["momentum"]!, v, g) : v;
    return { v, w: f32x4.sub(old["w"]!, f32x4.mul(by["rate"]!, direction)) };
  });
  return {
    plan: { phases: [kernel], scratchBytes: 0 },
    words: (at, call) => [...at.inputs, ...call.scalars.map(floatBits), count],
  };
};

/** Inputs w, g, m, v and a mask. Scalars: rate, beta1, beta2, epsilon, decay, c1, c2. */
export const adamUpdate: WasmKernel<Masked & { readonly decoupled: boolean }> = ({ inputs, attributes }) => {
  const { masked, decoupled } = attributes;
  const count = sizeOf(inputs[0]!.shape);
  const arrays = ["w", "g", "m", "v", ...(masked ? ["mask"] : [])];
  const scalars = ["beta1", "new1", "beta2", "new2", "scale", "over2", "epsilon", "decay"];
  const kernel = updateKernel(decoupled ? "adamW" : "adam", count, arrays, scalars, (f, target, old, by) => {
    const madd = (a: V128, b: V128, c: V128): V128 => multiplyAdd(target, a, b, c);
    // Decoupled, `decay` is -rate λ and acts on the parameter; otherwise it is λ and acts on the gradient.
    const g = decoupled ? old["g"]! : f.let(madd(by["decay"]!, old["w"]!, old["g"]!));
    const w = decoupled ? madd(by["decay"]!, old["w"]!, old["w"]!) : old["w"]!;
    const m = f.let(madd(by["beta1"]!, old["m"]!, f32x4.mul(by["new1"]!, g)));
    const v = f.let(madd(by["beta2"]!, old["v"]!, f32x4.mul(f32x4.mul(by["new2"]!, g), g)));
    const size = f32x4.add(f32x4.sqrt(f32x4.mul(v, by["over2"]!)), by["epsilon"]!);
    return { m, v, w: f32x4.sub(w, f32x4.div(f32x4.mul(by["scale"]!, m), size)) };
  });
  return {
    plan: { phases: [kernel], scratchBytes: 0 },
    words: (at, call) => {
      const [rate, beta1, beta2, epsilon, decay, c1, c2] = call.scalars as [
        number, number, number, number, number, number, number,
      ];
      const shrink = decoupled ? -rate * decay : decay;
      const numbers = [beta1, 1 - beta1, beta2, 1 - beta2, rate / c1, 1 / c2, epsilon, shrink];
      return [...at.inputs, ...numbers.map(floatBits), count];
    },
  };
};

const copyWords = ["to", "from", "bytes"];

/** Bytes of a tile of a copy. */
const COPIED = 262144;

/** Overwrites a variable. Inputs: the variable, the tensor. */
export const copyInto: WasmKernel<unknown> = ({ inputs: [to] }) => {
  const bytes = 4 * sizeOf(to!.shape);
  const kernel: Kernel = {
    key: "copy",
    arguments: copyWords,
    tiles: Math.ceil(bytes / COPIED),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, copyWords, name);
        const start = f.let(i32.mul(tile, COPIED));
        const some = lesser(COPIED, i32.sub(word("bytes"), start));
        f.do(memory.copy(i32.add(word("to"), start), i32.add(word("from"), start), some));
      }),
  };
  return { plan: { phases: [kernel], scratchBytes: 0 }, words: ({ inputs }) => [...inputs, bytes] };
};
