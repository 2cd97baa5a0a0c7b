import { DeviceError } from "../../errors.ts";
import type { Gpu, GpuJs, Input, Kernel, Mode, Rows } from "./gpujs.ts";
import type { Pass } from "./plan.ts";

/**
 * Numbers on the device. Once made they never change, so that several storages may share them: a variable is
 * overwritten by giving it other numbers.
 */
export type Numbers = Input;

/** Far above any loop of ours; loops with literal bounds are not cut anyway. */
const longestLoop = 1e9;

/** Runs passes through gpu.js, in one mode and no other. */
export class GpuDevice {
  readonly mode: Mode;
  readonly #gpujs: GpuJs;
  /** `null` once closed. */
  #gpu: Gpu | null;
  readonly #kernels = new Map<Pass, Kernel>();

  /** Throws DeviceError where gpu.js cannot run the mode, or runs another one in its place. */
  constructor(gpujs: GpuJs, mode: Mode) {
    this.mode = mode;
    this.#gpujs = gpujs;
    try {
      this.#gpu = new gpujs.GPU({ mode });
    } catch (cause) {
      throw new DeviceError(`gpu: gpu.js cannot run in mode ${mode} here`, { cause });
    }
    const probe: Pass = { threads: [2], reads: { x: { input: 0 } }, body: "return x[this.thread.x] + y;" };
    const found = this.download(this.launch("a trial", probe, [this.upload([1, 2])], ["y"], [0.5]));
    if (found[0] !== 1.5 || found[1] !== 2.5) throw new DeviceError(`gpu: mode ${mode} adds wrongly: ${found.join()}`);
  }

  /** How many kernels were compiled. */
  get compiled(): number {
    return this.#kernels.size;
  }

  upload(values: ArrayLike<number>): Numbers {
    return new this.#gpujs.Input(Float32Array.from(values), [values.length]);
  }

  /** The numbers themselves, not a copy. */
  download(numbers: Numbers): Float32Array {
    return numbers.value;
  }

  /**
   * What a pass makes of its arrays, which come in the order of its `reads`, and of numbers by name. Throws DeviceError
   * where the mode cannot do it: `name` is said then.
   */
  launch(
    name: string,
    pass: Pass,
    arrays: readonly Numbers[],
    names: readonly string[],
    numbers: readonly number[],
  ): Numbers {
    const { mode } = this;
    const length = pass.threads.reduce((product, size) => product * size, 1);
    let kernel: Kernel;
    let rows: Rows;
    try {
      kernel = this.#kernels.get(pass) ?? this.#compile(pass, arrays.length, names);
      rows = kernel(...arrays, ...numbers);
    } catch (cause) {
      if (cause instanceof DeviceError) throw cause;
      throw new DeviceError(`gpu: mode ${mode} cannot do ${name}: ${String(cause)}`, { cause });
    }
    const { constructor, fallbackReason } = kernel.kernel;
    if (constructor.mode !== mode) {
      throw new DeviceError(`gpu: mode ${mode} cannot do ${name}, ${constructor.mode} took over: ${fallbackReason}`);
    }
    this.#kernels.set(pass, kernel);
    return new this.#gpujs.Input(flatten(rows, length), [length]);
  }

  #compile({ threads, reads, body }: Pass, arrays: number, names: readonly string[]): Kernel {
    if (this.#gpu === null) throw new DeviceError("gpu: the device is closed");
    if (arrays > 7) throw new DeviceError(`gpu: a kernel takes at most 7 arrays, got ${arrays}`);
    const source = `function (${[...Object.keys(reads), ...names].join(", ")}) {\n${body}\n}`;
    const argumentTypes = [...Array<"Input">(arrays).fill("Input"), ...names.map(() => "Float" as const)];
    return this.#gpu.createKernel(source, { output: threads, argumentTypes, loopMaxIterations: longestLoop });
  }

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
