/**
 * How tensors of weights are looked at by the methods that know of units: as grids [height, width, inputs, outputs].
 * Format: section 7.7.
 */
export interface Grid {
  readonly kind: "spatial" | "dense" | "bias";
  readonly height: number;
  readonly width: number;
  readonly inputs: number;
  readonly outputs: number;
  /** How many numbers it has: the product of the four. */
  readonly size: number;
}

/** The grids of tensors of these shapes, in the order of a network. RangeError for a shape that is none. */
export function gridsOf(shapes: readonly (readonly number[])[]): Grid[] {
  let before = 1;
  return shapes.map((shape) => {
    const size = shape.reduce((product, n) => product * n, 1);
    if (shape.length < 1 || !shape.every((n) => Number.isInteger(n) && n >= 1) || size > 2 ** 26) {
      throw new RangeError(`grid: axes have sizes from 1, at most 2^26 numbers in all, got [${shape.join(", ")}]`);
    }
    const outputs = shape.at(-1)!;
    // "One axis: a bias."
    if (shape.length === 1) return { kind: "bias", height: 1, width: 1, inputs: 1, outputs, size };
    let [height, width, inputs] = [1, 1, size / outputs];
    if (shape.length === 4) {
      [height, width, inputs] = shape as [number, number, number];
    } else {
      // "Otherwise, if the inputs make a square image with as many channels as there were outputs before, that image."
      let side = 1;
      while (side * side * before < inputs) side += 1;
      if (side * side * before === inputs) [height, width, inputs] = [side, side, before];
    }
    before = outputs;
    return { kind: height * width > 1 ? "spatial" : "dense", height, width, inputs, outputs, size };
  });
}
