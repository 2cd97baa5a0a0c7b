import type { Backend, ElementType, Storage } from "./backends/backend.ts";
import { DeviceError, ShapeError } from "./errors.ts";
import type { Operation } from "./ops/operation.ts";
import { checkShape, formatShape, type Shape, sizeOf } from "./shape.ts";
import { Tensor, Variable } from "./tensor.ts";

/** Settings of one call of an operation, besides its inputs. */
export interface Settings<Attributes> {
  readonly attributes: Attributes;
  readonly scalars?: readonly number[];
  readonly words?: readonly number[];
}

const none: readonly never[] = [];

/**
 * Runs operations on one device. There is no global state: tensors remember their runtime, and operations run where
 * their inputs live. Made by `createRuntime`.
 */
export class Runtime {
  readonly backend: Backend;
  /** Rises with every operation and overwrite. */
  private sequence = 0;
  /** The running step's number, or 0 outside. */
  private current = 0;
  private steps = 0;
  /** Elementwise results of the running step that may still be pending. */
  private deferred: Tensor[] = [];
  private recording = true;
  /** By rank. */
  private readonly ones: Tensor[] = [];

  /** @internal */
  constructor(backend: Backend) {
    this.backend = backend;
  }

  /** The device that really runs: `reference`, `wasm` or `gpu`. */
  get device(): Backend["name"] {
    return this.backend.name;
  }

  /** The same with its particulars: precision, threads, adapter. */
  get description(): string {
    return this.backend.description;
  }

  /**
   * Whether numbers travel to the device and wait in line there. Data that many steps read is then best made a variable
   * once, and results are best looked at now and then.
   */
  get remote(): boolean {
    return this.backend.remote;
  }

  /** Whether a step is running. */
  get stepping(): boolean {
    return this.current !== 0;
  }

  /** A tensor with a copy of `values`, row-major. Int32Arrays give `int` tensors, everything else `float`. */
  tensor(values: ArrayLike<number> | number, shape?: Shape): Tensor {
    const list = typeof values === "number" ? [values] : values;
    const type: ElementType = list instanceof Int32Array ? "int" : "float";
    const resolved = shape ?? (typeof values === "number" ? [] : [list.length]);
    this.checkValues("tensor", list, resolved);
    if (this.current === 0) return new Tensor(this, resolved, type, 0, this.backend.hold(type, list), null);
    const storage = this.backend.allocate(type, list.length);
    this.backend.write(storage, list);
    return new Tensor(this, resolved, type, this.current, storage, null);
  }

  /** 1 under a shape of one element. It is made once: every gradient begins there. @internal */
  one(shape: Shape): Tensor {
    return (this.ones[shape.length] ??= new Tensor(this, shape, "float", 0, this.backend.hold("float", [1]), null));
  }

  /** A variable with a copy of `values`, row-major. It lives as long as the runtime, also when made inside a step. */
  variable(values: ArrayLike<number>, shape: Shape, name = "variable"): Variable {
    this.checkValues(name, values, shape);
    const type: ElementType = values instanceof Int32Array ? "int" : "float";
    return new Variable(this, name, shape, type, this.backend.variable(type, values));
  }

  private checkValues(name: string, values: ArrayLike<number>, shape: Shape): void {
    checkShape(name, shape);
    if (values.length !== sizeOf(shape)) {
      throw new ShapeError(`${name}: ${formatShape(shape)} needs ${sizeOf(shape)} values, got ${values.length}`);
    }
  }

  /**
   * Runs `body` with an arena under it: every tensor made inside lives there and is gone when it ends. What `body`
   * returns (a tensor, or an array or plain object of them) is copied out first. `body` is synchronous.
   */
  step<Result>(body: () => Result): Result {
    if (this.current !== 0) throw new DeviceError("step: a step is already running, and steps do not nest");
    this.current = ++this.steps;
    try {
      const result = body();
      if (result instanceof Promise) {
        // It goes on without its step and may fail too; this error is the one to report.
        result.catch(() => {});
        throw new DeviceError("step: the callback must be synchronous, got one that returns a promise");
      }
      return this.copyOut(result) as Result;
    } finally {
      this.deferred.length = 0;
      this.current = 0;
      this.backend.reset();
    }
  }

  private copyOut(value: unknown): unknown {
    if (value instanceof Tensor) {
      if (value.generation === 0) return value;
      return new Tensor(this, value.shape, value.type, 0, this.backend.keep(this.materialise(value)), null);
    }
    if (Array.isArray(value)) return value.map((item) => this.copyOut(item));
    if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.copyOut(item)]));
    }
    return value;
  }

  /** Ends the device's workers and frees its memory. Only needed before the program's end. */
  close(): Promise<void> {
    return this.backend.close();
  }

  /** Runs `body` without recording on the tape. @internal */
  unrecorded<Result>(body: () => Result): Result {
    const before = this.recording;
    this.recording = false;
    try {
      return body();
    } finally {
      this.recording = before;
    }
  }

  /** Refuses tensors of another runtime and of a step that has ended. @internal */
  check(name: string, tensor: Tensor): void {
    if (tensor.runtime !== this) throw new DeviceError(`${name}: got tensors of two runtimes`);
    if (tensor.generation !== 0 && tensor.generation !== this.current) {
      const found = `a tensor ${formatShape(tensor.shape)} of a step that has ended`;
      throw new DeviceError(`${name}: got ${found}; return it from the step to keep it`);
    }
  }

  /** The numbers of `tensor`, computed now if its expression was pending. @internal */
  materialise(tensor: Tensor): Storage {
    this.check("read", tensor);
    if (tensor.storage !== null) return tensor.storage;
    const { expression, inputs, scalars } = tensor.pending!;
    const output = this.backend.allocate(tensor.type, sizeOf(tensor.shape));
    this.backend.elementwise({
      expression,
      shape: tensor.shape,
      inputs: inputs.map((input) => input.storage!),
      inputShapes: inputs.map((input) => input.shape),
      scalars,
      output,
    });
    tensor.storage = output;
    tensor.pending = null;
    return output;
  }

  /**
   * A new elementwise result. Inside a step it stays pending; outside there is nobody to say how long an expression
   * may wait, so it is computed at once. @internal
   */
  defer(tensorOf: (generation: number) => Tensor): Tensor {
    if (this.current !== 0) {
      const tensor = tensorOf(this.current);
      this.deferred.push(tensor);
      return tensor;
    }
    return this.briefly(() => {
      const tensor = tensorOf(0);
      tensor.storage = this.backend.keep(this.materialise(tensor));
      return tensor;
    });
  }

  /** Outside a step every operation is a step of its own. */
  private briefly<Result>(body: () => Result): Result {
    try {
      return body();
    } finally {
      if (this.current === 0) this.backend.reset();
    }
  }

  /** The next place on the tape, or `null` when nothing is recorded. @internal */
  place(): number | null {
    this.sequence += 1;
    return this.recording ? this.sequence : null;
  }

  /**
   * A tensor with the numbers of `tensor` under another shape of the same size. It shares them, but for those of a
   * variable: a variable may change, a tensor never does. @internal
   */
  view(tensor: Tensor, shape: Shape): Tensor {
    const shared = this.materialise(tensor);
    const storage = tensor instanceof Variable ? this.backend.keep(shared) : shared;
    return new Tensor(this, shape, tensor.type, tensor.generation, storage, null);
  }

  /** Runs a structured operation and records it. Returns all outputs. @internal */
  run<Attributes>(
    operation: Operation<Attributes>,
    inputs: readonly Tensor[],
    { attributes, scalars = none, words = none }: Settings<Attributes>,
  ): readonly Tensor[] {
    const { name, gradient, overwrites } = operation;
    for (const tensor of inputs) this.check(name, tensor);
    const specs = operation.outputs(inputs, attributes);
    const sequence = this.place();
    for (const index of overwrites ?? none) this.overwrite(name, inputs[index]!);

    const outputs = this.briefly(() => {
      const from = inputs.map((tensor) => this.materialise(tensor));
      const to = specs.map(({ type, shape }) => this.backend.allocate(type, sizeOf(shape)));
      this.backend.run(operation, { attributes, inputs, outputs: specs, scalars, words }, from, to);
      return specs.map(({ shape, type }, i) => {
        const storage = this.current === 0 ? this.backend.keep(to[i]!) : to[i]!;
        return new Tensor(this, shape, type, this.current, storage, null);
      });
    });
    if (sequence !== null && gradient !== null && outputs.length > 0) {
      outputs[0]!.entry = {
        name,
        sequence,
        inputs,
        gradient: (dy, needs) => gradient({ attributes, inputs, outputs, dy, needs }),
      };
    }
    return outputs;
  }

  /** @internal */
  assign(variable: Variable, values: ArrayLike<number>): void {
    this.checkValues(variable.name, values, variable.shape);
    this.sequence += 1;
    this.overwrite("assign", variable);
    this.backend.write(variable.storage!, values);
  }

  /** Before `tensor` changes: computes every pending expression that reads its numbers. */
  private overwrite(name: string, tensor: Tensor): void {
    if (!(tensor instanceof Variable)) throw new DeviceError(`${name}: only variables are overwritten, got a tensor`);
    tensor.overwritten = this.sequence;
    for (const reader of this.deferred) {
      if (reader.pending?.inputs.some((input) => input.storage === tensor.storage)) this.materialise(reader);
    }
    this.deferred = this.deferred.filter((reader) => reader.pending !== null);
  }
}
