import { fillNormal, fillUniform, type Key } from "../random.ts";
import { checkShape, type Shape } from "../shape.ts";
import type { NumberArray } from "../backends/backend.ts";
import type { Runtime } from "../runtime.ts";
import type { Tensor } from "../tensor.ts";
import { constant, divide, less, select } from "../expression.ts";
import { elementwise } from "./elementwise.ts";
import type { Operation } from "./operation.ts";
import * as gpu from "../backends/gpu/kernels/draws.ts";
import * as wasm from "../wasm/threefry.ts";

/** Which draws: element i of a tensor is element i of (key, stream, block). See `random.ts` for the streams. */
export interface Draw {
  readonly key: Key;
  readonly stream: number;
  readonly block: number;
}

type Fill = typeof fillUniform;
type Drawing = Operation<{ readonly shape: Shape }>;

/** Words: key (2), stream, block. */
function drawing(name: string, fill: Fill, kernels: Pick<Drawing, "wasm" | "gpu">): Drawing {
  return {
    name,
    outputs: (_, { shape }) => [{ shape, type: "float" }],
    gradient: null,
    reference: ({ words: [low, high, stream, block] }, _, [to]) => {
      const drawn = to instanceof Float32Array ? to : new Float32Array(to!.length);
      fill(drawn, [low!, high!], { stream: stream!, block: block! });
      if (drawn !== to) (to as NumberArray).set(drawn);
    },
    ...kernels,
  };
}

export const uniformDraws = drawing("uniform", fillUniform, { wasm: wasm.uniformDraws, gpu: gpu.uniformDraws });
export const normalDraws = drawing("normal", fillNormal, { wasm: wasm.normalDraws, gpu: gpu.normalDraws });

function draw(operation: Drawing, runtime: Runtime, shape: Shape, from: Draw): Tensor {
  checkShape(operation.name, shape);
  const { key, stream, block } = from;
  return runtime.run(operation, [], { attributes: { shape }, words: [...key, stream, block] })[0]!;
}

/** Uniform numbers in [0, 1), multiples of 2^-24. The same draw gives the same bits on every device. */
export function uniform(runtime: Runtime, shape: Shape, from: Draw): Tensor {
  return draw(uniformDraws, runtime, shape, from);
}

/** Standard normal numbers from the quantile table. The same draw gives the same bits on every device. */
export function normal(runtime: Runtime, shape: Shape, from: Draw): Tensor {
  return draw(normalDraws, runtime, shape, from);
}

const drop = elementwise("dropout", 3, ([x, u, keep]) => select(less(u!, keep!), divide(x!, keep!), constant(0)));

/**
 * Keeps each element with probability `keep` and divides it by `keep`; the others become 0 (Srivastava et al. 2014).
 * RangeError unless `keep` is above 0 and at most 1.
 */
export function dropout(x: Tensor, keep: number, from: Draw): Tensor {
  if (!(keep > 0 && keep <= 1)) throw new RangeError(`dropout: keep must be above 0 and at most 1, got ${keep}`);
  return keep === 1 ? x : drop(x, uniform(x.runtime, x.shape, from), keep);
}
