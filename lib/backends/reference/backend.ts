import { exp, log } from "../../math.ts";
import { DeviceError } from "../../errors.ts";
import { type Expression, topological } from "../../expression.ts";
import type { Call, Operation } from "../../ops/operation.ts";
import { broadcastLoops } from "../../shape.ts";
import type { Backend, ElementType, ElementwiseCall, NumberArray, Storage } from "../backend.ts";

interface ReferenceStorage extends Storage {
  readonly data: NumberArray;
}

export type ReferencePrecision = "float32" | "float64";

/** Elements of one stretch of an elementwise loop: every node of the expression is computed for so many at a time. */
const stretch = 256;

/**
 * Plain loops with float64 sums over typed arrays: the text people read, and the oracle of the other backends. Floats
 * are stored as float32, or as float64 on request.
 */
export class ReferenceBackend implements Backend {
  readonly name = "reference";
  readonly description: string;
  readonly remote = false;
  readonly fusion = { inputs: 64, cost: 512 };
  private readonly arena: { float: Region; int: Region };
  private readonly precision: ReferencePrecision;

  constructor(precision: ReferencePrecision = "float32") {
    this.precision = precision;
    this.description = `reference (plain loops, ${precision} storage, float64 sums, 1 thread)`;
    this.arena = {
      float: new Region((length) => this.array("float", length)),
      int: new Region((length) => this.array("int", length)),
    };
  }

  private array(type: ElementType, length: number): NumberArray {
    if (type === "int") return new Int32Array(length);
    return this.precision === "float64" ? new Float64Array(length) : new Float32Array(length);
  }

  hold(type: ElementType, values: ArrayLike<number>): Storage {
    const data = this.array(type, values.length);
    data.set(values);
    return storage(type, data);
  }

  variable(type: ElementType, values: ArrayLike<number>): Storage {
    return this.hold(type, values);
  }

  allocate(type: ElementType, length: number): Storage {
    return storage(type, this.arena[type].take(length));
  }

  reset(): void {
    this.arena.float.clear();
    this.arena.int.clear();
  }

  keep(from: Storage): Storage {
    return storage(from.type, data(from).slice());
  }

  read(from: Storage): Promise<NumberArray> {
    return Promise.resolve(this.readSync(from));
  }

  readSync(from: Storage): NumberArray {
    return data(from).slice();
  }

  write(to: Storage, values: ArrayLike<number>): void {
    data(to).set(values);
  }

  /** Interprets the expression a stretch at a time: one short loop per node. */
  elementwise({ expression, shape, inputs, inputShapes, scalars, output }: ElementwiseCall): void {
    const nodes = topological(expression);
    const slots = new Map(nodes.map((node, i) => [node.id, i]));
    const values = nodes.map(() => new Float64Array(Math.min(stretch, output.length)));
    const cursors = inputs.map((_, i) => new Cursor(data(inputs[i]!), broadcastLoops(shape, [inputShapes[i]!])));
    const result = values[values.length - 1]!;
    const to = data(output);
    for (let start = 0; start < to.length; start += stretch) {
      const count = Math.min(stretch, to.length - start);
      nodes.forEach((node, i) => {
        if (node.kind === "input") cursors[node.index]!.fill(values[i]!, start, count);
        else if (node.kind === "constant") values[i]!.fill(node.value);
        else if (node.kind === "scalar") values[i]!.fill(scalars[node.index]!);
        else evaluate(node, node.operands.map((operand) => values[slots.get(operand.id)!]!), values[i]!, count);
      });
      for (let i = 0; i < count; i++) to[start + i] = result[i]!;
    }
  }

  run<Attributes>(
    operation: Operation<Attributes>,
    call: Call<Attributes>,
    inputs: readonly Storage[],
    outputs: readonly Storage[],
  ): void {
    operation.reference(call, inputs.map(data), outputs.map(data));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function storage(type: ElementType, numbers: NumberArray): ReferenceStorage {
  return { type, length: numbers.length, data: numbers };
}

function data(from: Storage): NumberArray {
  if (!("data" in from)) throw new DeviceError("reference: got storage of another backend");
  return (from as ReferenceStorage).data;
}

/** Memory that is handed out from the front and taken back all at once. */
class Region {
  private readonly make: (length: number) => NumberArray;
  private blocks: NumberArray[] = [];
  private block = 0;
  private used = 0;

  constructor(make: (length: number) => NumberArray) {
    this.make = make;
  }

  take(length: number): NumberArray {
    while (this.block < this.blocks.length && this.used + length > this.blocks[this.block]!.length) {
      this.block += 1;
      this.used = 0;
    }
    if (this.block === this.blocks.length) this.blocks.push(this.make(Math.max(length, 1 << 16)));
    const from = this.used;
    this.used += length;
    return this.blocks[this.block]!.subarray(from, from + length);
  }

  /** Several blocks become one of their total size, so that a repeated step settles on a single block. */
  clear(): void {
    if (this.blocks.length > 1) {
      this.blocks = [this.make(this.blocks.reduce((sum, { length }) => sum + length, 0))];
    }
    this.block = 0;
    this.used = 0;
  }
}

/** Reads one input in the order of the output, stretching it. */
class Cursor {
  private readonly data: NumberArray;
  private readonly sizes: readonly number[];
  private readonly strides: readonly number[];

  constructor(numbers: NumberArray, { sizes, strides }: ReturnType<typeof broadcastLoops>) {
    this.data = numbers;
    this.sizes = sizes;
    this.strides = strides[0]!;
  }

  fill(to: Float64Array, start: number, count: number): void {
    const { data: from, sizes, strides } = this;
    const inner = sizes.length - 1;
    for (let i = 0; i < count; ) {
      // The position `start + i` in mixed radix gives the offset; the innermost loop is walked without dividing.
      let rest = start + i;
      let offset = 0;
      let within = 0;
      for (let loop = inner; loop >= 0; loop--) {
        const at = rest % sizes[loop]!;
        rest = (rest - at) / sizes[loop]!;
        offset += at * strides[loop]!;
        if (loop === inner) within = at;
      }
      const run = Math.min(count - i, sizes[inner]! - within);
      for (let j = 0; j < run; j++) to[i + j] = from[offset + j * strides[inner]!]!;
      i += run;
    }
  }
}

function evaluate(node: Expression, operands: readonly Float64Array[], to: Float64Array, count: number): void {
  const [x, y, z] = operands as [Float64Array, Float64Array, Float64Array];
  switch (node.kind) {
    case "add":
      for (let i = 0; i < count; i++) to[i] = x[i]! + y[i]!;
      break;
    case "subtract":
      for (let i = 0; i < count; i++) to[i] = x[i]! - y[i]!;
      break;
    case "multiply":
      for (let i = 0; i < count; i++) to[i] = x[i]! * y[i]!;
      break;
    case "divide":
      for (let i = 0; i < count; i++) to[i] = x[i]! / y[i]!;
      break;
    case "minimum":
      for (let i = 0; i < count; i++) to[i] = Math.min(x[i]!, y[i]!);
      break;
    case "maximum":
      for (let i = 0; i < count; i++) to[i] = Math.max(x[i]!, y[i]!);
      break;
    case "less":
      for (let i = 0; i < count; i++) to[i] = x[i]! < y[i]! ? 1 : 0;
      break;
    case "lessOrEqual":
      for (let i = 0; i < count; i++) to[i] = x[i]! <= y[i]! ? 1 : 0;
      break;
    case "equal":
      for (let i = 0; i < count; i++) to[i] = x[i]! === y[i]! ? 1 : 0;
      break;
    case "select":
      for (let i = 0; i < count; i++) to[i] = x[i]! !== 0 ? y[i]! : z[i]!;
      break;
    case "exp":
      for (let i = 0; i < count; i++) to[i] = exp(x[i]!);
      break;
    case "log":
      for (let i = 0; i < count; i++) to[i] = log(x[i]!);
      break;
    case "squareRoot":
      for (let i = 0; i < count; i++) to[i] = Math.sqrt(x[i]!);
      break;
    case "round":
      for (let i = 0; i < count; i++) to[i] = roundHalfEven(x[i]!);
      break;
    case "input":
    case "constant":
    case "scalar":
      break;
  }
}

/** The nearest whole number, halves to the even one. */
export function roundHalfEven(x: number): number {
  // Adding and taking away 2^52 rounds to whole numbers by IEEE 754's own rule; from 2^52 up all numbers are whole.
  const size = Math.abs(x);
  if (!(size < 4503599627370496)) return x;
  const rounded = size + 4503599627370496 - 4503599627370496;
  return x < 0 || Object.is(x, -0) ? -rounded : rounded;
}
