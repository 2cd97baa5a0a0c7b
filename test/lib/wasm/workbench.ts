// A workbench for kernels under test: operands in one memory, each between guard zones that nothing may touch.

import assert from "node:assert/strict";
import { runPlan } from "../../../lib/wasm/kernel.ts";
import type { Plan } from "../../../lib/wasm/kernel.ts";

const guard = 64;
const guardByte = 0xa5;

/** Numbers on an even grid from -2 to 2, the same for the same seed. */
export function numbers(length: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 8) % 401) / 100 - 2;
  });
}

type Numbers = Float32Array | Uint8Array | Int32Array;

/** Lays out operands, runs plans forwards, backwards and shuffled, and sees that nothing else has changed. */
export class Workbench {
  readonly memory = new WebAssembly.Memory({ initial: 1 });
  #end = 256;
  readonly #inputs: { address: number; bytes: Uint8Array }[] = [];
  readonly #outputs: { address: number; bytes: Uint8Array }[] = [];

  /** Places numbers that the plan must leave alone; gives their address. */
  input(values: Numbers): number {
    return this.#place(values, this.#inputs);
  }

  /** Places numbers that the plan may write; they are the same at the start of every run. */
  output(values: Numbers): number {
    return this.#place(values, this.#outputs);
  }

  /** Runs the plan in three orders of tiles and gives what stands at `word`, after checking that they agree. */
  run<T extends Numbers>(
    plan: Plan,
    words: Record<string, number>,
    word: string,
    like: T,
    options: { relaxed?: boolean } = {},
  ): T {
    const scratch = this.#reserve(plan.scratchBytes);
    const orders = [
      (tiles: number[]) => tiles,
      (tiles: number[]) => [...tiles].reverse(),
      (tiles: number[]) => tiles.filter((t) => t % 3 === 1).concat(tiles.filter((t) => t % 3 !== 1)),
    ];
    let first: Uint8Array | undefined;
    for (const [i, order] of orders.entries()) {
      const memory = new Uint8Array(this.memory.buffer);
      memory.fill(guardByte);
      for (const { address, bytes } of [...this.#inputs, ...this.#outputs]) memory.set(bytes, address);
      // NaN first, then huge numbers: whoever reads what nobody wrote is found out.
      memory.fill(i === 0 ? 0xff : 0x7f, scratch, scratch + plan.scratchBytes);
      runPlan(this.memory, plan, 0, { ...words, scratch }, { ...options, order });
      const after = memory.slice();
      if (first === undefined) this.#onlyOutputsChanged(after, scratch, plan.scratchBytes);
      else
        for (const output of this.#outputs)
          assert.deepEqual(part(after, output), part(first, output), "order of tiles");
      first ??= after;
    }
    const copy = first!.slice(words[word]!, words[word]! + like.byteLength);
    return new (like.constructor as new (buffer: ArrayBuffer) => T)(copy.buffer as ArrayBuffer);
  }

  #onlyOutputsChanged(after: Uint8Array, scratch: number, scratchBytes: number): void {
    for (const input of this.#inputs) assert.deepEqual(part(after, input), input.bytes, "an input was written");
    const rest = after.slice();
    rest.fill(guardByte, 0, 256);
    for (const { address, bytes } of [...this.#inputs, ...this.#outputs]) {
      rest.fill(guardByte, address, address + bytes.length);
    }
    rest.fill(guardByte, scratch, scratch + scratchBytes);
    const touched = rest.findIndex((byte) => byte !== guardByte);
    assert.equal(touched, -1, `byte ${touched} outside every operand was written`);
  }

  #place(values: Numbers, among: { address: number; bytes: Uint8Array }[]): number {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
    const address = this.#reserve(bytes.length);
    among.push({ address, bytes });
    return address;
  }

  #reserve(bytes: number): number {
    const address = Math.ceil((this.#end + guard) / 16) * 16;
    this.#end = address + bytes + guard;
    const missing = this.#end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    return address;
  }
}

function part(bytes: Uint8Array, { address, bytes: { length } }: { address: number; bytes: Uint8Array }): Uint8Array {
  return bytes.slice(address, address + length);
}
