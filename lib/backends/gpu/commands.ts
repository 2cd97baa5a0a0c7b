// Kernels that gpu.js has compiled, sent to the device many at a time. gpu.js sends every call alone: with a list of
// commands, an upload and a table of buffers for each, which cost ten times what the three commands of a kernel do.
// Here the kernels of a step go as one list.

import { type Encoder, type GpuBuffer, type Passing, uniform, type WebGpu } from "./webgpu.ts";

/** What gpu.js knows of a kernel that it has built. All its own: hence its exact version, and the proof before use. */
export interface Built {
  readonly computePipeline: object;
  readonly bindGroupLayout: object;
  /** Where the numbers lie that a kernel is given besides its arrays, in bytes. */
  readonly paramsLayout: {
    readonly arrayArgs: readonly { readonly dimsOffset: number }[];
    readonly scalarArgs: readonly { readonly type: string; readonly offset: number }[];
    readonly byteLength: number;
  };
  /** These numbers at the last run. */
  readonly paramsMirror: ArrayBuffer;
  _computeDispatch(threads: readonly number[]): { readonly groups: readonly number[]; readonly dispatchWidth: number };
}

/** A kernel as a list of commands takes it. */
export interface Command {
  readonly pipeline: object;
  readonly layout: object;
  readonly groups: readonly number[];
  /** What it is given besides its arrays; scalars are filled in at each call. */
  readonly block: Int32Array;
  /** Places of the scalars, in 32-bit words. */
  readonly scalars: readonly { readonly at: number; readonly isInteger: boolean }[];
}

/** The command of a kernel with so many threads, which reads arrays of these lengths. */
export function commandOf(built: Built, threads: readonly number[], lengths: readonly number[]): Command {
  const { paramsLayout } = built;
  const sizes = [...threads, 1, 1].slice(0, 3);
  const { groups, dispatchWidth } = built._computeDispatch(sizes);
  const block = new Int32Array(paramsLayout.byteLength / 4);
  block.set([...sizes, dispatchWidth]);
  paramsLayout.arrayArgs.forEach(({ dimsOffset }, i) => block.set([lengths[i]!, 1, 1, lengths[i]!], dimsOffset / 4));
  return {
    pipeline: built.computePipeline,
    layout: built.bindGroupLayout,
    groups,
    block,
    scalars: paramsLayout.scalarArgs.map(({ type, offset }) => ({ at: offset / 4, isInteger: type === "Integer" })),
  };
}

/** Writes what a call gives a kernel besides its arrays. */
export function fillBlock(
  { block, scalars }: Command,
  values: readonly number[],
  floats: Float32Array,
  ints: Int32Array,
  at = 0,
): void {
  ints.set(block, at);
  for (let i = 0; i < scalars.length; i++) {
    const { at: place, isInteger } = scalars[i]!;
    (isInteger ? ints : floats)[at + place] = values[i]!;
  }
}

/** A table of buffers, bound to a kernel. */
interface Group {
  readonly command: Command;
  readonly buffers: readonly GpuBuffer[];
  readonly table: object;
}

/** Words of all blocks of a list. A longer list is sent in parts. */
const room = 2 ** 14;
/** Blocks start at multiples of so many words: what every adapter takes. */
const alignment = 64;
/** How many tables are kept for a place in the list: equal steps take turns with the buffers of their variables. */
const most = 6;

export class Commands {
  readonly #context: WebGpu;
  readonly #blocks: GpuBuffer;
  readonly #floats: Float32Array;
  readonly #ints: Int32Array;
  /** What the block at each place was made for. */
  readonly #written: (Command | undefined)[] = [];
  /** Tables by the place of the kernel in the list: a step asks for the ones that the step before it had made. */
  readonly #groups: Group[][] = Array.from({ length: room / alignment }, () => []);
  /** Buffers that kernels of the list read or write. */
  readonly #used = new Set<GpuBuffer>();
  #encoder: Encoder | null = null;
  #pass: Passing | null = null;
  #pipeline: object | null = null;
  /** Where the next block lies, in words; and which words have changed since the last list. */
  #end = 0;
  #changed = { from: room, to: 0 };

  constructor(context: WebGpu) {
    this.#context = context;
    this.#blocks = context.device.createBuffer({ size: 4 * room, usage: uniform });
    const mirror = new ArrayBuffer(4 * room);
    this.#floats = new Float32Array(mirror);
    this.#ints = new Int32Array(mirror);
  }

  /** Appends a kernel. `buffers` are those that it reads in order, then the one that it writes. */
  add(command: Command, buffers: readonly GpuBuffer[], values: readonly number[]): void {
    const length = Math.ceil(command.block.length / alignment) * alignment;
    if (this.#end + length > room) this.flush();
    if (this.#pass === null) {
      this.#encoder = this.#context.device.createCommandEncoder();
      this.#pass = this.#encoder.beginComputePass();
    }
    const at = this.#end;
    this.#end += length;
    const place = at / alignment;
    if (command.scalars.length > 0 || this.#written[place] !== command) {
      fillBlock(command, values, this.#floats, this.#ints, at);
      this.#written.fill(undefined, place, this.#end / alignment);
      this.#written[place] = command;
      this.#changed.from = Math.min(this.#changed.from, at);
      this.#changed.to = this.#end;
    }
    for (const buffer of buffers) this.#used.add(buffer);
    if (this.#pipeline !== command.pipeline) this.#pass.setPipeline((this.#pipeline = command.pipeline));
    this.#pass.setBindGroup(0, this.#table(place, command, buffers));
    const [x, y, z] = command.groups;
    this.#pass.dispatchWorkgroups(x!, y!, z!);
  }

  #table(place: number, command: Command, buffers: readonly GpuBuffer[]): object {
    const kept = this.#groups[place]!;
    for (const group of kept) if (group.command === command && equal(group.buffers, buffers)) return group.table;
    const block = { buffer: this.#blocks, offset: 4 * alignment * place, size: command.block.byteLength };
    const resources = [block, ...buffers.map((buffer) => ({ buffer }))];
    const table = this.#context.device.createBindGroup({
      layout: command.layout,
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
    if (kept.length === most) kept.shift();
    kept.push({ command, buffers, table });
    return table;
  }

  /** Whether a kernel of the list, which was not sent yet, works with the buffer. */
  uses(buffer: GpuBuffer): boolean {
    return this.#used.has(buffer);
  }

  /** Sends the list. */
  flush(): void {
    if (this.#encoder === null || this.#pass === null) return;
    const { queue } = this.#context.device;
    const { from, to } = this.#changed;
    this.#pass.end();
    if (from < to) queue.writeBuffer(this.#blocks, 4 * from, this.#floats, from, to - from);
    queue.submit([this.#encoder.finish()]);
    this.#encoder = this.#pass = this.#pipeline = null;
    this.#end = 0;
    this.#changed = { from: room, to: 0 };
    this.#used.clear();
  }

  destroy(): void {
    this.#blocks.destroy();
  }
}

function equal(one: readonly GpuBuffer[], other: readonly GpuBuffer[]): boolean {
  for (let i = 0; i < other.length; i++) if (one[i] !== other[i]) return false;
  return true;
}
