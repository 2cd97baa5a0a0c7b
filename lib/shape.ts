import { ShapeError } from "./errors.ts";

/** Lengths of the axes, outermost first. The empty shape is a single number. */
export type Shape = readonly number[];

/** The number of elements, the product of the axes. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const axis of shape) size *= axis;
  return size;
}

/** `[64, 784]`, for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

export function equalShapes(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((axis, i) => axis === b[i]);
}

/** Refuses axes that are not whole numbers from 1 up: there are no empty tensors. */
export function checkShape(name: string, shape: Shape): void {
  for (const axis of shape) {
    if (!Number.isSafeInteger(axis) || axis < 1) {
      throw new ShapeError(`${name}: every axis must be a whole number from 1 up, got ${formatShape(shape)}`);
    }
  }
}

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** The shape that all of `shapes` stretch to: axes are aligned at the right, and an axis of 1 stretches. */
export function broadcastShapes(name: string, shapes: readonly Shape[]): Shape {
  const first = shapes[0]!;
  if (shapes.every((shape) => equalShapes(shape, first))) return first;
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const at = rank - shape.length + i;
      const axis = shape[i]!;
      if (axis === 1) continue;
      if (result[at] !== 1 && result[at] !== axis) {
        throw new ShapeError(`${name}: shapes do not broadcast, got ${shapes.map(formatShape).join(" and ")}`);
      }
      result[at] = axis;
    }
  }
  return result;
}

/** A nest of loops over an output, with a stride per loop for every input: 0 where that input is stretched. */
export interface Loops {
  readonly sizes: readonly number[];
  /** `strides[input][loop]`, in elements. */
  readonly strides: readonly (readonly number[])[];
}

/**
 * The loops that visit `output` in row-major order while reading `inputs` stretched to it. Neighbouring loops that
 * every input walks through alike are merged, so that equal shapes give a single loop.
 */
export function broadcastLoops(output: Shape, inputs: readonly Shape[]): Loops {
  const rank = output.length;
  const full = inputs.map((shape) => {
    const own = stridesOf(shape);
    return output.map((_, axis) => {
      const i = axis - (rank - shape.length);
      return i < 0 || shape[i] === 1 ? 0 : own[i]!;
    });
  });
  const sizes: number[] = [];
  const strides: number[][] = inputs.map(() => []);
  for (let axis = 0; axis < rank; axis++) {
    const size = output[axis]!;
    if (size === 1) continue;
    const last = sizes.length - 1;
    const merges = last >= 0 && full.every((stride, i) => strides[i]![last] === stride[axis]! * size);
    if (merges) {
      sizes[last] = sizes[last]! * size;
      full.forEach((stride, i) => (strides[i]![last] = stride[axis]!));
    } else {
      sizes.push(size);
      full.forEach((stride, i) => strides[i]!.push(stride[axis]!));
    }
  }
  if (sizes.length === 0) {
    sizes.push(1);
    for (const list of strides) list.push(0);
  }
  return { sizes, strides };
}

/** An axis counted from the front, given one that may be counted from the back (-1 is the last). */
export function resolveAxis(name: string, axis: number, rank: number): number {
  if (rank === 0) throw new ShapeError(`${name}: a single number, [], has no axes, got axis ${axis}`);
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new ShapeError(`${name}: axis must be a whole number from ${-rank} to ${rank - 1}, got ${axis}`);
  }
  return resolved;
}
