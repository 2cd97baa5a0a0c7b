import { modes } from "../lib/backends/gpu/gpujs.ts";
import { createRuntime, type Runtime, type RuntimeOptions } from "../lib/index.ts";
import type { DeviceOptions } from "./options.ts";

/** What can be asked for, whether or not it is to be had here. */
export const choices: readonly RuntimeOptions[] = [
  { device: "wasm", precision: "float32" },
  { device: "wasm", precision: "fast" },
  { device: "reference", precision: "float32" },
  { device: "reference", precision: "float64" },
  ...modes.map((mode) => ({ device: "gpu", precision: "float32", mode }) as const),
];

/** What each option about devices may be. */
export const allowed = {
  device: distinct(({ device }) => device),
  precision: distinct(({ precision }) => precision),
  mode: distinct(({ mode }) => mode),
};

function distinct(of: (choice: RuntimeOptions) => string | undefined): string[] {
  return [...new Set(choices.map(of).filter((name) => name !== undefined))];
}

/**
 * Runs a task on the device that the options ask for, and closes it whatever happens. Which one it is,
 * `runtime.description` says; every command prints it.
 */
export async function withRuntime<Result>(
  { device, threads, precision, mode }: DeviceOptions,
  task: (runtime: Runtime) => Promise<Result>,
): Promise<Result> {
  const runtime = await createRuntime({ device, threads, precision, mode } as RuntimeOptions);
  try {
    return await task(runtime);
  } finally {
    await runtime.close();
  }
}
