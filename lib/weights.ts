/**
 * The currency of training and evaluation: the arrays of a network, named and in order. Plain data: it can be cloned,
 * sent to a worker, compared and hashed without the runtime.
 */
export interface NamedArray {
  readonly name: string;
  readonly shape: readonly number[];
  /** Row-major; as many as the product of `shape`. */
  readonly values: Float32Array;
}

export type Weights = readonly NamedArray[];
