import { DeviceError } from "../../errors.ts";
import { f32x4, ModuleBuilder } from "../../wasm/assembler.ts";
import { elementwiseKernel } from "../../wasm/elementwise.ts";
import { hasRelaxedSimd, type Kernel } from "../../wasm/kernel.ts";
import { floatBits, type Launch } from "../../wasm/launch.ts";
import type { Call, Operation } from "../../ops/operation.ts";
import { equalShapes } from "../../shape.ts";
import type { Backend, ElementType, ElementwiseCall, NumberArray, Storage } from "../backend.ts";
import { Memory } from "./memory.ts";
import { controlBytes, type LoadedKernel, Pool } from "./pool.ts";
import { equalData, equalShapeLists, hashShape, Prepared, type Signature } from "./prepared.ts";
import { arrayOf, LASTING, place, viewOf, WasmStorage } from "./storage.ts";
import { findThreads } from "./threads.ts";

export interface WasmOptions {
  /**
   * How many threads work, the main one included. By default one per core, at most 8, where memory can be shared (Node,
   * and web pages with cross-origin isolation), else 1. More than one where memory cannot be shared is a `DeviceError`.
   */
  readonly threads?: number;
  /**
   * `deterministic` (default): the same bits on any machine, engine and number of threads. `fast`: multiplications and
   * additions may be fused (relaxed SIMD) where the engine can.
   */
  readonly precision?: "deterministic" | "fast";
}

interface Phase {
  readonly kernel: LoadedKernel;
  readonly tiles: number;
}

interface PreparedCall {
  readonly launch: Launch<unknown>;
  readonly phases: readonly Phase[];
  readonly table: number;
}

interface PreparedLoop extends Phase {
  readonly scalars: number;
  readonly geometry: readonly number[];
}

/** Structured operations: shapes, types and attributes of a call. */
const calls: Signature<Call<unknown>> = {
  hash: ({ inputs }) => {
    let hash = inputs.length;
    for (let i = 0; i < inputs.length; i++) hash = hashShape(hash, inputs[i]!.shape);
    return hash;
  },
  equal: (a, b) => {
    if (a.inputs.length !== b.inputs.length) return false;
    for (let i = 0; i < a.inputs.length; i++) {
      const [left, right] = [a.inputs[i]!, b.inputs[i]!];
      if (left.type !== right.type || !equalShapes(left.shape, right.shape)) return false;
    }
    return equalData(a.attributes, b.attributes);
  },
  copy: ({ attributes, inputs }) => ({
    attributes: structuredClone(attributes),
    inputs: inputs.map(({ shape, type }) => ({ shape: [...shape], type })),
    outputs: [],
    scalars: [],
    words: [],
  }),
};

/** Elementwise loops: all shapes. */
const loops: Signature<Pick<ElementwiseCall, "shape" | "inputShapes">> = {
  hash: ({ shape, inputShapes }) => {
    let hash = hashShape(0, shape);
    for (let i = 0; i < inputShapes.length; i++) hash = hashShape(hash, inputShapes[i]!);
    return hash;
  },
  equal: (a, b) => equalShapes(a.shape, b.shape) && equalShapeLists(a.inputShapes, b.inputShapes),
  copy: ({ shape, inputShapes }) => ({ shape: [...shape], inputShapes: inputShapes.map((input) => [...input]) }),
};

/** The longest list of argument words. */
const MOST_WORDS = 1024;
const MOST_THREADS = 64;
const DEFAULT_THREADS = 8;

/** Whether this engine can run the backend: WebAssembly with 128-bit SIMD. */
export function wasmAvailable(): boolean {
  if (typeof WebAssembly === "undefined") return false;
  const module = new ModuleBuilder({ shared: false });
  module.function({ parameters: ["v128"], result: "v128" }, (f, x) => f.return(f32x4.add(x, x)));
  return WebAssembly.validate(module.assemble());
}

/**
 * The SIMD backend. Where workers cannot come up while the main thread is busy (browsers) they are waited for here;
 * in Node they are started by the jobs that can use them, once they pay.
 * @throws DeviceError where the engine has no WebAssembly SIMD, or no shared memory although threads were asked for.
 */
export async function createWasmBackend({ threads, precision = "deterministic" }: WasmOptions = {}): Promise<Backend> {
  if (!wasmAvailable()) throw new DeviceError("wasm: this engine has no WebAssembly SIMD");
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS)) {
    throw new RangeError(`wasm: threads must be a whole number from 1 to ${MOST_THREADS}, got ${threads}`);
  }
  if (precision !== "deterministic" && precision !== "fast") {
    throw new RangeError(`wasm: precision must be "deterministic" or "fast", got ${String(precision)}`);
  }
  const system = threads === 1 ? null : await findThreads();
  if (threads !== undefined && threads > 1 && system === null) {
    throw new DeviceError(`wasm: ${threads} threads need memory that can be shared, which this place does not allow`);
  }
  const count = threads ?? Math.min(system?.cores ?? 1, DEFAULT_THREADS);
  const relaxed = precision === "fast" && hasRelaxedSimd();
  const args = Math.ceil(controlBytes(count) / 64) * 64;
  const memory = new Memory({ shared: count > 1, reserved: args + 4 * MOST_WORDS });
  const pool = new Pool(memory, { threads: count, system, relaxed });
  if (count > 1 && !system!.lazy) await pool.start();
  return new WasmBackend(memory, pool, args, describe(count, precision, relaxed));
}

function describe(threads: number, precision: "deterministic" | "fast", relaxed: boolean): string {
  const simd = relaxed ? "relaxed SIMD" : precision === "fast" ? "SIMD (this engine has no relaxed SIMD)" : "SIMD";
  return `wasm: ${simd}, ${relaxed ? "fast" : "deterministic"}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

export class WasmBackend implements Backend {
  readonly name = "wasm";
  readonly description: string;
  readonly remote = false;
  readonly fusion = { inputs: 8, cost: 64 };
  readonly pool: Pool;
  readonly #memory: Memory;
  /** Where every kernel finds its words. */
  readonly #args: number;
  /** Two words for a value that a kernel refuses. */
  readonly #fault: number;
  readonly #calls = new Prepared<Call<unknown>, PreparedCall>(calls);
  readonly #loops = new Prepared<Pick<ElementwiseCall, "shape" | "inputShapes">, PreparedLoop>(loops);
  readonly #tables = new Map<Float32Array, number>();

  /** `args` is the byte address of the room for argument words. */
  constructor(memory: Memory, pool: Pool, args: number, description: string) {
    this.#memory = memory;
    this.pool = pool;
    this.#args = args;
    this.#fault = memory.lasting(8);
    this.description = description;
  }

  hold(type: ElementType, values: ArrayLike<number>): Storage {
    return new WasmStorage(type, values.length, arrayOf(type, values));
  }

  variable(type: ElementType, values: ArrayLike<number>): Storage {
    const storage = new WasmStorage(type, values.length);
    storage.address = this.#memory.lasting(4 * values.length);
    storage.generation = LASTING;
    viewOf(this.#memory, storage).set(values);
    return storage;
  }

  allocate(type: ElementType, length: number): Storage {
    const storage = new WasmStorage(type, length);
    storage.address = this.#memory.arena(4 * length);
    storage.generation = this.#memory.generation;
    return storage;
  }

  reset(): void {
    this.#memory.reset();
  }

  keep(storage: Storage): Storage {
    return new WasmStorage(storage.type, storage.length, this.readSync(storage));
  }

  async read(storage: Storage): Promise<NumberArray> {
    return this.readSync(storage);
  }

  readSync(storage: Storage): NumberArray {
    const from = storage as WasmStorage;
    if (from.held !== null) return from.held.slice();
    place(this.#memory, from);
    return viewOf(this.#memory, from).slice();
  }

  write(storage: Storage, values: ArrayLike<number>): void {
    if ((storage as WasmStorage).held !== null) throw new DeviceError("wasm: held storage cannot be overwritten");
    place(this.#memory, storage as WasmStorage);
    viewOf(this.#memory, storage as WasmStorage).set(values);
  }

  elementwise(call: ElementwiseCall): void {
    const { expression, inputs, scalars, output } = call;
    const loop = this.#loops.find(expression, call) ?? this.#prepareLoop(call);
    const from = inputs.map((input) => place(this.#memory, input as WasmStorage));
    const { int32 } = this.#memory;
    let at = this.#args / 4;
    int32[at++] = (output as WasmStorage).address;
    for (const address of from) int32[at++] = address;
    // An expression may use fewer scalars than it is given.
    for (let i = 0; i < loop.scalars; i++) int32[at++] = floatBits(scalars[i]!);
    for (const word of loop.geometry) int32[at++] = word;
    this.pool.run(loop.kernel, this.#args, loop.tiles);
  }

  run<Attributes>(
    operation: Operation<Attributes>,
    call: Call<Attributes>,
    inputs: readonly Storage[],
    outputs: readonly Storage[],
  ): void {
    const memory = this.#memory;
    const { launch, phases, table } = this.#calls.find(operation, call) ?? this.#prepareCall(operation, call);
    const at = {
      inputs: inputs.map((input) => place(memory, input as WasmStorage)),
      outputs: outputs.map((output) => (output as WasmStorage).address),
      scratch: launch.plan.scratchBytes === 0 ? 0 : memory.arena(launch.plan.scratchBytes),
      table,
      fault: this.#fault,
    };
    const words = launch.words(at, call);
    const { int32 } = memory;
    const first = this.#args / 4;
    for (let i = 0; i < words.length; i++) int32[first + i] = words[i]!;
    const fault = this.#fault / 4;
    int32[fault] = 0;
    for (const { kernel, tiles } of phases) this.pool.run(kernel, this.#args, tiles);
    if (at.scratch !== 0) memory.giveBack(at.scratch);
    if (launch.refuse !== undefined && int32[fault] !== 0) throw launch.refuse(int32[fault + 1]!);
  }

  #prepareLoop(call: ElementwiseCall): PreparedLoop {
    const { kernel, scalars, geometry } = elementwiseKernel(call.expression, call.shape, call.inputShapes);
    return this.#loops.add(call.expression, call, { ...this.#phase(kernel), scalars, geometry });
  }

  #prepareCall<Attributes>(operation: Operation<Attributes>, call: Call<Attributes>): PreparedCall {
    const launch = operation.wasm(call) as Launch<unknown>;
    const phases = launch.plan.phases.map((kernel) => this.#phase(kernel));
    return this.#calls.add(operation, call, { launch, phases, table: this.#bring(launch.table) });
  }

  #phase(kernel: Kernel): Phase {
    if (kernel.arguments.length > MOST_WORDS) {
      throw new RangeError(`${kernel.key}: at most ${MOST_WORDS} words, got ${kernel.arguments.length}`);
    }
    return { kernel: this.pool.load(kernel), tiles: kernel.tiles };
  }

  /** The address of a table, which is brought into the memory once. */
  #bring(table: Float32Array | undefined): number {
    if (table === undefined) return 0;
    let address = this.#tables.get(table);
    if (address === undefined) {
      address = this.#memory.lasting(table.byteLength);
      this.#memory.float32.set(table, address / 4);
      this.#tables.set(table, address);
    }
    return address;
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}
