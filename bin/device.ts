import { createRuntime, type Runtime, type RuntimeOptions } from "../lib/index.ts";
import type { DeviceOptions } from "./options.ts";

/** What can be asked for, whether or not it is to be had here. */
export const choices: readonly RuntimeOptions[] = [
  { device: "wasm", precision: "float32" },
  { device: "wasm", precision: "fast" },
  { device: "reference", precision: "float32" },
  { device: "reference", precision: "float64" },
];

export const devices: readonly string[] = [...new Set(choices.map(({ device }) => device!))];
export const precisions: readonly string[] = [...new Set(choices.map(({ precision }) => precision!))];

/**
 * Runs a task on the device that the options ask for, and closes it whatever happens. Which one it is,
 * `runtime.description` says; every command prints it.
 */
export async function withRuntime<Result>(
  { device, threads, precision }: DeviceOptions,
  task: (runtime: Runtime) => Promise<Result>,
): Promise<Result> {
  const runtime = await createRuntime({ device, threads, precision } as RuntimeOptions);
  try {
    return await task(runtime);
  } finally {
    await runtime.close();
  }
}
