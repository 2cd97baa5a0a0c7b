// The modes of gpu.js that run on the processor: everything is at hand at once.

import { DeviceError } from "../../errors.ts";
import { type Given, type GpuDevice, kernelOf, lengthOf, type Numbers, openGpu } from "./device.ts";
import type { Gpu, GpuJs, Input, Kernel, Rows } from "./gpujs.ts";
import type { Pass } from "./plan.ts";

export type HostMode = "cpu" | "webasm";

const what: Readonly<Record<HostMode, string>> = {
  cpu: "plain JavaScript on the processor, float32 storage",
  webasm: "WebAssembly on the processor, float32",
};

interface HostNumbers extends Numbers {
  readonly input: Input;
}

export class HostDevice implements GpuDevice {
  readonly mode: HostMode;
  readonly description: string;
  /** Arrays belong to the garbage collector. */
  readonly buffers = 0;
  readonly #gpujs: GpuJs;
  /** `null` once closed. */
  #gpu: Gpu | null;
  readonly #kernels = new Map<Pass, Kernel>();

  /** Throws DeviceError where gpu.js cannot run the mode. */
  constructor(gpujs: GpuJs, mode: HostMode) {
    this.mode = mode;
    this.description = `${what[mode]}, 1 thread`;
    this.#gpujs = gpujs;
    this.#gpu = openGpu(gpujs, { mode });
  }

  get compiled(): number {
    return this.#kernels.size;
  }

  upload(values: ArrayLike<number>): Numbers {
    return this.#hold(Float32Array.from(values));
  }

  #hold(values: Float32Array): HostNumbers {
    return { length: values.length, input: new this.#gpujs.Input(values, [values.length]) };
  }

  look(numbers: Numbers): Float32Array {
    return (numbers as HostNumbers).input.value;
  }

  async read(numbers: Numbers): Promise<Float32Array> {
    return this.look(numbers);
  }

  launch(name: string, pass: Pass, arrays: readonly Numbers[], given: Given): Numbers {
    const { mode } = this;
    let kernel: Kernel;
    let rows: Rows;
    try {
      kernel = this.#kernels.get(pass) ?? this.#compile(pass, given);
      rows = kernel(...arrays.map((numbers) => (numbers as HostNumbers).input), ...given.values);
    } catch (cause) {
      if (cause instanceof DeviceError) throw cause;
      throw new DeviceError(`gpu: mode ${mode} cannot do ${name}: ${String(cause)}`, { cause });
    }
    const { constructor, fallbackReason } = kernel.kernel;
    if (constructor.mode !== mode) {
      throw new DeviceError(`gpu: mode ${mode} cannot do ${name}, ${constructor.mode} took over: ${fallbackReason}`);
    }
    this.#kernels.set(pass, kernel);
    return this.#hold(flatten(rows, lengthOf(pass)));
  }

  #compile(pass: Pass, given: Given): Kernel {
    if (this.#gpu === null) throw new DeviceError("gpu: the device is closed");
    return this.#gpu.createKernel(...kernelOf(pass, given));
  }

  flush(): void {}

  keep(): void {}

  release(): void {}

  async close(): Promise<void> {
    const gpu = this.#gpu;
    this.#gpu = null;
    this.#kernels.clear();
    await gpu?.destroy();
  }
}

function flatten(rows: Rows, length: number): Float32Array {
  if (rows instanceof Float32Array) return rows;
  const flat = new Float32Array(length);
  let at = 0;
  const append = (part: Rows): void => {
    if (!(part instanceof Float32Array)) return part.forEach(append);
    flat.set(part, at);
    at += part.length;
  };
  append(rows);
  return flat;
}
