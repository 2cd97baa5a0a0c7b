import type { Expression } from "../expression.ts";
import type { Call, Operation } from "../ops/operation.ts";
import type { Shape } from "../shape.ts";

/** `float` is float32 (float64 on the reference backend when asked for); `int` is int32: labels, positions. */
export type ElementType = "float" | "int";

export type NumberArray = Float32Array | Float64Array | Int32Array;

export interface TensorSpec {
  readonly shape: Shape;
  readonly type: ElementType;
}

/** The numbers of one tensor, wherever a backend keeps them. Only the backend that made it looks inside. */
export interface Storage {
  readonly type: ElementType;
  readonly length: number;
}

/** One fused loop: `output[i] = expression(inputs..., scalars...)`, inputs stretched to the output's shape. */
export interface ElementwiseCall {
  readonly expression: Expression;
  readonly shape: Shape;
  readonly inputs: readonly Storage[];
  readonly inputShapes: readonly Shape[];
  readonly scalars: readonly number[];
  readonly output: Storage;
}

/**
 * A device: memory, and the power to run an expression or an operation's kernel on it. Storage comes in three kinds.
 * *Held* storage belongs to the garbage collector; *variables* live as long as the backend; *arena* storage is made by
 * `allocate` and gone at the next `reset`. Operations accept all three as inputs and write to arena storage, or to the
 * variables they say they overwrite.
 */
export interface Backend {
  readonly name: "reference" | "wasm" | "gpu";
  /** What really runs, for people: precision, threads, adapter. */
  readonly description: string;
  /**
   * Whether numbers travel to get there, and wait in line: what many steps read is then sent once and stays, and a
   * program looks at results now and then, not at every step.
   */
  readonly remote: boolean;
  /** How far expressions may grow before they are computed. */
  readonly fusion: { readonly inputs: number; readonly cost: number };

  hold(type: ElementType, values: ArrayLike<number>): Storage;
  variable(type: ElementType, values: ArrayLike<number>): Storage;
  /** Arena storage, not cleared. */
  allocate(type: ElementType, length: number): Storage;
  /** Empties the arena: all that `allocate` gave out is gone. */
  reset(): void;
  /** A held copy. */
  keep(storage: Storage): Storage;

  /** A copy of the numbers. */
  read(storage: Storage): Promise<NumberArray>;
  /** The same at once; a `DeviceError` where the device cannot. */
  readSync(storage: Storage): NumberArray;
  /** Overwrites a variable, or fills what `allocate` just gave. */
  write(storage: Storage, values: ArrayLike<number>): void;

  elementwise(call: ElementwiseCall): void;
  run<Attributes>(
    operation: Operation<Attributes>,
    call: Call<Attributes>,
    inputs: readonly Storage[],
    outputs: readonly Storage[],
  ): void;
  /** Ends workers and frees device memory. The backend cannot be used afterwards. */
  close(): Promise<void>;
}
