// The one place that imports gpu.js, when a GPU is asked for, and all that we know of it: its own typings are behind
// its code.

import { DeviceError } from "../../errors.ts";
import type { GpuBuffer, WebGpu } from "./webgpu.ts";

/**
 * Ways of gpu.js to run a kernel: on the processor as plain JavaScript and as WebAssembly, and on a GPU through WebGPU.
 */
export const modes = ["cpu", "webasm", "webgpu"] as const;
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
  readonly argumentTypes: readonly ("Input" | "Float" | "Integer")[];
  /** Where gpu.js cuts every loop that it cannot count, without a word. */
  readonly loopMaxIterations: number;
  /** Each after those that it calls. */
  readonly functions: readonly {
    readonly source: string;
    readonly settings: { readonly argumentTypes: readonly "Integer"[]; readonly returnType: "Integer" };
  }[];
  /** On a GPU: whether results stay there. */
  readonly pipeline?: boolean;
}

export interface Kernel {
  (...values: readonly (Input | number)[]): Rows;
  /** Another one after a fallback: what really ran. */
  readonly kernel: { readonly constructor: { readonly mode: string }; readonly fallbackReason: string | null };
}

/** A kernel of the mode `webgpu`. What is below `kernel` is gpu.js's own: hence its exact version. */
export interface WebGpuKernel {
  readonly kernel: {
    readonly constructor: { readonly mode: string };
    readonly built: boolean;
    /** The text in WGSL, from the beginning of the build on. */
    readonly compiledSource: string | null;
    /** Where the next run writes to. */
    outputBuffer: GpuBuffer | null;
    /** Set when another buffer is to be bound than at the last run. */
    bindGroupDirty: boolean;
    /** Translates at once, and compiles until the promise resolves. */
    build(...values: readonly unknown[]): Promise<void>;
    run(...values: readonly unknown[]): unknown;
  };
}

export interface Gpu {
  createKernel(source: string, settings: KernelSettings): Kernel;
  destroy(): Promise<void>;
}

export interface GpuJs {
  readonly GPU: new (settings: { readonly mode: Mode }) => Gpu;
  readonly Input: new (values: Float32Array, size: readonly number[]) => Input;
  /** The device that all kernels of a page share. */
  readonly WebGPUContext: { acquire(): Promise<WebGpu>; destroy(): Promise<void> };
  /** Makes an argument of a buffer of ours. */
  readonly WebGPUBufferResult: new (settings: {
    readonly buffer: GpuBuffer;
    readonly output: readonly number[];
    readonly componentCount: 1;
    readonly context: WebGpu;
  }) => object;
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
