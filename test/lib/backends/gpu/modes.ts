import { createRuntime } from "../../../../lib/createRuntime.ts";
import type { DeviceError } from "../../../../lib/errors.ts";
import { loadGpuJs, modes } from "../../../../lib/backends/gpu/gpujs.ts";
import type { Device } from "../../runtimes.ts";

const all: readonly Device[] = modes.map((mode) => ({
  name: `gpu, ${mode}`,
  open: () => createRuntime({ device: "gpu", mode }),
}));

/** Why the device cannot be tried here, or false. gpu.js is an optional package. */
export const skip: string | false = await loadGpuJs().then(
  () => false as const,
  (error: DeviceError) => error.message,
);

/** Why the mode `webgpu` is not tried, or false: `npm run test:gpu` sets the variable, and fails without an adapter. */
export const skipWebGpu: string | false =
  process.env.KILONET_TEST_WEBGPU === "1" ? skip : "webgpu needs an adapter; npm run test:gpu asks for one";

/** The modes on the processor: they run on any machine, and numbers are at hand at once. */
export const hostDevices = all.filter(({ name }) => /(cpu|webasm)$/.test(name));

/** The gpu device in every mode to be tried in Node. Where there is WebGL 2, test/browser tries it. */
export const gpuDevices = skipWebGpu === false ? all.filter(({ name }) => !name.endsWith("webgl2")) : hostDevices;
