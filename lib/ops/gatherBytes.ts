import { ShapeError } from "../errors.ts";
import { formatShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, type Operation } from "./operation.ts";
import * as gpu from "../backends/gpu/kernels/gatherBytes.ts";
import * as wasm from "../wasm/gatherBytes.ts";

/** Bytes that one float32 holds: whole numbers below 2^24 are exact in it, on every device. */
export const bytesPerNumber = 3;

/** Numbers in a packed table, at most: 64 MiB, half of what any GPU binds as one array. */
export const mostPacked = 2 ** 24;

/** How many rows of so many bytes one table can hold. */
export function rowsPerTable(bytesPerRow: number): number {
  return Math.max(1, Math.floor(mostPacked / Math.ceil(bytesPerRow / bytesPerNumber)));
}

/**
 * Rows of bytes as numbers that `gatherBytes` reads, [rows, ceil(bytesPerRow / 3)]: bytes a, b and c are the number
 * a + 256 b + 65536 c, and what a row lacks to a whole number is 0. ShapeError where bytes are left over.
 */
export function packBytes(bytes: Uint8Array, bytesPerRow: number): Float32Array<ArrayBuffer> {
  const rows = bytes.length / bytesPerRow;
  if (!Number.isInteger(rows)) {
    throw new ShapeError(`packBytes: ${bytes.length} bytes are no whole rows of ${bytesPerRow}`);
  }
  const width = Math.ceil(bytesPerRow / bytesPerNumber);
  const packed = new Float32Array(rows * width);
  const rest = bytesPerRow % bytesPerNumber;
  let to = 0;
  let from = 0;
  for (let row = 0; row < rows; row++) {
    for (let whole = bytesPerRow - rest, end = from + whole; from < end; from += bytesPerNumber) {
      packed[to++] = bytes[from]! + 256 * bytes[from + 1]! + 65536 * bytes[from + 2]!;
    }
    if (rest > 0) packed[to++] = bytes[from]! + (rest > 1 ? 256 * bytes[from + 1]! : 0);
    from += rest;
  }
  return packed;
}

interface Row {
  /** Bytes in a row. */
  readonly bytes: number;
}

const gatherPacked: Operation<Row> = {
  name: "gatherBytes",
  outputs: ([indices, values, ...tables], { bytes }) => {
    const width = Math.ceil(bytes / bytesPerNumber);
    checkFloats("gatherBytes", [values!, ...tables]);
    if (indices!.type !== "int") throw new ShapeError("gatherBytes: indices must be an int tensor, got floats");
    if (sizeOf(values!.shape) !== 256) {
      throw new ShapeError(`gatherBytes: needs the values of 256 bytes, got ${formatShape(values!.shape)}`);
    }
    for (const { shape } of tables) {
      if (shape.length === 2 && shape[1] === width) continue;
      throw new ShapeError(`gatherBytes: rows of ${bytes} bytes are [n, ${width}], got ${formatShape(shape)}`);
    }
    return [{ shape: [...indices!.shape, bytes], type: "float" }];
  },
  gradient: null,
  reference: ({ attributes: { bytes }, inputs }, [indices, values, ...tables], [to]) => {
    const width = Math.ceil(bytes / bytesPerNumber);
    const sizes = inputs.slice(2).map(({ shape }) => shape[0]!);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    indices!.forEach((index, i) => {
      if (!(index >= 0 && index < total)) {
        throw new RangeError(`gatherBytes: index ${index} is outside 0 to ${total - 1}`);
      }
      let [table, row] = [0, index];
      while (row >= sizes[table]!) row -= sizes[table++]!;
      for (let j = 0; j < bytes; j++) {
        const packed = tables[table]![row * width + Math.floor(j / bytesPerNumber)]!;
        to![i * bytes + j] = values![(packed >>> (8 * (j % bytesPerNumber))) & 255]!;
      }
    });
  },
  wasm: wasm.gatherPacked,
  gpu: gpu.gatherPacked,
};

/**
 * Looks up rows of bytes, as `packBytes` packs them, at each of `indices` (ints, any shape): [...indices, bytes], where
 * a byte b is `values[b]`. Rows are counted through all tables, which together may be larger than what a device takes
 * as one array. An index outside is a `RangeError`. There is no gradient: bytes are data.
 */
export function gatherBytes(tables: readonly Tensor[], indices: Tensor, values: Tensor, bytes: number): Tensor {
  if (tables.length === 0) throw new ShapeError("gatherBytes: needs at least one table, got none");
  return indices.runtime.run(gatherPacked, [indices, values, ...tables], { attributes: { bytes } })[0]!;
}
