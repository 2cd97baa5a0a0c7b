// What we know of WebGPU, and how a program gets at it: a page has it, Node has it from the package webgpu (Dawn).

import { DeviceError } from "../../errors.ts";

export interface GpuBuffer {
  readonly size: number;
  destroy(): void;
  mapAsync(mode: number): Promise<void>;
  getMappedRange(): ArrayBuffer;
}

/** Commands to run kernels. */
export interface Passing {
  setPipeline(pipeline: object): void;
  setBindGroup(index: number, table: object): void;
  dispatchWorkgroups(x: number, y: number, z: number): void;
  end(): void;
}

export interface Encoder {
  copyBufferToBuffer(from: GpuBuffer, fromByte: number, to: GpuBuffer, toByte: number, bytes: number): void;
  beginComputePass(): Passing;
  finish(): object;
}

/** A part of a buffer, or all of it. */
interface Bound {
  readonly buffer: GpuBuffer;
  readonly offset?: number;
  readonly size?: number;
}

/** Says that the device refused something that it was asked to do. */
interface Complaint {
  readonly error: { readonly message: string };
}

/** An adapter and the device that was opened on it. */
export interface WebGpu {
  readonly adapter: { readonly info: Readonly<Record<"vendor" | "architecture" | "device" | "description", string>> };
  readonly device: {
    readonly limits: { readonly maxStorageBufferBindingSize: number; readonly maxBufferSize: number };
    readonly queue: {
      /** `at` counts bytes; `from` and `length` numbers of `values`. */
      writeBuffer(buffer: GpuBuffer, at: number, values: Float32Array, from?: number, length?: number): void;
      submit(commands: readonly object[]): void;
    };
    readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
    createBuffer(settings: { readonly size: number; readonly usage: number }): GpuBuffer;
    createCommandEncoder(): Encoder;
    createBindGroup(settings: {
      readonly layout: object;
      readonly entries: readonly { readonly binding: number; readonly resource: Bound }[];
    }): object;
    addEventListener(name: "uncapturederror", listener: (complaint: Complaint) => void): void;
    removeEventListener(name: "uncapturederror", listener: (complaint: Complaint) => void): void;
  };
}

/** Numbers of the standard: what a buffer is for. Read by kernels and written by them, copied to and from. */
export const storage = 0x80 | 0x04 | 0x08;
/** Copied to, and read by all threads of a kernel. */
export const uniform = 0x40 | 0x08;
/** Copied to, and read by the program. */
export const staging = 0x08 | 0x01;
export const forReading = 1;

/** What gives adapters: all of `navigator.gpu` that is asked for here. */
interface Door {
  requestAdapter(options?: object): Promise<object | null>;
}

interface Dawn {
  create(options: readonly string[]): Door;
  readonly globals: object;
}

/**
 * Puts `navigator.gpu` where gpu.js looks for it, unless something is there. Throws DeviceError where neither the
 * program's surroundings nor the package webgpu have it.
 */
export async function provideWebGpu(load: () => Promise<unknown> = () => import("webgpu")): Promise<void> {
  const here = globalThis as { navigator?: { readonly gpu?: Door } };
  if (here.navigator?.gpu !== undefined) return;
  let dawn: Dawn;
  try {
    dawn = (await load()) as Dawn;
  } catch (cause) {
    const missing = (cause as { code?: unknown }).code === "ERR_MODULE_NOT_FOUND";
    const found = missing ? "is not installed" : "does not load";
    throw new DeviceError(`gpu: mode webgpu needs navigator.gpu or the package webgpu, which ${found}`, { cause });
  }
  Object.assign(globalThis, dawn.globals);
  const gpu = dawn.create([]);
  if (here.navigator !== undefined) Object.defineProperty(here.navigator, "gpu", { value: gpu, configurable: true });
  else Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
}

/** An adapter as people know it. */
export function nameOf({ adapter: { info } }: WebGpu): string {
  const { vendor, architecture, device, description } = info;
  return [description, [vendor, architecture, device].filter((part) => part !== "").join(" ")]
    .filter((part) => part !== "")
    .join(", ");
}
