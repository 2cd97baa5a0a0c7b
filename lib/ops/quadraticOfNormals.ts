import { ShapeError } from "../errors.ts";
import { type Draws, fillNormal, type Key, word } from "../random.ts";
import { checkShape, equalShapes, formatShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, type Operation } from "./operation.ts";
import * as gpu from "../backends/gpu/kernels/quadraticOfNormals.ts";
import * as wasm from "../wasm/quadraticOfNormals.ts";

/** Words: key (2), stream, block, half of the first element rounded down, and whether that element is odd. */
const operation: Operation<{ readonly rows: number }> = {
  name: "quadraticOfNormals",
  outputs: ([a, b], { rows }) => {
    checkFloats("quadraticOfNormals", [a!, b!]);
    if (a!.shape.length !== 1 || !equalShapes(a!.shape, b!.shape)) {
      const found = [a!, b!].map(({ shape }) => formatShape(shape)).join(" · ");
      throw new ShapeError(`quadraticOfNormals: a and b must be rows of one length, got ${found}`);
    }
    return [{ shape: [rows], type: "float" }];
  },
  gradient: null,
  reference: ({ words: [low, high, stream, block, half, odd] }, [a, b], [to]) => {
    const z = new Float32Array(a!.length);
    for (let row = 0; row < to!.length; row++) {
      const start = 2 * half! + odd! + row * z.length;
      fillNormal(z, [low!, high!], { stream: stream!, block: block!, start });
      let sum = 0;
      for (let i = 0; i < z.length; i++) sum += z[i]! * (a![i]! * z[i]! + b![i]!);
      to![row] = sum;
    }
  },
  wasm: wasm.quadraticOfNormals,
  gpu: gpu.quadraticOfNormals,
};

/**
 * A quadratic form of normal draws z, `rows` times: sum over i of a_i z_i^2 + b_i z_i, where row r draws elements
 * start + r n, ..., start + r n + n - 1 for a and b of length n. This is the logarithm of a ratio of two Gaussian
 * densities at each of many samples (but for a constant), and no draw is stored. Devices draw the same numbers, and
 * round their sums in ways of their own. Not differentiated. RangeError for draws that do not exist.
 */
export function quadraticOfNormals(a: Tensor, b: Tensor, rows: number, from: { readonly key: Key } & Draws): Tensor {
  const { key, stream, block, start = 0 } = from;
  checkShape("quadraticOfNormals", [rows]);
  // The first and the last draw: both exist, or what is between them does not matter.
  for (const element of [start, start + rows * sizeOf(a.shape) - 1]) word(key, stream, block, element);
  const [output] = a.runtime.run(operation, [a, b], {
    attributes: { rows },
    words: [...key, stream, block, Math.floor(start / 2), start % 2],
  });
  return output!;
}
