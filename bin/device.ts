import { createRuntime, type Runtime, type RuntimeOptions } from "../lib/index.ts";
import type { DeviceOptions } from "./options.ts";

/** The runtime that the options ask for. Which one it is, `description` says; it is printed by every command. */
export function openDevice({ device, threads, precision }: DeviceOptions): Promise<Runtime> {
  const options = {
    device,
    ...(threads === undefined ? {} : { threads }),
    ...(precision === undefined ? {} : { precision }),
  };
  return createRuntime(options as RuntimeOptions);
}
