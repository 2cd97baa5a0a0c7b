import { input } from "../expression.ts";
import { broadcastShapes, equalShapes, formatShape, resolveAxis, type Shape, sizeOf } from "../shape.ts";
import { ShapeError } from "../errors.ts";
import { Tensor } from "../tensor.ts";
import { reshape } from "./layout.ts";
import { checkFloats, type Operation } from "./operation.ts";
import * as gpu from "../backends/gpu/kernels/reduce.ts";
import * as wasm from "../wasm/reduce.ts";

export interface Reduction {
  /** Axes that disappear, counted from the front, rising. */
  readonly axes: readonly number[];
}

export function remaining(shape: Shape, axes: readonly number[]): Shape {
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** `shape` with 1 for each of `axes`. */
export function keptShape(shape: Shape, axes: readonly number[]): Shape {
  return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
}

/** For every element of `shape`, row-major, the element of the reduced tensor that it belongs to. */
export function* groups(shape: Shape, axes: readonly number[]): Generator<number> {
  const strides = new Array<number>(shape.length).fill(0);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (axes.includes(axis)) continue;
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  const index = new Array<number>(shape.length).fill(0);
  let group = 0;
  for (let count = sizeOf(shape); count > 0; count--) {
    yield group;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      group += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
      group -= strides[axis]! * shape[axis]!;
    }
  }
}

const sumAxes: Operation<Reduction> = {
  name: "sum",
  outputs: ([x], { axes }) => {
    checkFloats("sum", [x!]);
    return [{ shape: remaining(x!.shape, axes), type: "float" }];
  },
  // dx = dy, stretched over the axes that were summed.
  gradient: ({ inputs: [x], attributes: { axes }, dy }) => [
    broadcastTo(reshape(dy, keptShape(x!.shape, axes)), x!.shape),
  ],
  reference: ({ inputs: [x], attributes: { axes } }, [from], [to]) => {
    const sums = new Float64Array(to!.length);
    let i = 0;
    for (const group of groups(x!.shape, axes)) sums[group]! += from![i++]!;
    to!.set(sums);
  },
  wasm: wasm.sumAxes,
  gpu: gpu.sumAxes,
};

export interface Axes {
  /** Which axes to reduce, -1 the last; all by default. */
  readonly axes?: readonly number[];
  /** Whether reduced axes stay, with length 1. */
  readonly keep?: boolean;
}

/** Runs a reduction over the chosen axes. */
export function reduce(operation: Operation<Reduction>, x: Tensor, { axes, keep = false }: Axes): Tensor {
  const all = x.shape.map((_, axis) => axis);
  const chosen = axes?.map((axis) => resolveAxis(operation.name, axis, x.shape.length)) ?? all;
  const rising = all.filter((axis) => chosen.includes(axis));
  const [y] = x.runtime.run(operation, [x], { attributes: { axes: rising } });
  return keep ? reshape(y!, keptShape(x.shape, rising)) : y!;
}

/** The sum over `axes` (default: all, giving a single number). */
export function sum(x: Tensor, options: Axes = {}): Tensor {
  return reduce(sumAxes, x, options);
}

/** Undoes broadcasting: sums `x` over the axes along which `shape` was stretched to it. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (equalShapes(x.shape, shape)) return x;
  const extra = x.shape.length - shape.length;
  const axes = x.shape.flatMap((size, axis) =>
    axis < extra || (shape[axis - extra] === 1 && size !== 1) ? [axis] : [],
  );
  return reshape(sum(x, { axes }), shape);
}

/** `x` stretched to `shape`: axes are aligned at the right, and those of length 1 are repeated. Deferred. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  const { runtime } = x;
  runtime.check("broadcastTo", x);
  checkFloats("broadcastTo", [x]);
  if (equalShapes(x.shape, shape)) return x;
  if (!equalShapes(broadcastShapes("broadcastTo", [x.shape, shape]), shape)) {
    throw new ShapeError(`broadcastTo: ${formatShape(x.shape)} does not stretch to ${formatShape(shape)}`);
  }
  const sequence = runtime.place();
  runtime.materialise(x);
  const pending = { expression: input(0), inputs: [x], scalars: [], taken: false };
  const output = runtime.defer((generation) => new Tensor(runtime, shape, "float", generation, null, pending));
  if (sequence !== null) {
    output.entry = { name: "broadcastTo", sequence, inputs: [x], gradient: (dy) => [sumTo(dy, x.shape)] };
  }
  return output;
}
