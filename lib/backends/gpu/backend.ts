import { DeviceError } from "../../errors.ts";
import type { Call, Operation } from "../../ops/operation.ts";
import type { Backend, ElementType, ElementwiseCall, NumberArray, Storage } from "../backend.ts";
import { check, type Given, type GpuDevice, type Numbers } from "./device.ts";
import { type GpuJs, loadGpuJs, type Mode, modes } from "./gpujs.ts";
import { HostDevice } from "./hostDevice.ts";
import { type ElementwisePass, elementwisePass } from "./kernels/elementwise.ts";
import { exactInts, type GpuPlan } from "./plan.ts";
import { WebGlDevice } from "./webGlDevice.ts";
import { WebGpuDevice } from "./webGpuDevice.ts";

/**
 * The backend on gpu.js, which is loaded here and nowhere else. Throws DeviceError where gpu.js is missing, where it
 * does not know the mode or has nothing to run it on, and where it runs another one than asked for.
 */
export async function createGpuBackend(mode: Mode | undefined): Promise<GpuBackend> {
  if (mode === undefined || !modes.includes(mode)) {
    throw new DeviceError(`gpu: the mode must be one of ${modes.join(", ")}, got ${JSON.stringify(mode)}`);
  }
  const gpujs = await loadGpuJs();
  const device = await open(gpujs, mode);
  await check(device);
  return new GpuBackend(device);
}

function open(gpujs: GpuJs, mode: Mode): GpuDevice | Promise<GpuDevice> {
  if (mode === "webgpu") return WebGpuDevice.open(gpujs);
  return mode === "webgl2" ? new WebGlDevice(gpujs) : new HostDevice(gpujs, mode);
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
  readonly remote = true;
  /** As many inputs as a GPU binds arrays. */
  readonly fusion = { inputs: 7, cost: 64 };
  readonly #device: GpuDevice;
  readonly #loops = new Map<string, ElementwisePass>();
  readonly #plans = new Map<unknown, Map<string, GpuPlan>>();
  readonly #tables = new Map<() => Float32Array, Numbers>();
  /** What `allocate` gave out since the last `reset`. */
  readonly #arena: GpuStorage[] = [];
  /** How many arrays went to the device, with how many numbers, and how many came back. */
  readonly traffic = { uploads: 0, numbers: 0, reads: 0 };
  /** Uploaded ints that were looked at, and below what they all lie. */
  readonly #within = new WeakMap<Float32Array, number>();
  /** Gives back the numbers of held storage that the garbage collector has taken. */
  readonly #held = new FinalizationRegistry<Numbers>((numbers) => this.#device.release(numbers));

  constructor(device: GpuDevice) {
    this.#device = device;
    this.description = `gpu: gpu.js in mode ${device.mode} (${device.description})`;
  }

  /** How many kernels were compiled so far. */
  get compiled(): number {
    return this.#device.compiled;
  }

  /** How many arrays the device holds, in use or ready for use. */
  get buffers(): number {
    return this.#device.buffers;
  }

  hold(type: ElementType, values: ArrayLike<number>): Storage {
    return this.#hold(type, this.#upload(type, values));
  }

  #hold(type: ElementType, numbers: Numbers): Storage {
    const storage = new GpuStorage(type, numbers.length, numbers);
    this.#held.register(storage, numbers);
    return storage;
  }

  variable(type: ElementType, values: ArrayLike<number>): Storage {
    return new GpuStorage(type, values.length, this.#upload(type, values));
  }

  #upload(type: ElementType, values: ArrayLike<number>): Numbers {
    if (type === "int") checkInts(values);
    this.traffic.uploads += 1;
    this.traffic.numbers += values.length;
    return this.#device.upload(values, type === "int");
  }

  allocate(type: ElementType, length: number): Storage {
    const storage = new GpuStorage(type, length, null);
    this.#arena.push(storage);
    return storage;
  }

  /** Gives the numbers of the arena back, the last ones first, so that an equal step finds them again in order. */
  reset(): void {
    this.#device.flush();
    for (let storage = this.#arena.pop(); storage !== undefined; storage = this.#arena.pop()) this.#set(storage, null);
  }

  #set(storage: GpuStorage, numbers: Numbers | null): void {
    if (storage.numbers !== null) this.#device.release(storage.numbers);
    storage.numbers = numbers;
  }

  keep(storage: Storage): Storage {
    const numbers = numbersOf(storage);
    this.#device.keep(numbers);
    return this.#hold(storage.type, numbers);
  }

  async read(storage: Storage): Promise<NumberArray> {
    this.traffic.reads += 1;
    return copyOf(storage, await this.#device.read(numbersOf(storage)));
  }

  readSync(storage: Storage): NumberArray {
    const numbers = this.#device.look(numbersOf(storage));
    if (numbers !== null) return copyOf(storage, numbers);
    throw new DeviceError(`gpu: mode ${this.#device.mode} cannot read at once: await read() instead of readSync()`);
  }

  write(storage: Storage, values: ArrayLike<number>): void {
    this.#set(storage as GpuStorage, this.#upload(storage.type, values));
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
    const given = { names, words: [], values: constants.length === 0 ? scalars : [...scalars, ...constants] };
    const made = this.#device.launch("an elementwise operation", pass, inputs.map(numbersOf), given);
    this.#set(output as GpuStorage, made);
  }

  run<Attributes>(
    operation: Operation<Attributes>,
    call: Call<Attributes>,
    inputs: readonly Storage[],
    outputs: readonly Storage[],
  ): void {
    const { passes, results, numbers, words, indices } = this.#plan(operation, call);
    const from = inputs.map(numbersOf);
    if (indices !== undefined) this.#checkIndices(indices, this.#device.look(from[indices.input]!));
    const given: Given = {
      names: numbers?.names ?? [],
      words: words?.names ?? [],
      values: [...(numbers?.of(call.scalars) ?? []), ...(words?.of(call.words) ?? [])],
    };
    const made: Numbers[] = [];
    for (const pass of passes) {
      const arrays = Object.values(pass.reads).map((source) => {
        if ("input" in source) return from[source.input]!;
        return "pass" in source ? made[source.pass]! : this.#table(source.table);
      });
      made.push(this.#device.launch(operation.name, pass, arrays, given));
    }
    const overwritten = (operation.overwrites ?? []).map((index) => inputs[index]!);
    [...outputs, ...overwritten].forEach((storage, i) => this.#set(storage as GpuStorage, made[results[i]!]!));
    made.forEach((own, i) => !results.includes(i) && this.#device.release(own));
  }

  /**
   * Those that an operation found on a GPU are not at hand, and lie within: nothing computes with ints. Those that stay
   * on the device from step to step are looked at once.
   */
  #checkIndices({ below, refuse }: NonNullable<GpuPlan["indices"]>, indices: Float32Array | null): void {
    if (indices === null || (this.#within.get(indices) ?? Infinity) <= below) return;
    for (const index of indices) if (index < 0 || index >= below) throw refuse(index);
    this.#within.set(indices, below);
  }

  #table(make: () => Float32Array): Numbers {
    let table = this.#tables.get(make);
    if (table === undefined) this.#tables.set(make, (table = this.#device.upload(make(), false)));
    return table;
  }

  /** The plan for a call, made once for its shapes, types and attributes. */
  #plan<Attributes>(operation: Operation<Attributes>, call: Call<Attributes>): GpuPlan {
    let plans = this.#plans.get(operation);
    if (plans === undefined) this.#plans.set(operation, (plans = new Map()));
    const inputs = call.inputs.map(({ shape, type }) => `${type}[${shape.join()}]`).join();
    const key = `${inputs} ${JSON.stringify(call.attributes)}`;
    let plan = plans.get(key);
    if (plan === undefined) plans.set(key, (plan = operation.gpu(call)));
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

function copyOf({ type }: Storage, numbers: Float32Array): NumberArray {
  return type === "int" ? Int32Array.from(numbers) : numbers.slice();
}
