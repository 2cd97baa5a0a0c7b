// The one place that imports gpu.js, when a GPU is asked for, and all that we know of it: its own typings are behind
// its code.

import { DeviceError } from "../../errors.ts";

/** Ways of gpu.js to run a kernel, for now those on the processor: plain JavaScript, and WebAssembly. */
export const modes = ["cpu", "webasm"] as const;
export type Mode = (typeof modes)[number];

/** An array as kernels take it: flat numbers, and how long they are. */
export interface Input {
  readonly value: Float32Array;
}

/** What a kernel gives: numbers, in rows where its output has two axes, in rows of rows where it has three. */
export type Rows = Float32Array | readonly Rows[];

export interface KernelSettings {
  /** Threads along x, y and z. */
  readonly output: readonly number[];
  readonly argumentTypes: readonly ("Input" | "Float")[];
  /** Where gpu.js cuts every loop that it cannot count, without a word. */
  readonly loopMaxIterations: number;
}

export interface Kernel {
  (...values: readonly (Input | number)[]): Rows;
  /** Another one after a fallback: what really ran. */
  readonly kernel: { readonly constructor: { readonly mode: string }; readonly fallbackReason: string | null };
}

export interface Gpu {
  createKernel(source: string, settings: KernelSettings): Kernel;
  destroy(): Promise<void>;
}

export interface GpuJs {
  readonly GPU: new (settings: { readonly mode: Mode }) => Gpu;
  readonly Input: new (values: Float32Array, size: readonly number[]) => Input;
}

/** gpu.js itself. Throws DeviceError where it is not installed or does not load. */
export async function loadGpuJs(load: () => Promise<unknown> = () => import("gpu.js")): Promise<GpuJs> {
  try {
    return (await load()) as GpuJs;
  } catch (cause) {
    const missing = (cause as { code?: unknown }).code === "ERR_MODULE_NOT_FOUND";
    const found = missing ? "is not installed" : "does not load";
    throw new DeviceError(`gpu: the package gpu.js ${found}; this device needs gpu.js 2.24.1`, { cause });
  }
}
