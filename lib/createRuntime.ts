import type { Mode } from "./backends/gpu/gpujs.ts";
import { ReferenceBackend } from "./backends/reference/backend.ts";
import { createWasmBackend, wasmAvailable } from "./backends/wasm/backend.ts";
import { DeviceError } from "./errors.ts";
import { Runtime } from "./runtime.ts";

export interface RuntimeOptions {
  /**
   * `wasm`: SIMD kernels and threads. `reference`: plain loops, the oracle. Default: `wasm` where the engine has
   * WebAssembly SIMD, else `reference`; `runtime.description` says which. `gpu`: kernels of gpu.js, in a `mode`.
   */
  readonly device?: "wasm" | "reference" | "gpu";
  /**
   * `float32` (default): on `wasm` the same bits on any machine and for any number of threads. `fast`, on `wasm`:
   * products may be fused into sums. `float64`, on `reference`.
   */
  readonly precision?: "float32" | "float64" | "fast";
  /** On `wasm`: how many threads work, the calling one included. Default: one per core, at most 8. */
  readonly threads?: number;
  /**
   * On `gpu`, where it must be said: how gpu.js runs kernels. `webgpu` needs an adapter, and in Node the package
   * webgpu; `webgl2` is for browsers without it; `cpu` (plain JavaScript) and `webasm` run on the processor, slower
   * than `wasm`, and show that the kernels are right.
   */
  readonly mode?: Mode;
}

const precisions: Readonly<Record<string, readonly string[]>> = {
  wasm: ["float32", "fast"],
  reference: ["float32", "float64"],
  gpu: ["float32"],
};

/**
 * A runtime on the device asked for. Throws DeviceError for what cannot be had (no device is swapped for another), and
 * RangeError for a number of threads that is none.
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  const { device = wasmAvailable() ? "wasm" : "reference", precision = "float32", threads, mode } = options;
  const possible = precisions[device];
  if (possible === undefined) {
    const devices = Object.keys(precisions).join(", ");
    throw new DeviceError(`createRuntime: there is no device ${JSON.stringify(device)}; there are ${devices}`);
  }
  if (!possible.includes(precision)) {
    const found = String(precision);
    throw new DeviceError(`createRuntime: ${device} has the precisions ${possible.join(", ")}, not ${found}`);
  }
  if (device !== "wasm" && threads !== undefined && threads !== 1) {
    throw new DeviceError(`createRuntime: ${device} has 1 thread, not ${threads}`);
  }
  if (device === "gpu") {
    const { createGpuBackend } = await import("./backends/gpu/backend.ts");
    return new Runtime(await createGpuBackend(mode));
  }
  if (mode !== undefined) throw new DeviceError(`createRuntime: only gpu has modes, and ${device} was asked for`);
  if (device === "reference") {
    return new Runtime(new ReferenceBackend(precision === "float64" ? "float64" : "float32"));
  }
  const backend = await createWasmBackend({
    precision: precision === "fast" ? "fast" : "deterministic",
    ...(threads === undefined ? {} : { threads }),
  });
  return new Runtime(backend);
}
