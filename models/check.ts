import { parametersOf } from "../lib/architectures.ts";
import { ShapeError } from "../lib/errors.ts";
import type { Network } from "../lib/network.ts";
import { equalShapes, formatShape } from "../lib/shape.ts";
import type { Weights } from "../lib/weights.ts";
import { checkDataset, type Dataset } from "./data/dataset.ts";

/**
 * Refuses weights that are not the network's: ShapeError for a wrong name or shape, or a number of values that is not
 * its shape's. RangeError where a value is not finite.
 */
export function checkWeights(network: Network, weights: Weights): void {
  const parameters = parametersOf(network);
  if (weights.length !== parameters.length) {
    throw new ShapeError(`${network.name}: has ${parameters.length} tensors, got weights of ${weights.length}`);
  }
  parameters.forEach(({ name, shape }, i) => {
    const found = weights[i]!;
    if (found.name !== name || !equalShapes(found.shape, shape)) {
      const got = `${found.name} ${formatShape(found.shape)}`;
      throw new ShapeError(`${network.name}: tensor ${i + 1} is ${name} ${formatShape(shape)}, got ${got}`);
    }
  });
  checkArrays(weights);
}

/** Refuses arrays whose values do not fill their shape (ShapeError) or are not finite (RangeError). */
export function checkArrays(arrays: Weights): void {
  for (const { name, shape, values } of arrays) {
    const size = shape.reduce((product, axis) => product * axis, 1);
    if (values.length !== size) {
      throw new ShapeError(`${name}: ${formatShape(shape)} needs ${size} values, got ${values.length}`);
    }
    const stray = values.findIndex((value) => !Number.isFinite(value));
    if (stray >= 0) throw new RangeError(`${name}: value ${stray} is ${values[stray]}, weights must be finite`);
  }
}

/** Refuses data that the network cannot take: ShapeError for another image size, DataError as `checkDataset`. */
export function checkFits(network: Network, data: Dataset): void {
  checkDataset(data);
  const { height, width, channels } = network.input;
  const found = [data.height, data.width, data.channels];
  if (!equalShapes(found, [height, width, channels])) {
    const wanted = formatShape([height, width, channels]);
    throw new ShapeError(`${network.name}: takes images ${wanted}, the data has ${formatShape(found)}`);
  }
  const outputs = network.classes.length;
  if (data.classes.length <= outputs) return;
  const stray = data.labels.findIndex((label) => label >= outputs);
  if (stray >= 0) {
    throw new RangeError(`${network.name}: has ${outputs} classes, image ${stray} has label ${data.labels[stray]}`);
  }
}

/** Refuses what is not a whole number from `least` to `most`. */
export function checkWhole(what: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`${what} must be a whole number from ${least} to ${most}, got ${value}`);
}
