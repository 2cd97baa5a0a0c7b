import { createRuntime } from "../../../../lib/createRuntime.ts";
import type { DeviceError } from "../../../../lib/errors.ts";
import { loadGpuJs, modes } from "../../../../lib/backends/gpu/gpujs.ts";
import type { Device } from "../../runtimes.ts";

/** The gpu device in every mode that runs on any machine. */
export const gpuDevices: readonly Device[] = modes.map((mode) => ({
  name: `gpu, ${mode}`,
  open: () => createRuntime({ device: "gpu", mode }),
}));

/** Why the device cannot be tried here, or false. gpu.js is an optional package. */
export const skip: string | false = await loadGpuJs().then(
  () => false as const,
  (error: DeviceError) => error.message,
);
