// What the backend asks of a device, and how a pass becomes a kernel of gpu.js.

import { DeviceError } from "../../errors.ts";
import type { GpuJs, GpuSettings, KernelSettings, Mode } from "./gpujs.ts";
import type { Pass } from "./plan.ts";

/**
 * Numbers on the device. Once made they never change, so that several storages may share them: a variable is
 * overwritten by giving it other numbers. Only the device that made them looks inside.
 */
export interface Numbers {
  readonly length: number;
}

/** What a kernel is given besides its arrays: floats and 32-bit integers, by name. */
export interface Given {
  readonly names: readonly string[];
  /** Names of integers, whose values come behind those of the floats. */
  readonly words: readonly string[];
  readonly values: readonly number[];
}

/** Runs passes through gpu.js, in one mode and no other. Every `Numbers` has one owner, until `keep` says otherwise. */
export interface GpuDevice {
  readonly mode: Mode;
  /** What runs, for people. */
  readonly description: string;
  /** How many kernels were compiled. */
  readonly compiled: number;
  /** How many arrays the device holds, in use or ready for their next use; 0 where the garbage collector has them. */
  readonly buffers: number;
  /** `look` must give back what was uploaded as `watched`. */
  upload(values: ArrayLike<number>, watched: boolean): Numbers;
  /** The numbers themselves, not a copy, or null where they are not at hand. */
  look(numbers: Numbers): Float32Array | null;
  /** The numbers themselves or a copy. */
  read(numbers: Numbers): Promise<Float32Array>;
  /**
   * What a pass makes of its arrays, which come in the order of its `reads`. DeviceError where the mode cannot do it,
   * at once or at the next `read`: `name` is said then.
   */
  launch(name: string, pass: Pass, arrays: readonly Numbers[], given: Given): Numbers;
  /** Begins what was launched so far; a device may let kernels wait for others that come soon. */
  flush(): void;
  /** One more owner. */
  keep(numbers: Numbers): void;
  /** One owner less; without any, the numbers are gone. */
  release(numbers: Numbers): void;
  close(): Promise<void>;
}

/** Far above any loop of ours; loops with literal bounds are not cut anyway. */
const longestLoop = 1e9;

/** A pass as gpu.js takes it. DeviceError where it reads more arrays than a GPU binds beside the output. */
export function kernelOf(pass: Pass, { names, words }: Given): [source: string, settings: KernelSettings] {
  const { threads, reads, helpers = [], body } = pass;
  const arrays = Object.keys(reads);
  if (arrays.length > 7) throw new DeviceError(`gpu: a kernel takes at most 7 arrays, got ${arrays.length}`);
  const functions = helpers.map(({ name, parameters, result }) => ({
    source: `function ${name}(${parameters.join(", ")}) { return ${result}; }`,
    settings: { argumentTypes: parameters.map(() => "Integer" as const), returnType: "Integer" as const },
  }));
  const argumentTypes = [
    ...arrays.map(() => "Input" as const),
    ...names.map(() => "Float" as const),
    ...words.map(() => "Integer" as const),
  ];
  const source = `function (${[...arrays, ...names, ...words].join(", ")}) {\n${body}\n}`;
  return [source, { output: threads, argumentTypes, loopMaxIterations: longestLoop, functions }];
}

/** How many numbers a pass makes. */
export function lengthOf({ threads }: Pass): number {
  return threads.reduce((product, size) => product * size, 1);
}

/** One kernel that every mode must get right before anything else is asked of it. */
export const trial: Pass = { threads: [2], reads: { x: { input: 0 } }, body: "return x[this.thread.x] + y;" };

/** Runs the trial. Throws DeviceError where it fails. */
export async function check(device: GpuDevice): Promise<void> {
  const x = device.upload([1, 2], false);
  const made = device.launch("a trial", trial, [x], { names: ["y"], words: [], values: [0.5] });
  const found = await device.read(made);
  device.release(x);
  device.release(made);
  if (found[0] !== 1.5 || found[1] !== 2.5) {
    throw new DeviceError(`gpu: mode ${device.mode} adds wrongly: ${found.join()}`);
  }
}

/** gpu.js in a mode. Throws DeviceError where it cannot run it. */
export function openGpu(gpujs: GpuJs, settings: GpuSettings): InstanceType<GpuJs["GPU"]> {
  try {
    return new gpujs.GPU(settings);
  } catch (cause) {
    throw new DeviceError(`gpu: gpu.js cannot run in mode ${settings.mode} here`, { cause });
  }
}
