// The one place that imports gpu.js, when a GPU is asked for, and all that we know of it: its own typings are behind
// its code.

import { DeviceError } from "../../errors.ts";
import type { GpuBuffer, WebGpu } from "./webgpu.ts";

/**
 * Ways of gpu.js to run a kernel: on the processor as plain JavaScript and as WebAssembly, and on a GPU through WebGPU
 * or, in browsers, WebGL 2.
 */
export const modes = ["cpu", "webasm", "webgpu", "webgl2"] as const;
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
  readonly argumentTypes: readonly ("Input" | "ArrayTexture(1)" | "Float" | "Integer")[];
  /** Where gpu.js cuts every loop that it cannot count, without a word. */
  readonly loopMaxIterations: number;
  /** Each after those that it calls. */
  readonly functions: readonly {
    readonly source: string;
    readonly settings: { readonly argumentTypes: readonly "Integer"[]; readonly returnType: "Integer" };
  }[];
  /** On a GPU: whether results stay there. */
  readonly pipeline?: boolean;
  /** In WebGL: floats as they are and not packed into bytes, and never fewer bits than float32 has. */
  readonly precision?: "single";
  readonly tactic?: "precision";
  readonly returnType?: "Float";
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

/** What a kernel of the mode `webgl2` reads and writes: numbers in a texture, row by row from the first one on. */
export interface GlArgument {
  readonly type: "ArrayTexture(1)";
  readonly texture: WebGLTexture;
  readonly context: WebGL2RenderingContext;
  /** Width and height of the texture. */
  readonly size: readonly [number, number];
  readonly dimensions: readonly [length: number, 1, 1];
  readonly output: readonly [length: number];
  /** Whether another texture must take its place before it is written to. */
  beforeMutate(): boolean;
  delete(): void;
}

/** A kernel of the mode `webgl2`. What is below `kernel` is gpu.js's own, as for `webgpu`. */
export interface WebGlKernel {
  readonly kernel: {
    /** The text in GLSL, from the build on. */
    readonly compiledFragmentShader: string | null;
    readonly fallbackRequested?: boolean;
    /** Where the next run writes to. */
    texture: GlArgument | null;
    /** Set when `texture` is another one than at the last run. */
    _textureSwitched: boolean;
    build(...values: readonly unknown[]): void;
    run(...values: readonly unknown[]): void;
  };
}

export interface Gpu {
  createKernel(source: string, settings: KernelSettings): Kernel;
  destroy(): Promise<void>;
}

export interface GpuSettings {
  readonly mode: Mode;
  /** In WebGL: what draws. gpu.js sets the size of the canvas, and asks no more of it. */
  readonly context?: WebGL2RenderingContext;
  readonly canvas?: object;
}

export interface GpuJs {
  readonly GPU: new (settings: GpuSettings) => Gpu;
  readonly Input: new (values: Float32Array, size: readonly number[]) => Input;
  readonly WebGL2Kernel: new (...from: never) => object;
  readonly utils: {
    /** The most square texture that holds so many numbers: what gpu.js gives a result with one axis, or with three. */
    closestSquareDimensions(length: number): ArrayLike<number>;
  };
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

/**
 * gpu.js itself. Throws DeviceError where it is not installed or does not load. Its build for browsers is no module: it
 * exports nothing there, and puts itself into a variable.
 */
export async function loadGpuJs(load: () => Promise<unknown> = () => import("gpu.js")): Promise<GpuJs> {
  let cause: unknown;
  try {
    const loaded = (await load()) as { default?: unknown };
    const found = [loaded, loaded.default, (globalThis as { GPU?: unknown }).GPU].find(isGpuJs);
    if (found !== undefined) return found;
    cause = new Error("it has no GPU");
  } catch (error) {
    cause = error;
  }
  const missing = (cause as { code?: unknown }).code === "ERR_MODULE_NOT_FOUND";
  const found = missing ? "is not installed" : "does not load";
  throw new DeviceError(`gpu: the package gpu.js ${found}; this device needs gpu.js 2.24.1`, { cause });
}

function isGpuJs(found: unknown): found is GpuJs {
  const parts = found as Partial<GpuJs> | undefined;
  return typeof parts?.GPU === "function" && typeof parts.Input === "function";
}
