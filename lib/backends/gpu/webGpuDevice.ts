// The mode of gpu.js that runs on a GPU. Numbers are buffers of ours, which kernels are made to read and to write;
// compiling and reading take their time, everything else happens in the order in which it was asked for: kernels are
// collected in lists, which go to the device when a step ends, somebody reads, or one is full.

import { DeviceError } from "../../errors.ts";
import { type Built, type Command, commandOf, Commands, fillBlock } from "./commands.ts";
import { type Given, type GpuDevice, kernelOf, lengthOf, type Numbers, openGpu, trial } from "./device.ts";
import type { Gpu, GpuJs, KernelSettings, WebGpuKernel } from "./gpujs.ts";
import type { Pass } from "./plan.ts";
import { forReading, type GpuBuffer, nameOf, provideWebGpu, staging, storage, type WebGpu } from "./webgpu.ts";

interface Buffered extends Numbers {
  readonly buffer: GpuBuffer;
  /** What was uploaded, if that must be looked at. */
  readonly watched: Float32Array | null;
  owners: number;
}

/** A text that gpu.js compiles. */
interface Compiled {
  readonly inside: WebGpuKernel["kernel"];
  readonly building: Promise<void>;
  /** Whether its own buffer is gone and it takes ours: a little later than gpu.js has built it. */
  ready: boolean;
}

/** A pass, on arrays of its own sizes. */
interface Launchable {
  readonly compiled: Compiled;
  /** Made at the first call, unless gpu.js sends every kernel by itself. */
  command: Command | null;
}

interface Task {
  readonly compiled: Compiled | null;
  readonly run: () => void;
}

export class WebGpuDevice implements GpuDevice {
  readonly mode = "webgpu";
  readonly #gpujs: GpuJs;
  readonly #gpu: Gpu;
  readonly #context: WebGpu;
  /** Bytes of one array. */
  readonly #limit: number;
  readonly #kernels = new Map<Pass, Launchable>();
  /** In lists: texts that are alike but for the sizes of arrays, which are given at each call, are compiled once. */
  readonly #compiled = new Map<string, Compiled>();
  /** Buffers that nobody owns, by size. A step takes what the step before it gave back: memory does not grow. */
  readonly #free = new Map<number, GpuBuffer[]>();
  readonly #all = new Set<GpuBuffer>();
  /** What is sent at the next flush, or null where gpu.js sends each kernel by itself. */
  #commands: Commands | null = null;
  /** What waits for a kernel to be compiled, in order. */
  readonly #waiting: Task[] = [];
  #draining: Promise<void> | null = null;
  /** Why nothing works any more, or null. */
  #failure: DeviceError | null = null;

  /** What the device says when it refuses something. */
  readonly #hear = ({ error }: { readonly error: { readonly message: string } }): void => void this.#refused(error);

  /** Throws DeviceError where there is no WebGPU, no adapter, or no such mode. */
  static async open(gpujs: GpuJs): Promise<WebGpuDevice> {
    await provideWebGpu();
    let context: WebGpu;
    try {
      context = await gpujs.WebGPUContext.acquire();
    } catch (cause) {
      throw new DeviceError("gpu: mode webgpu finds no adapter: there is no GPU, or no driver for it", { cause });
    }
    const device = new WebGpuDevice(gpujs, context);
    await device.#prove();
    return device;
  }

  private constructor(gpujs: GpuJs, context: WebGpu) {
    this.#gpujs = gpujs;
    this.#context = context;
    this.#gpu = openGpu(gpujs, { mode: this.mode });
    const { maxStorageBufferBindingSize, maxBufferSize } = context.device.limits;
    this.#limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    void context.device.lost.then(({ reason, message }) => {
      this.#failure ??= new DeviceError(`gpu: the device was lost (mode webgpu, ${reason}): ${message}`);
    });
  }

  /**
   * Sends one kernel in gpu.js's way and in ours, which needs what gpu.js keeps to itself. Lists are made only if the
   * same numbers go to the device, nothing is refused, and the same comes back.
   */
  async #prove(): Promise<void> {
    const { device } = this.#context;
    const x = this.upload([1, 2], false);
    const given = { names: ["y"], words: [], values: [0.5] };
    const alone = this.launch("a trial", trial, [x], given);
    const want = await this.read(alone);
    let isProven = true;
    const refuse = (): void => void (isProven = false);
    device.addEventListener("uncapturederror", refuse);
    try {
      const built = this.#kernels.get(trial)!.compiled.inside as unknown as Built;
      const command = commandOf(built, trial.threads, [x.length]);
      const block = new Int32Array(command.block.length);
      fillBlock(command, given.values, new Float32Array(block.buffer), block);
      if (block.join() !== new Int32Array(built.paramsMirror).join()) refuse();
      this.#commands = new Commands(this.#context);
      const listed = this.launch("a trial", trial, [x], given);
      const got = await this.read(listed);
      this.release(listed);
      // Dawn's null adapter computes nothing, and reads back whatever lay there.
      const isRight = ([first, second]: Float32Array): boolean => first === 1.5 && second === 2.5;
      if (isRight(want) && !isRight(got)) refuse();
    } catch {
      refuse();
    }
    if (!isProven) this.#commands = null;
    device.removeEventListener("uncapturederror", refuse);
    device.addEventListener("uncapturederror", this.#hear);
    this.release(alone);
    this.release(x);
  }

  get description(): string {
    const limit = `arrays of up to ${Math.floor(this.#limit / 2 ** 20)} MiB`;
    return `adapter ${nameOf(this.#context)}; ${limit}${this.#commands === null ? "; every kernel sent alone" : ""}`;
  }

  get compiled(): number {
    return this.#kernels.size;
  }

  get buffers(): number {
    return this.#all.size;
  }

  upload(values: ArrayLike<number>, watched: boolean): Numbers {
    // Nobody knows what the caller does with its array before a waiting upload is done.
    const isSafe = !watched && values instanceof Float32Array && this.#waiting.length === 0;
    const own = isSafe ? values : new Float32Array(values);
    const numbers = this.#take("an upload", own.length, watched ? own : null);
    this.#order(null, () => {
      const { buffer } = numbers;
      if (this.#commands?.uses(buffer) === true) this.#commands.flush();
      this.#context.device.queue.writeBuffer(buffer, 0, own);
    });
    return numbers;
  }

  #take(name: string, length: number, watched: Float32Array | null): Buffered {
    this.#check();
    this.#checkSize(name, length);
    const size = 4 * length;
    let buffer = this.#free.get(size)?.pop();
    if (buffer === undefined) {
      buffer = this.#context.device.createBuffer({ size, usage: storage });
      this.#all.add(buffer);
    }
    return { length, buffer, watched, owners: 1 };
  }

  /** Numbers as gpu.js takes them. */
  #argument({ buffer, length }: Buffered): object {
    return new this.#gpujs.WebGPUBufferResult({ buffer, output: [length], componentCount: 1, context: this.#context });
  }

  #checkSize(name: string, length: number): void {
    if (4 * length <= this.#limit) return;
    const found = `${length} numbers take ${4 * length} bytes, and the adapter takes ${this.#limit} at a time`;
    throw new DeviceError(`gpu: mode ${this.mode} cannot do ${name}: ${found}`);
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  look(numbers: Numbers): Float32Array | null {
    return (numbers as Buffered).watched;
  }

  async read(numbers: Numbers): Promise<Float32Array> {
    this.#check();
    const { buffer: from } = numbers as Buffered;
    const { device } = this.#context;
    const to = device.createBuffer({ size: from.size, usage: staging });
    try {
      this.#order(null, () => {
        this.#commands?.flush();
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
        device.queue.submit([encoder.finish()]);
      });
      await this.#draining;
      this.#check();
      await to.mapAsync(forReading);
      return new Float32Array(to.getMappedRange().slice(0));
    } catch (cause) {
      // Readings of a lost device may fail before it says that it is lost.
      await Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve, 100))]);
      this.#check();
      throw new DeviceError(`gpu: mode webgpu cannot read: ${String(cause)}`, { cause });
    } finally {
      to.destroy();
    }
  }

  launch(name: string, pass: Pass, arrays: readonly Numbers[], given: Given): Numbers {
    this.#check();
    const from = arrays as readonly Buffered[];
    const length = lengthOf(pass);
    this.#checkSize(name, length);
    const kernel = this.#kernels.get(pass) ?? this.#prepare(name, pass, from, given);
    const numbers = this.#take(name, length, null);
    if (this.#waiting.length === 0 && kernel.compiled.ready) this.#send(kernel, pass, from, given, numbers);
    else this.#order(kernel.compiled, () => this.#send(kernel, pass, from, given, numbers));
    return numbers;
  }

  #send(kernel: Launchable, pass: Pass, from: readonly Buffered[], { values }: Given, to: Buffered): void {
    const { inside } = kernel.compiled;
    if (this.#commands === null) {
      inside.outputBuffer = to.buffer;
      inside.bindGroupDirty = true;
      inside.run(...from.map((own) => this.#argument(own)), ...values);
      return;
    }
    kernel.command ??= commandOf(inside as unknown as Built, pass.threads, from.map(({ length }) => length));
    this.#commands.add(kernel.command, [...from.map(({ buffer }) => buffer), to.buffer], values);
  }

  #prepare(name: string, pass: Pass, from: readonly Buffered[], given: Given): Launchable {
    try {
      const [source, settings] = kernelOf(pass, given);
      const { argumentTypes, functions, output } = settings;
      // A kernel of gpu.js's own calls keeps its sizes.
      const key = this.#commands === null ? null : JSON.stringify([source, argumentTypes, functions, output.length]);
      let compiled = key === null ? undefined : this.#compiled.get(key);
      if (compiled === undefined) {
        compiled = this.#compile(name, source, settings, [...from.map((own) => this.#argument(own)), ...given.values]);
        if (key !== null) this.#compiled.set(key, compiled);
      }
      const kernel: Launchable = { compiled, command: null };
      this.#kernels.set(pass, kernel);
      return kernel;
    } catch (cause) {
      throw cannot(name, cause);
    }
  }

  #compile(name: string, source: string, settings: KernelSettings, values: readonly unknown[]): Compiled {
    const { kernel } = this.#gpu.createKernel(source, { ...settings, pipeline: true }) as unknown as WebGpuKernel;
    if (kernel.constructor.mode !== this.mode) throw new Error(`${kernel.constructor.mode} took over`);
    const compiled: Compiled = {
      inside: kernel,
      ready: false,
      building: kernel.build(...values).then(
        () => {
          kernel.outputBuffer?.destroy();
          compiled.ready = true;
        },
        (cause: unknown) => void (this.#failure ??= cannot(name, cause)),
      ),
    };
    return compiled;
  }

  /** The text of a kernel that does not compile is refused too, and its build says more. */
  async #refused({ message }: { readonly message: string }): Promise<void> {
    await Promise.all(Array.from(this.#kernels.values(), ({ compiled }) => compiled.building));
    this.#failure ??= new DeviceError(`gpu: mode webgpu stopped: ${message}`);
  }

  flush(): void {
    if (this.#waiting.length === 0) this.#commands?.flush();
  }

  /** Runs a task now, or behind all that waits. */
  #order(compiled: Compiled | null, run: () => void): void {
    if (this.#waiting.length === 0 && (compiled === null || compiled.ready)) return run();
    this.#waiting.push({ compiled, run });
    this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    for (let next = 0; next < this.#waiting.length && this.#failure === null; next++) {
      const { compiled, run } = this.#waiting[next]!;
      if (compiled !== null && !compiled.ready) await compiled.building;
      if (this.#failure !== null) break;
      try {
        run();
      } catch (cause) {
        this.#failure = new DeviceError(`gpu: mode webgpu stopped: ${String(cause)}`, { cause });
      }
    }
    this.#waiting.length = 0;
    this.#draining = null;
    if (this.#failure === null) this.#commands?.flush();
  }

  keep(numbers: Numbers): void {
    (numbers as Buffered).owners += 1;
  }

  /** What was ordered so far still reads the numbers: a buffer's next use comes behind it. */
  release(numbers: Numbers): void {
    const own = numbers as Buffered;
    own.owners -= 1;
    if (own.owners > 0 || !this.#all.has(own.buffer)) return;
    const waiting = this.#free.get(own.buffer.size);
    if (waiting === undefined) this.#free.set(own.buffer.size, [own.buffer]);
    else waiting.push(own.buffer);
  }

  async close(): Promise<void> {
    await this.#draining;
    this.#failure ??= new DeviceError("gpu: the device is closed");
    this.#kernels.clear();
    this.#compiled.clear();
    for (const buffer of this.#all) buffer.destroy();
    this.#all.clear();
    this.#free.clear();
    this.#commands?.destroy();
    this.#context.device.removeEventListener("uncapturederror", this.#hear);
    await this.#gpu.destroy();
  }
}

function cannot(name: string, cause: unknown): DeviceError {
  if (cause instanceof DeviceError) return cause;
  return new DeviceError(`gpu: mode webgpu cannot do ${name}: ${String(cause)}`, { cause });
}
