import { ShapeError } from "../../lib/errors.ts";

/**
 * Batch normalisation as it is applied after training, per unit: y = gamma (h - mean) / sqrt(variance + epsilon) +
 * beta. One number per unit in each array.
 */
export interface BatchNorm {
  readonly gamma: ArrayLike<number>;
  readonly beta: ArrayLike<number>;
  readonly mean: ArrayLike<number>;
  readonly variance: ArrayLike<number>;
  /** Default: 1e-3, as in Keras. */
  readonly epsilon?: number;
}

/** The same as y = scale h + shift. */
export interface Affine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/** A layer's numbers: weights [positions, sources, units] (filters and dense matrices lie so in memory) and biases. */
export interface LayerNumbers {
  readonly weights: Float32Array;
  /** [units]. */
  readonly bias: Float32Array;
}

/**
 * scale = gamma / sqrt(variance + epsilon), shift = beta - mean scale. Throws ShapeError for arrays of different
 * lengths, RangeError where a number is not finite or a variance plus epsilon is not above 0.
 */
export function affineOf({ gamma, beta, mean, variance, epsilon = 1e-3 }: BatchNorm): Affine {
  const units = gamma.length;
  for (const [name, { length }] of Object.entries({ beta, mean, variance })) {
    if (length !== units) throw new ShapeError(`batch norm: ${units} of gamma need as many of ${name}, got ${length}`);
  }
  const scale = new Float64Array(units);
  const shift = new Float64Array(units);
  for (let u = 0; u < units; u++) {
    const spread = variance[u]! + epsilon;
    if (!(spread > 0)) {
      throw new RangeError(`batch norm: variance + epsilon of unit ${u} must be above 0, got ${spread}`);
    }
    scale[u] = gamma[u]! / Math.sqrt(spread);
    shift[u] = beta[u]! - mean[u]! * scale[u]!;
    if (!Number.isFinite(scale[u]) || !Number.isFinite(shift[u])) {
      throw new RangeError(`batch norm: the numbers of unit ${u} must be finite`);
    }
  }
  return { scale, shift };
}

/**
 * Folds a normalisation into the layer before it, where nothing stands between the two (the activation comes after):
 * w' = w scale, b' = b scale + shift. Exact for every layer. Throws ShapeError when the numbers of units differ.
 */
export function foldIntoPrevious({ weights, bias }: LayerNumbers, norm: Affine): LayerNumbers {
  const units = checkUnits("previous", bias.length, weights.length, norm);
  return {
    weights: weights.map((weight, at) => weight * norm.scale[at % units]!),
    bias: bias.map((value, u) => value * norm.scale[u]! + norm.shift[u]!),
  };
}

export interface NextLayer {
  /** Units of the layer after the normalisation. */
  readonly units: number;
  /** Whether that is a convolution that reads zeros beyond the border. */
  readonly padded?: boolean;
  /** Whether a maximum stands between the normalisation and that layer, and so changes places with it. */
  readonly pooled?: boolean;
}

/**
 * Folds a normalisation into the layer after it, where an activation stands before it: the weights of source i are
 * multiplied by its scale, and b' = b + sum over positions and sources of shift w. Throws RangeError where this would
 * not be exact: a shift other than 0 before zero padding (borders do not have it), and a scale that is not above 0
 * before pooling (the maximum would be another). Throws ShapeError when the sources are not those of the normalisation.
 */
export function foldIntoNext({ weights, bias }: LayerNumbers, norm: Affine, next: NextLayer): LayerNumbers {
  const { units, padded = false, pooled = false } = next;
  const sources = norm.scale.length;
  if (bias.length !== units || weights.length % (sources * units) !== 0) {
    throw new ShapeError(
      `batch norm: the next layer needs ${units} biases and a multiple of ${sources} x ${units} weights, ` +
        `got ${bias.length} and ${weights.length}`,
    );
  }
  const shifted = norm.shift.findIndex((shift) => shift !== 0);
  if (padded && shifted >= 0) {
    throw new RangeError(`batch norm: unit ${shifted} is shifted, and zero padding is not`);
  }
  const turned = norm.scale.findIndex((scale) => !(scale > 0));
  if (pooled && turned >= 0) {
    throw new RangeError(`batch norm: unit ${turned} has the scale ${norm.scale[turned]}; a maximum needs one above 0`);
  }
  const sums = Float64Array.from(bias);
  const folded = weights.map((weight, at) => {
    const source = Math.floor(at / units) % sources;
    sums[at % units]! += norm.shift[source]! * weight;
    return weight * norm.scale[source]!;
  });
  return { weights: folded, bias: Float32Array.from(sums) };
}

function checkUnits(which: string, biases: number, weights: number, { scale }: Affine): number {
  const units = scale.length;
  if (biases !== units || weights % units !== 0) {
    throw new ShapeError(
      `batch norm: the ${which} layer must have ${units} units, got ${biases} biases and ${weights} weights`,
    );
  }
  return units;
}
