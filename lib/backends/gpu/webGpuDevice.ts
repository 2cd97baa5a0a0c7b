// The mode of gpu.js that runs on a GPU. Numbers are buffers of ours, which kernels are made to read and to write;
// compiling and reading take their time, everything else happens at once or, while a kernel is being compiled, in the
// order in which it was asked for.

import { DeviceError } from "../../errors.ts";
import { type Given, type GpuDevice, kernelOf, lengthOf, type Numbers, openGpu } from "./device.ts";
import type { Gpu, GpuJs, WebGpuKernel } from "./gpujs.ts";
import type { Pass } from "./plan.ts";
import { forReading, type GpuBuffer, nameOf, provideWebGpu, staging, storage, type WebGpu } from "./webgpu.ts";

interface Buffered extends Numbers {
  readonly buffer: GpuBuffer;
  /** The buffer as gpu.js takes it. */
  readonly argument: object;
  /** What was uploaded, if that must be looked at. */
  readonly watched: Float32Array | null;
  owners: number;
}

interface Compiled {
  readonly inside: WebGpuKernel["kernel"];
  readonly building: Promise<void>;
  /** Whether its own buffer is gone and it takes ours: a little later than gpu.js has built it. */
  ready: boolean;
}

interface Task {
  readonly kernel: Compiled | null;
  readonly run: () => void;
}

export class WebGpuDevice implements GpuDevice {
  readonly mode = "webgpu";
  readonly description: string;
  readonly #gpujs: GpuJs;
  readonly #gpu: Gpu;
  readonly #context: WebGpu;
  readonly #kernels = new Map<Pass, Compiled>();
  /** Buffers that nobody owns, by size. A step takes what the step before it gave back: memory does not grow. */
  readonly #free = new Map<number, GpuBuffer[]>();
  readonly #all = new Set<GpuBuffer>();
  /** What waits for a kernel to be compiled, in order. */
  readonly #waiting: Task[] = [];
  #draining: Promise<void> | null = null;
  /** Why nothing works any more, or null. */
  #failure: DeviceError | null = null;

  /** Throws DeviceError where there is no WebGPU, no adapter, or no such mode. */
  static async open(gpujs: GpuJs): Promise<WebGpuDevice> {
    await provideWebGpu();
    let context: WebGpu;
    try {
      context = await gpujs.WebGPUContext.acquire();
    } catch (cause) {
      throw new DeviceError("gpu: mode webgpu finds no adapter: there is no GPU, or no driver for it", { cause });
    }
    return new WebGpuDevice(gpujs, context);
  }

  private constructor(gpujs: GpuJs, context: WebGpu) {
    this.#gpujs = gpujs;
    this.#context = context;
    this.#gpu = openGpu(gpujs, { mode: this.mode });
    this.description = `adapter ${nameOf(context)}`;
    void context.device.lost.then(({ reason, message }) => {
      this.#failure ??= new DeviceError(`gpu: the device was lost (${reason}): ${message}`);
    });
  }

  get compiled(): number {
    return this.#kernels.size;
  }

  get buffers(): number {
    return this.#all.size;
  }

  upload(values: ArrayLike<number>, watched: boolean): Numbers {
    const copy = Float32Array.from(values);
    const numbers = this.#take(copy.length, watched ? copy : null);
    this.#order(null, () => this.#context.device.queue.writeBuffer(numbers.buffer, 0, copy));
    return numbers;
  }

  #take(length: number, watched: Float32Array | null): Buffered {
    this.#check();
    const size = 4 * length;
    let buffer = this.#free.get(size)?.pop();
    if (buffer === undefined) {
      const { maxStorageBufferBindingSize, maxBufferSize } = this.#context.device.limits;
      const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
      if (size > limit) {
        throw new DeviceError(`gpu: ${length} numbers take ${size} bytes, and the adapter takes ${limit} at a time`);
      }
      buffer = this.#context.device.createBuffer({ size, usage: storage });
      this.#all.add(buffer);
    }
    const argument = new this.#gpujs.WebGPUBufferResult({
      buffer,
      output: [length],
      componentCount: 1,
      context: this.#context,
    });
    return { length, buffer, argument, watched, owners: 1 };
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
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
        device.queue.submit([encoder.finish()]);
      });
      await this.#draining;
      this.#check();
      await to.mapAsync(forReading);
      return new Float32Array(to.getMappedRange().slice(0));
    } catch (cause) {
      this.#check();
      throw new DeviceError(`gpu: mode webgpu cannot read: ${String(cause)}`, { cause });
    } finally {
      to.destroy();
    }
  }

  launch(name: string, pass: Pass, arrays: readonly Numbers[], given: Given): Numbers {
    this.#check();
    const values = [...arrays.map((numbers) => (numbers as Buffered).argument), ...given.values];
    const kernel = this.#kernels.get(pass) ?? this.#compile(name, pass, given, values);
    const numbers = this.#take(lengthOf(pass), null);
    const { inside } = kernel;
    this.#order(kernel, () => {
      if (inside.outputBuffer !== numbers.buffer) {
        inside.outputBuffer = numbers.buffer;
        inside.bindGroupDirty = true;
      }
      inside.run(...values);
    });
    return numbers;
  }

  #compile(name: string, pass: Pass, given: Given, values: readonly unknown[]): Compiled {
    const cannot = (cause: unknown): DeviceError =>
      cause instanceof DeviceError
        ? cause
        : new DeviceError(`gpu: mode webgpu cannot do ${name}: ${String(cause)}`, { cause });
    try {
      const [source, settings] = kernelOf(pass, given);
      const { kernel } = this.#gpu.createKernel(source, { ...settings, pipeline: true }) as unknown as WebGpuKernel;
      if (kernel.constructor.mode !== this.mode) throw new Error(`${kernel.constructor.mode} took over`);
      const compiled: { -readonly [Key in keyof Compiled]: Compiled[Key] } = {
        inside: kernel,
        ready: false,
        building: kernel.build(...values).then(
          () => {
            kernel.outputBuffer?.destroy();
            compiled.ready = true;
          },
          (cause: unknown) => void (this.#failure ??= cannot(cause)),
        ),
      };
      this.#kernels.set(pass, compiled);
      return compiled;
    } catch (cause) {
      throw cannot(cause);
    }
  }

  /** Runs a task now, or behind all that waits. */
  #order(kernel: Compiled | null, run: () => void): void {
    if (this.#waiting.length === 0 && (kernel === null || kernel.ready)) return run();
    this.#waiting.push({ kernel, run });
    this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    for (let next = 0; next < this.#waiting.length && this.#failure === null; next++) {
      const { kernel, run } = this.#waiting[next]!;
      if (kernel !== null && !kernel.ready) await kernel.building;
      if (this.#failure !== null) break;
      try {
        run();
      } catch (cause) {
        this.#failure = new DeviceError(`gpu: mode webgpu stopped: ${String(cause)}`, { cause });
      }
    }
    this.#waiting.length = 0;
    this.#draining = null;
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
    for (const buffer of this.#all) buffer.destroy();
    this.#all.clear();
    this.#free.clear();
    await this.#gpu.destroy();
  }
}
