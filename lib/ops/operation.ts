import type { NumberArray, TensorSpec } from "../backends/backend.ts";
import type { GpuKernel } from "../backends/gpu/plan.ts";
import { ShapeError } from "../errors.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { WasmKernel } from "../wasm/launch.ts";

/** What a kernel is told besides its numbers. */
export interface Call<Attributes> {
  /** Part of the operation's meaning, with the shapes: kernels may be specialised to them. */
  readonly attributes: Attributes;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Numbers that change from call to call (learning rate): never specialised to. */
  readonly scalars: readonly number[];
  /** The same for 32-bit words (random keys, counters). */
  readonly words: readonly number[];
}

/** Plain loops with float64 sums: the text people read, and the oracle of the other backends. */
export type ReferenceKernel<Attributes> = (
  call: Call<Attributes>,
  inputs: readonly NumberArray[],
  outputs: readonly NumberArray[],
) => void;

export interface GradientCall<Attributes> {
  readonly attributes: Attributes;
  readonly inputs: readonly Tensor[];
  /** All outputs of the forward call, saved ones included. */
  readonly outputs: readonly Tensor[];
  /** Gradient of the loss with respect to `outputs[0]`, of its shape. */
  readonly dy: Tensor;
  /** Which inputs the loss is differentiated through: for the others nothing need be computed. */
  readonly needs: readonly boolean[];
}

/**
 * A structured operation: definition, gradient and one kernel per backend, side by side. `outputs[0]` is the result;
 * further outputs are saved for the gradient and carry none themselves.
 */
export interface Operation<Attributes> {
  readonly name: string;
  /** The shape rule. Throws `ShapeError` where shapes do not meet. */
  readonly outputs: (inputs: readonly TensorSpec[], attributes: Attributes) => readonly TensorSpec[];
  /**
   * One entry per input: its gradient, of its shape, or `null` where there is none or none is needed. `null` as a whole
   * for an operation that is not differentiated (updates, draws, gradient kernels).
   */
  readonly gradient: ((call: GradientCall<Attributes>) => readonly (Tensor | null)[]) | null;
  /** Inputs that the kernel overwrites in place: variables. */
  readonly overwrites?: readonly number[];
  readonly reference: ReferenceKernel<Attributes>;
  readonly wasm: WasmKernel<Attributes>;
  readonly gpu: GpuKernel<Attributes>;
}

/** Refuses int tensors among what an operation computes with: kernels read the bits of floats. */
export function checkFloats(name: string, inputs: readonly TensorSpec[]): void {
  for (const { shape, type } of inputs) {
    if (type !== "float") throw new ShapeError(`${name}: needs floats, got an int tensor ${formatShape(shape)}`);
  }
}
