import { ReferenceBackend } from "./backends/reference/backend.ts";
import { DeviceError } from "./errors.ts";
import { Runtime } from "./runtime.ts";

export interface RuntimeOptions {
  /** `reference`: plain loops, the oracle. Default: `reference`. */
  readonly device?: "reference";
  /** `float64` is there on the reference device only. Default: `float32`. */
  readonly precision?: "float32" | "float64";
}

/** A runtime on the device asked for. What cannot be had is a `DeviceError`: no device is swapped for another. */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  const { device = "reference", precision = "float32" } = options;
  if (device === "reference") return new Runtime(new ReferenceBackend(precision));
  throw new DeviceError(`createRuntime: there is no device ${JSON.stringify(device)}; this build has: reference`);
}
