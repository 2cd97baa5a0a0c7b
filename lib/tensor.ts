import type { ElementType, NumberArray, Storage } from "./backends/backend.ts";
import type { Expression } from "./expression.ts";
import type { Runtime } from "./runtime.ts";
import { copyInto } from "./ops/update.ts";
import type { Shape } from "./shape.ts";

/** An elementwise result whose numbers nobody has needed yet. Its inputs all have storage. */
export interface Pending {
  readonly expression: Expression;
  readonly inputs: readonly Tensor[];
  readonly scalars: readonly number[];
  /** Whether one consumer already took the expression over: the next one has it computed. */
  taken: boolean;
}

/** How a tensor was made: its place on the tape. */
export interface Entry {
  readonly name: string;
  /** Rises with every operation of a runtime. */
  readonly sequence: number;
  readonly inputs: readonly Tensor[];
  /** Gradients for the inputs in `needs`, given the gradient of the output. */
  readonly gradient: (dy: Tensor, needs: readonly boolean[]) => readonly (Tensor | null)[];
}

/**
 * Numbers with a shape. A tensor made inside `runtime.step` lives until that step ends; one made outside, or returned
 * from a step, belongs to the garbage collector. Tensors are never changed; variables are, by `assign` and optimizers.
 */
export class Tensor {
  readonly runtime: Runtime;
  readonly shape: Shape;
  readonly type: ElementType;
  /** The step it lives in; 0 when it outlives steps. @internal */
  readonly generation: number;
  /** @internal */
  storage: Storage | null;
  /** @internal */
  pending: Pending | null;
  /** @internal */
  entry: Entry | null = null;

  /** @internal Tensors come from a runtime and from operations. */
  constructor(
    runtime: Runtime,
    shape: Shape,
    type: ElementType,
    generation: number,
    storage: Storage | null,
    pending: Pending | null,
  ) {
    this.runtime = runtime;
    this.shape = shape;
    this.type = type;
    this.generation = generation;
    this.storage = storage;
    this.pending = pending;
  }

  /** A copy of the numbers as they are at the call, row-major. */
  async read(): Promise<NumberArray> {
    return this.runtime.backend.read(this.runtime.materialise(this));
  }

  /** The same without waiting. Throws `DeviceError` on a device that can only be read asynchronously. */
  readSync(): NumberArray {
    return this.runtime.backend.readSync(this.runtime.materialise(this));
  }
}

/** A tensor that outlives steps and can be overwritten: parameters, moments. */
export class Variable extends Tensor {
  readonly name: string;
  /** Sequence number of the last overwrite. @internal */
  overwritten = 0;

  /** @internal Made by `runtime.variable`. */
  constructor(runtime: Runtime, name: string, shape: Shape, type: ElementType, storage: Storage) {
    super(runtime, shape, type, 0, storage, null);
    this.name = name;
  }

  /** Overwrites all numbers. Pending expressions that read the variable are computed first, with the old ones. */
  assign(values: ArrayLike<number> | Tensor): void {
    if (values instanceof Tensor) this.runtime.run(copyInto, [this, values], { attributes: {} });
    else this.runtime.assign(this, values);
  }
}
