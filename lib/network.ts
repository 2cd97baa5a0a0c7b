/**
 * A network as plain data, so that a file can carry it. Activations are [batch, height, width, channels] (or
 * [batch, features]); convolution filters are [height, width, in, out] and dense matrices [in, out]; convolution is
 * cross-correlation. Flattening runs in height, width, channel order.
 */
export type Activation = "none" | "relu" | "leakyRelu" | "sigmoid" | "tanh";

export interface Convolution {
  readonly type: "convolution";
  /** Prefix of the tensor names: `<name>.weight` and `<name>.bias`. */
  readonly name: string;
  readonly filters: number;
  readonly kernel: readonly [height: number, width: number];
  readonly stride: readonly [vertical: number, horizontal: number];
  readonly padding: "valid" | "same";
  readonly bias: boolean;
  readonly activation: Activation;
}

export interface Dense {
  readonly type: "dense";
  readonly name: string;
  readonly units: number;
  readonly bias: boolean;
  readonly activation: Activation;
}

/** Square, VALID: a window that would cross the border is dropped. */
export interface MaxPool {
  readonly type: "maxPool";
  readonly size: number;
  readonly stride: number;
}

export interface Flatten {
  readonly type: "flatten";
}

/** Active in training only: keeps each value with probability `keep` and divides it by `keep`. */
export interface Dropout {
  readonly type: "dropout";
  readonly keep: number;
}

export type Layer = Convolution | Dense | MaxPool | Flatten | Dropout;

export interface Network {
  readonly name: string;
  readonly input: {
    readonly height: number;
    readonly width: number;
    readonly channels: number;
    /** A byte p enters the network as `(p - offset) * scale`. */
    readonly scale: number;
    readonly offset: number;
  };
  readonly layers: readonly Layer[];
  /** One name per output, in order. */
  readonly classes: readonly string[];
}
