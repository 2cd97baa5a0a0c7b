import { DeviceError } from "../../errors.ts";
import type { Call, Operation } from "../../ops/operation.ts";
import type { Backend, ElementType, ElementwiseCall, NumberArray, Storage } from "../backend.ts";
import { GpuDevice, type Numbers } from "./device.ts";
import { loadGpuJs, type Mode, modes } from "./gpujs.ts";
import { type ElementwisePass, elementwisePass } from "./kernels/elementwise.ts";
import { exactInts, type GpuPlan } from "./plan.ts";

const what: Readonly<Record<Mode, string>> = {
  cpu: "plain JavaScript on the processor, float32 storage",
  webasm: "WebAssembly on the processor, float32",
};

/**
 * The backend on gpu.js, which is loaded here and nowhere else. Throws DeviceError where gpu.js is missing, where it
 * does not know the mode, and where it runs another one than asked for.
 */
export async function createGpuBackend(mode: Mode | undefined): Promise<GpuBackend> {
  if (mode === undefined || !modes.includes(mode)) {
    throw new DeviceError(`gpu: the mode must be one of ${modes.join(", ")}, got ${JSON.stringify(mode)}`);
  }
  return new GpuBackend(new GpuDevice(await loadGpuJs(), mode));
}

class GpuStorage implements Storage {
  readonly type: ElementType;
  readonly length: number;
  /** `null` until something is written. */
  numbers: Numbers | null;

  constructor(type: ElementType, length: number, numbers: Numbers | null) {
    this.type = type;
    this.length = length;
    this.numbers = numbers;
  }
}

export class GpuBackend implements Backend {
  readonly name = "gpu";
  readonly description: string;
  /** As many inputs as a GPU binds arrays. */
  readonly fusion = { inputs: 7, cost: 64 };
  readonly #device: GpuDevice;
  readonly #loops = new Map<string, ElementwisePass>();
  readonly #plans = new Map<unknown, Map<string, GpuPlan>>();

  constructor(device: GpuDevice) {
    this.#device = device;
    this.description = `gpu: gpu.js in mode ${device.mode} (${what[device.mode]}, 1 thread)`;
  }

  /** How many kernels were compiled so far. */
  get compiled(): number {
    return this.#device.compiled;
  }

  hold(type: ElementType, values: ArrayLike<number>): Storage {
    const storage = this.allocate(type, values.length);
    this.write(storage, values);
    return storage;
  }

  variable(type: ElementType, values: ArrayLike<number>): Storage {
    return this.hold(type, values);
  }

  allocate(type: ElementType, length: number): Storage {
    return new GpuStorage(type, length, null);
  }

  /** In these modes results are ordinary arrays, which the garbage collector takes back. */
  reset(): void {}

  keep(storage: Storage): Storage {
    return new GpuStorage(storage.type, storage.length, numbersOf(storage));
  }

  async read(storage: Storage): Promise<NumberArray> {
    return this.readSync(storage);
  }

  readSync(storage: Storage): NumberArray {
    const numbers = this.#device.download(numbersOf(storage));
    return storage.type === "int" ? Int32Array.from(numbers) : numbers.slice();
  }

  write(storage: Storage, values: ArrayLike<number>): void {
    if (storage.type === "int") checkInts(values);
    (storage as GpuStorage).numbers = this.#device.upload(values);
  }

  elementwise({ expression, shape, inputs, inputShapes, scalars, output }: ElementwiseCall): void {
    const shapes = [shape, ...inputShapes].map((own) => own.join());
    const key = `${expression.id} ${scalars.length} ${shapes.join(";")}`;
    let loop = this.#loops.get(key);
    if (loop === undefined) {
      loop = elementwisePass(expression, shape, inputShapes, scalars.length);
      this.#loops.set(key, loop);
    }
    const { pass, names, constants } = loop;
    const numbers = constants.length === 0 ? scalars : [...scalars, ...constants];
    const name = "an elementwise operation";
    (output as GpuStorage).numbers = this.#device.launch(name, pass, inputs.map(numbersOf), names, numbers);
  }

  run<Attributes>(
    operation: Operation<Attributes>,
    call: Call<Attributes>,
    inputs: readonly Storage[],
    outputs: readonly Storage[],
  ): void {
    const { passes, results, numbers, indices } = this.#plan(operation, call);
    const given = inputs.map(numbersOf);
    if (indices !== undefined) checkIndices(indices, this.#device.download(given[indices.input]!));
    const scalars = numbers?.of(call.scalars) ?? [];
    const made: Numbers[] = [];
    for (const pass of passes) {
      const arrays = Object.values(pass.reads).map((from) => ("input" in from ? given[from.input]! : made[from.pass]!));
      made.push(this.#device.launch(operation.name, pass, arrays, numbers?.names ?? [], scalars));
    }
    const overwritten = (operation.overwrites ?? []).map((index) => inputs[index]!);
    [...outputs, ...overwritten].forEach((storage, i) => ((storage as GpuStorage).numbers = made[results[i]!]!));
  }

  /** The plan for a call, made once for its shapes, types and attributes. */
  #plan<Attributes>(operation: Operation<Attributes>, call: Call<Attributes>): GpuPlan {
    let plans = this.#plans.get(operation);
    if (plans === undefined) this.#plans.set(operation, (plans = new Map()));
    const inputs = call.inputs.map(({ shape, type }) => `${type}[${shape.join()}]`).join();
    const key = `${inputs} ${JSON.stringify(call.attributes)}`;
    let plan = plans.get(key);
    if (plan === undefined) {
      if (operation.gpu === undefined) {
        const { mode } = this.#device;
        throw new DeviceError(`gpu: mode ${mode} cannot do ${operation.name}: it has no kernel for gpu.js`);
      }
      plan = operation.gpu(call);
      plans.set(key, plan);
    }
    return plan;
  }

  close(): Promise<void> {
    return this.#device.close();
  }
}

function numbersOf(storage: Storage): Numbers {
  if (!(storage instanceof GpuStorage)) throw new DeviceError("gpu: got storage of another backend");
  if (storage.numbers === null) throw new DeviceError("gpu: got storage that nothing was written to");
  return storage.numbers;
}

/** Arrays on a GPU hold floats: ints that float32 does not hold are refused. */
function checkInts(values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]!) <= exactInts) continue;
    throw new DeviceError(`gpu: ints lie from -2^24 to 2^24 there, got ${values[i]}`);
  }
}

function checkIndices({ below, refuse }: NonNullable<GpuPlan["indices"]>, indices: Float32Array): void {
  for (const index of indices) if (index < 0 || index >= below) throw refuse(index);
}
