import { after } from "node:test";
import type { ElementwiseCall, Storage } from "../../lib/backends/backend.ts";
import { ReferenceBackend, type ReferencePrecision } from "../../lib/backends/reference/backend.ts";
import { createRuntime } from "../../lib/createRuntime.ts";
import type { Call, Operation } from "../../lib/ops/operation.ts";
import { Runtime } from "../../lib/runtime.ts";

/** A device that the laws of operations hold on. */
export interface Device {
  /** Stands in the name of every test that ran on it. */
  readonly name: string;
  readonly open: () => Promise<Runtime>;
}

/** A new backend is a line here: all laws of all operations then run on it, against the float64 oracle. */
export const devices: readonly Device[] = [
  { name: "reference", open: () => createRuntime({ device: "reference" }) },
  { name: "wasm, 1 thread", open: () => createRuntime({ device: "wasm", threads: 1 }) },
  { name: "wasm, 2 threads", open: () => createRuntime({ device: "wasm", threads: 2 }) },
];

const opened = new Map<Device, Promise<Runtime>>();

/** The runtime of a device, opened once per test file and closed after it. */
export function runtimeOf(device: Device): Promise<Runtime> {
  const runtime = opened.get(device) ?? device.open();
  opened.set(device, runtime);
  return runtime;
}

after(async () => {
  for (const runtime of opened.values()) await (await runtime).close();
});

/** The reference backend in float64: what every device is compared with, and what finite differences need. */
export function exactRuntime(): Runtime {
  return new Runtime(new ReferenceBackend("float64"));
}

/** A reference backend that remembers what it was asked to do. */
export class SpyBackend extends ReferenceBackend {
  /** Every fused loop since `forget`. */
  readonly loops: ElementwiseCall[] = [];
  /** The name of every structured operation since `forget`. */
  readonly operations: string[] = [];
  /** Arrays behind the arena storage given out since `forget`. */
  readonly memory = new Set<ArrayBufferLike>();
  resets = 0;

  override readonly fusion: { readonly inputs: number; readonly cost: number };

  constructor(precision: ReferencePrecision = "float64", fusion = { inputs: 64, cost: 512 }) {
    super(precision);
    this.fusion = fusion;
  }

  forget(): void {
    this.loops.length = 0;
    this.operations.length = 0;
    this.memory.clear();
    this.resets = 0;
  }

  override allocate(...args: Parameters<ReferenceBackend["allocate"]>): Storage {
    const storage = super.allocate(...args);
    this.memory.add((storage as Storage & { data: Float64Array }).data.buffer);
    return storage;
  }

  override reset(): void {
    this.resets += 1;
    super.reset();
  }

  override elementwise(call: ElementwiseCall): void {
    this.loops.push(call);
    super.elementwise(call);
  }

  override run<Attributes>(
    operation: Operation<Attributes>,
    call: Call<Attributes>,
    inputs: readonly Storage[],
    outputs: readonly Storage[],
  ): void {
    this.operations.push(operation.name);
    super.run(operation, call, inputs, outputs);
  }
}
