import { DeviceError } from "../../errors.ts";
import type { ElementType, NumberArray, Storage } from "../backend.ts";
import type { Memory } from "./memory.ts";

/** The generation of what is always in the memory. */
export const LASTING = 0;

/** Where a tensor's numbers are: in the memory, or (held) in an array that is brought there when a step needs it. */
export class WasmStorage implements Storage {
  readonly type: ElementType;
  readonly length: number;
  /** Set for held storage only. */
  readonly held: NumberArray | null;
  /** Byte address, valid while the arena's generation is `generation`, or always if that is `LASTING`. */
  address = 0;
  generation = -1;

  constructor(type: ElementType, length: number, held: NumberArray | null = null) {
    this.type = type;
    this.length = length;
    this.held = held;
  }
}

/** An array of this type with a copy of `values`. */
export function arrayOf(type: ElementType, values: ArrayLike<number>): Float32Array | Int32Array {
  return type === "int" ? new Int32Array(values) : new Float32Array(values);
}

/** The numbers in the memory. The view is made for this moment: it does not survive growth. */
export function viewOf({ float32, int32 }: Memory, { type, address, length }: WasmStorage): Float32Array | Int32Array {
  const first = address / 4;
  return type === "int" ? int32.subarray(first, first + length) : float32.subarray(first, first + length);
}

/** The byte address, after bringing held numbers into the arena of this step. */
export function place(memory: Memory, storage: WasmStorage): number {
  const { generation, held } = storage;
  if (generation === LASTING || generation === memory.generation) return storage.address;
  if (held === null) throw new DeviceError("wasm: storage of a step that has ended was used");
  storage.address = memory.arena(4 * storage.length);
  storage.generation = memory.generation;
  (storage.type === "int" ? memory.int32 : memory.float32).set(held, storage.address / 4);
  return storage.address;
}
