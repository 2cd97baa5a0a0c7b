import { ShapeError } from "../errors.ts";
import { formatShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, type Operation } from "./operation.ts";
import * as gpu from "../backends/gpu/kernels/gather.ts";
import * as wasm from "../wasm/gather.ts";

type None = Record<never, never>;

function checkIndex(name: string, index: number, size: number): void {
  if (!(index >= 0 && index < size)) throw new RangeError(`${name}: index ${index} is outside 0 to ${size - 1}`);
}

const gatherRows: Operation<None> = {
  name: "gather",
  outputs: ([table, indices]) => {
    if (table!.shape.length === 0) throw new ShapeError("gather: the table needs an axis to look up in, got []");
    if (indices!.type !== "int") throw new ShapeError("gather: indices must be an int tensor, got floats");
    return [{ shape: [...indices!.shape, ...table!.shape.slice(1)], type: table!.type }];
  },
  gradient: ({ inputs: [table, indices], dy }) => [scatterAdd(dy, indices!, table!.shape[0]!), null],
  reference: ({ inputs: [table] }, [from, indices], [to]) => {
    const size = table!.shape[0]!;
    const row = sizeOf(table!.shape) / size;
    indices!.forEach((index, i) => {
      checkIndex("gather", index, size);
      for (let j = 0; j < row; j++) to![i * row + j] = from![index * row + j]!;
    });
  },
  wasm: wasm.gatherRows,
  gpu: gpu.gatherRows,
};

/**
 * Looks up rows of `table`, [size, ...row], at each of `indices` (ints, any shape): [...indices, ...row]. An index
 * outside the table is a `RangeError`. Its gradient is `scatterAdd`: shared weights sum the gradients of their members.
 */
export function gather(table: Tensor, indices: Tensor): Tensor {
  return table.runtime.run(gatherRows, [table, indices], { attributes: {} })[0]!;
}

interface Size {
  readonly size: number;
}

const scatterRows: Operation<Size> = {
  name: "scatterAdd",
  outputs: ([updates, indices], { size }) => {
    checkFloats("scatterAdd", [updates!]);
    if (indices!.type !== "int") throw new ShapeError("scatterAdd: indices must be an int tensor, got floats");
    const { shape } = indices!;
    if (!shape.every((axis, i) => updates!.shape[i] === axis)) {
      const found = `${formatShape(updates!.shape)} and ${formatShape(shape)}`;
      throw new ShapeError(`scatterAdd: updates must begin with the shape of the indices, got ${found}`);
    }
    return [{ shape: [size, ...updates!.shape.slice(shape.length)], type: "float" }];
  },
  gradient: ({ inputs: [, indices], dy }) => [gather(dy, indices!), null],
  reference: ({ attributes: { size } }, [updates, indices], [to]) => {
    const row = to!.length / size;
    const sums = new Float64Array(to!.length);
    indices!.forEach((index, i) => {
      checkIndex("scatterAdd", index, size);
      for (let j = 0; j < row; j++) sums[index * row + j]! += updates![i * row + j]!;
    });
    to!.set(sums);
  },
  wasm: wasm.scatterRows,
  gpu: gpu.scatterRows,
};

/** Sums rows of `updates`, [...indices, ...row], into [size, ...row] by index. Rows nobody names are zero. */
export function scatterAdd(updates: Tensor, indices: Tensor, size: number): Tensor {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new RangeError(`scatterAdd: size must be a whole number from 1 up, got ${size}`);
  }
  return updates.runtime.run(scatterRows, [updates, indices], { attributes: { size } })[0]!;
}
