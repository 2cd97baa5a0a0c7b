// Runs what an operation launches on a workbench.

import assert from "node:assert/strict";
import type { TensorSpec } from "../../../lib/backends/backend.ts";
import type { Shape } from "../../../lib/shape.ts";
import type { Call } from "../../../lib/ops/operation.ts";
import { runPlan } from "../../../lib/wasm/kernel.ts";
import type { Launch, WasmKernel } from "../../../lib/wasm/launch.ts";
import { Workbench } from "./workbench.ts";

export type Values = Float32Array | Int32Array;

export function spec(shape: Shape, values: Values): TensorSpec {
  return { shape, type: values instanceof Int32Array ? "int" : "float" };
}

export interface LaunchCall<A> {
  readonly attributes: A;
  readonly inputs: readonly (readonly [shape: Shape, values: Values])[];
  readonly outputs: readonly (readonly [shape: Shape, like: Values])[];
  /** Inputs that the kernel overwrites; they are given back, after the outputs. */
  readonly overwrites?: readonly number[];
  readonly scalars?: readonly number[];
  readonly words?: readonly number[];
  readonly relaxed?: boolean;
}

/**
 * Runs with one input at the end of the memory. Kernels may read past the end of a tensor, but only as far as every
 * tensor is followed by memory: `OVERREAD` of `backends/wasm/memory.ts`. Further reads trap.
 */
function runAtEnd<A>(launched: Launch<A>, call: Call<A>, given: LaunchCall<A>, last: number): void {
  const overread = 64;
  const memory = new WebAssembly.Memory({ initial: 8 });
  let end = 8192;
  const place = (values: Values): number => {
    const address = end;
    end = Math.ceil((end + values.byteLength + overread) / 64) * 64;
    new Uint8Array(memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), address);
    return address;
  };
  const inputs = given.inputs.map(([, values]) => place(values));
  const outputs = given.outputs.map(([, like]) => place(like));
  const table = launched.table === undefined ? 0 : place(launched.table);
  const [fault, scratch] = [place(new Int32Array(2)), end];
  end += launched.plan.scratchBytes + overread;
  const values = given.inputs[last]![1];
  memory.grow(Math.max(0, Math.ceil((end + values.byteLength) / 65536) - 8));
  end = Math.floor((memory.buffer.byteLength - overread - values.byteLength) / 4) * 4;
  inputs[last] = place(values);
  const list = launched.words({ inputs, outputs, scratch, table, fault }, call);
  const words = Object.fromEntries(launched.plan.phases[0]!.arguments.map((word, i) => [word, list[i]!]));
  runPlan(memory, launched.plan, 0, words);
}

/** The outputs, then the overwritten inputs. Throws what the launch says of a value that a kernel refused. */
export function launch<A>(kernel: WasmKernel<A>, given: LaunchCall<A>): Values[] {
  const call = {
    attributes: given.attributes,
    inputs: given.inputs.map(([shape, values]) => spec(shape, values)),
    outputs: given.outputs.map(([shape, like]) => spec(shape, like)),
    scalars: given.scalars ?? [],
    words: given.words ?? [],
  };
  const launched = kernel(call);
  const bench = new Workbench();
  const overwrites = given.overwrites ?? [];
  const inputs = given.inputs.map(([, values], i) => bench[overwrites.includes(i) ? "output" : "input"](values));
  const outputs = given.outputs.map(([, like]) => bench.output(like));
  const fault = bench.output(new Int32Array(2));
  const table = launched.table === undefined ? 0 : bench.input(launched.table);
  const list = launched.words({ inputs, outputs, scratch: 0, table, fault }, call);
  const { plan } = launched;
  for (const phase of plan.phases) assert.equal(phase.arguments.length, list.length, `${phase.key}: words`);
  const words = Object.fromEntries(plan.phases[0]!.arguments.map((word, i) => [word, list[i]!]));
  const relaxed = given.relaxed ?? false;
  if (given.inputs.every(([, values]) => values.length < 1000)) {
    given.inputs.forEach((_, i) => runAtEnd(launched, call, given, i));
  }
  const refused = bench.run(plan, { ...words, faults: fault }, "faults", new Int32Array(2), { relaxed });
  if (refused[0] !== 0) throw launched.refuse!(refused[1]!);
  // After the last run, which was compared with the others, everything written stands in the memory.
  const read = (address: number, like: Values): Values =>
    new (like.constructor as new (buffer: ArrayBuffer) => Values)(
      bench.memory.buffer.slice(address, address + like.byteLength),
    );
  return [
    ...given.outputs.map(([, like], i) => read(outputs[i]!, like)),
    ...overwrites.map((i) => read(inputs[i]!, given.inputs[i]![1])),
  ];
}
