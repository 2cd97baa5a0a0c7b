import { ShapeError } from "../errors.ts";
import { checkShape, equalShapes, formatShape, resolveAxis, type Shape, sizeOf, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Operation } from "./operation.ts";
import * as gpu from "../backends/gpu/kernels/layout.ts";
import * as wasm from "../wasm/layout.ts";

/** The same numbers under another shape of the same size; one axis may be -1, "whatever is left". */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const resolved = resolveRest(x.shape, shape);
  if (equalShapes(x.shape, resolved)) return x;
  const { runtime } = x;
  runtime.check("reshape", x);
  const sequence = runtime.place();
  const y = runtime.view(x, resolved);
  if (sequence !== null) {
    y.entry = { name: "reshape", sequence, inputs: [x], gradient: (dy) => [reshape(dy, x.shape)] };
  }
  return y;
}

function resolveRest(from: Shape, to: Shape): Shape {
  const size = sizeOf(from);
  const given = to.filter((axis) => axis !== -1);
  const resolved = given.length === to.length - 1 ? to.map((axis) => (axis === -1 ? size / sizeOf(given) : axis)) : to;
  if (sizeOf(resolved) !== size || !resolved.every(Number.isInteger)) {
    throw new ShapeError(`reshape: ${formatShape(from)} has ${size} elements, ${formatShape(to)} does not`);
  }
  checkShape("reshape", resolved);
  return resolved;
}

/** Calls `visit` with the offset of every element of a block of `shape`, row-major, inside an array of `strides`. */
function visitBlock(shape: Shape, strides: readonly number[], start: number, visit: (offset: number) => void): void {
  const index = new Array<number>(shape.length).fill(0);
  let offset = start;
  for (let count = sizeOf(shape); count > 0; count--) {
    visit(offset);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
      offset -= strides[axis]! * shape[axis]!;
    }
  }
}

interface Permutation {
  /** `to[i]` is the input axis that becomes output axis `i`. */
  readonly order: readonly number[];
}

const permuteAxes: Operation<Permutation> = {
  name: "transpose",
  outputs: ([x], { order }) => [{ shape: order.map((axis) => x!.shape[axis]!), type: x!.type }],
  gradient: ({ attributes: { order }, dy }) => [transpose(dy, order.map((_, axis) => order.indexOf(axis)))],
  reference: ({ inputs: [x], outputs: [y], attributes: { order } }, [from], [to]) => {
    const strides = stridesOf(x!.shape);
    let i = 0;
    visitBlock(y!.shape, order.map((axis) => strides[axis]!), 0, (offset) => (to![i++] = from![offset]!));
  },
  wasm: wasm.permuteAxes,
  gpu: gpu.permuteAxes,
};

/** The axes in another order; by default reversed, which for a matrix is the transpose. */
export function transpose(x: Tensor, order: readonly number[] = x.shape.map((_, i) => x.shape.length - 1 - i)): Tensor {
  const resolved = order.map((axis) => resolveAxis("transpose", axis, x.shape.length));
  if (resolved.length !== x.shape.length || new Set(resolved).size !== resolved.length) {
    const found = `[${order.join(", ")}]`;
    throw new ShapeError(`transpose: the order must name each axis of ${formatShape(x.shape)} once, got ${found}`);
  }
  return x.runtime.run(permuteAxes, [x], { attributes: { order: resolved } })[0]!;
}

interface Block {
  readonly start: readonly number[];
  readonly shape: Shape;
}

const sliceBlock: Operation<Block> = {
  name: "slice",
  outputs: ([x], { shape }) => [{ shape, type: x!.type }],
  gradient: ({ inputs: [x], attributes: { start }, dy }) => [
    pad(dy, start.map((before, axis) => [before, x!.shape[axis]! - before - dy.shape[axis]!])),
  ],
  reference: ({ inputs: [x], attributes: { start, shape } }, [from], [to]) => {
    const strides = stridesOf(x!.shape);
    const first = start.reduce((offset, at, axis) => offset + at * strides[axis]!, 0);
    let i = 0;
    visitBlock(shape, strides, first, (offset) => (to![i++] = from![offset]!));
  },
  wasm: wasm.sliceBlock,
  gpu: gpu.sliceBlock,
};

/** The block of `shape` that begins at `start`, both with one number per axis. */
export function slice(x: Tensor, start: readonly number[], shape: Shape): Tensor {
  checkShape("slice", shape);
  const fits =
    start.length === x.shape.length &&
    shape.length === x.shape.length &&
    start.every((at, axis) => Number.isInteger(at) && at >= 0 && at + shape[axis]! <= x.shape[axis]!);
  if (!fits) {
    throw new ShapeError(
      `slice: the block ${formatShape(shape)} at [${start.join(", ")}] does not lie within ${formatShape(x.shape)}`,
    );
  }
  return x.runtime.run(sliceBlock, [x], { attributes: { start, shape } })[0]!;
}

interface Margins {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const padZeros: Operation<Margins> = {
  name: "pad",
  outputs: ([x], { before, after }) => [
    { shape: x!.shape.map((size, axis) => size + before[axis]! + after[axis]!), type: x!.type },
  ],
  gradient: ({ inputs: [x], attributes: { before }, dy }) => [slice(dy, before, x!.shape)],
  reference: ({ inputs: [x], outputs: [y], attributes: { before } }, [from], [to]) => {
    to!.fill(0);
    const strides = stridesOf(y!.shape);
    const first = before.reduce((offset, at, axis) => offset + at * strides[axis]!, 0);
    let i = 0;
    visitBlock(x!.shape, strides, first, (offset) => (to![offset] = from![i++]!));
  },
  wasm: wasm.padZeros,
  gpu: gpu.padZeros,
};

/** `x` surrounded by zeros: `[before, after]` counts for each axis. */
export function pad(x: Tensor, margins: readonly (readonly [before: number, after: number])[]): Tensor {
  if (margins.length !== x.shape.length || margins.flat().some((count) => !Number.isInteger(count) || count < 0)) {
    throw new ShapeError(`pad: ${formatShape(x.shape)} needs a pair of whole numbers from 0 up for each axis`);
  }
  const attributes = { before: margins.map(([before]) => before), after: margins.map(([, after]) => after) };
  return x.runtime.run(padZeros, [x], { attributes })[0]!;
}

interface Joint {
  readonly axis: number;
}

const joinAlong: Operation<Joint> = {
  name: "concat",
  outputs: (inputs, { axis }) => {
    const [first, ...others] = inputs.map(({ shape }) => shape);
    const meets = (shape: Shape): boolean =>
      shape.length === first!.length && shape.every((size, i) => i === axis || size === first![i]);
    if (!others.every(meets)) {
      const found = inputs.map(({ shape }) => formatShape(shape)).join(", ");
      throw new ShapeError(`concat: shapes differ beside axis ${axis}, got ${found}`);
    }
    const length = inputs.reduce((sum, { shape }) => sum + shape[axis]!, 0);
    return [{ shape: first!.map((size, i) => (i === axis ? length : size)), type: inputs[0]!.type }];
  },
  gradient: ({ inputs, attributes: { axis }, dy, needs }) => {
    let at = 0;
    return inputs.map(({ shape }, k) => {
      const start = shape.map((_, i) => (i === axis ? at : 0));
      at += shape[axis]!;
      return needs[k] ? slice(dy, start, shape) : null;
    });
  },
  reference: ({ inputs, outputs: [y], attributes: { axis } }, from, [to]) => {
    const strides = stridesOf(y!.shape);
    let first = 0;
    inputs.forEach(({ shape }, k) => {
      let i = 0;
      visitBlock(shape, strides, first, (offset) => (to![offset] = from[k]![i++]!));
      first += shape[axis]! * strides[axis]!;
    });
  },
  wasm: wasm.joinAlong,
  gpu: gpu.joinAlong,
};

/** Tensors laid end to end along `axis`; their other axes agree. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const first = tensors[0];
  if (first === undefined) throw new ShapeError("concat: needs at least one tensor, got none");
  if (tensors.some(({ type }) => type !== first.type)) throw new ShapeError("concat: got both floats and ints");
  const attributes = { axis: resolveAxis("concat", axis, first.shape.length) };
  return first.runtime.run(joinAlong, tensors, { attributes })[0]!;
}

