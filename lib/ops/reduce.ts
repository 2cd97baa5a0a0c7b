import type { NumberArray } from "../backends/backend.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { multiply } from "./arithmetic.ts";
import { scatterAdd } from "./gather.ts";
import { reshape } from "./layout.ts";
import { checkFloats, type Operation } from "./operation.ts";
import { type Axes, groups, reduce, type Reduction, remaining, sum } from "./sum.ts";
import * as gpu from "../backends/gpu/kernels/reduce.ts";
import * as wasm from "../wasm/reduce.ts";

/** Saves, for each result, where in `x` it was found. */
const maxAxes: Operation<Reduction> = {
  name: "max",
  outputs: ([x], { axes }) => {
    checkFloats("max", [x!]);
    const shape = remaining(x!.shape, axes);
    return [
      { shape, type: "float" },
      { shape, type: "int" },
    ];
  },
  gradient: ({ inputs: [x], outputs: [, at], dy }) => {
    const flat = [sizeOf(dy.shape)];
    return [reshape(scatterAdd(reshape(dy, flat), reshape(at!, flat), sizeOf(x!.shape)), x!.shape)];
  },
  reference: ({ inputs: [x], attributes: { axes } }, [from], [to, at]) => {
    at!.fill(-1);
    let i = 0;
    for (const group of groups(x!.shape, axes)) {
      if (at![group] === -1 || beats(from!, i, to![group]!)) {
        to![group] = from![i]!;
        at![group] = i;
      }
      i += 1;
    }
  },
  wasm: wasm.maxAxes,
  gpu: gpu.maxAxes,
};

/** The first of equals wins, and the first NaN beats everything. */
function beats(from: NumberArray, i: number, best: number): boolean {
  return from[i]! > best || (Number.isNaN(from[i]!) && !Number.isNaN(best));
}

/** The mean over `axes` (default: all). */
export function mean(x: Tensor, options: Axes = {}): Tensor {
  const total = sum(x, options);
  return multiply(total, sizeOf(total.shape) / sizeOf(x.shape));
}

/** The largest element over `axes` (default: all). Among equals the first one gets the gradient. */
export function max(x: Tensor, options: Axes = {}): Tensor {
  return reduce(maxAxes, x, options);
}
