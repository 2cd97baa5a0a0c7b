import { DeviceError } from "../../errors.ts";

const PAGE = 65536;
/** Everything starts on a cache line, so that two threads never write to one line. */
const ALIGNMENT = 64;
/** Kernels may read, never write, up to this many bytes past a tensor's end: ragged tails are loaded whole. */
const OVERREAD = 64;
/** 2 GiB. Addresses stay positive as signed 32-bit words. */
const LARGEST = 32768 * PAGE;

/** Stretches of memory that are handed out from front to back. */
interface Region {
  readonly stretches: { from: number; to: number }[];
  /** The stretch in use, and the first free address in it. */
  current: number;
  free: number;
}

/**
 * One WebAssembly memory with two regions: what lasts (variables, compiled kernels' bytes) and the arena of the running
 * step, which `reset` empties. Both grow by whole pages at the end of the memory, and neither shrinks.
 */
export class Memory {
  readonly wasm: WebAssembly.Memory;
  readonly shared: boolean;
  /** Views of the whole memory. Growing replaces them: do not keep them across an allocation. */
  int32!: Int32Array;
  float32!: Float32Array;
  /** Rises with every `reset`. */
  generation = 1;
  readonly #lasting: Region = { stretches: [], current: 0, free: 0 };
  readonly #arena: Region = { stretches: [], current: 0, free: 0 };
  readonly #largest: number;
  #end: number;

  /** `reserved` bytes at the start belong to the caller. */
  constructor(options: { shared: boolean; reserved: number; largest?: number }) {
    this.shared = options.shared;
    this.#largest = Math.floor(Math.min(options.largest ?? LARGEST, LARGEST) / PAGE);
    const initial = Math.ceil(options.reserved / PAGE);
    this.wasm = new WebAssembly.Memory({ initial, maximum: this.#largest, shared: this.shared });
    this.#end = initial * PAGE;
    this.#refresh();
  }

  /** Memory that is never taken back. */
  lasting(bytes: number): number {
    return this.#take(this.#lasting, bytes);
  }

  /** Memory until the next `reset`, not cleared. */
  arena(bytes: number): number {
    return this.#take(this.#arena, bytes);
  }

  /** Takes back what `arena` gave last. */
  giveBack(address: number): void {
    this.#arena.free = address;
  }

  reset(): void {
    const arena = this.#arena;
    arena.current = 0;
    arena.free = arena.stretches[0]?.from ?? 0;
    this.generation += 1;
  }

  /** Bytes of the whole memory. */
  get size(): number {
    return this.#end;
  }

  #take(region: Region, bytes: number): number {
    const needed = Math.ceil((bytes + OVERREAD) / ALIGNMENT) * ALIGNMENT;
    for (;;) {
      const stretch = region.stretches[region.current];
      if (stretch !== undefined && region.free + needed <= stretch.to) {
        const address = region.free;
        region.free += needed;
        return address;
      }
      if (region.current + 1 < region.stretches.length) {
        region.current += 1;
        region.free = region.stretches[region.current]!.from;
      } else {
        this.#extend(region, needed);
      }
    }
  }

  /** Appends pages to a region, generously: pages that nobody touches cost no memory. */
  #extend(region: Region, needed: number): void {
    const least = Math.ceil(needed / PAGE);
    const wanted = Math.ceil(Math.max(needed, 1 << 20, this.#end / 4) / PAGE);
    let pages = Math.min(wanted, this.#largest - this.#end / PAGE);
    if (pages < least) this.#fail(needed);
    if (!this.#grow(pages)) {
      pages = least;
      if (!this.#grow(pages)) this.#fail(needed);
    }
    const from = this.#end;
    this.#end += pages * PAGE;
    this.#refresh();
    const last = region.stretches.at(-1);
    if (last !== undefined && last.to === from) {
      last.to = this.#end;
    } else {
      region.stretches.push({ from, to: this.#end });
      region.current = region.stretches.length - 1;
      region.free = from;
    }
  }

  #grow(pages: number): boolean {
    try {
      this.wasm.grow(pages);
      return true;
    } catch {
      return false;
    }
  }

  #fail(needed: number): never {
    const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    throw new DeviceError(
      `wasm: out of memory, ${mebibytes(needed)} more were asked for with ${mebibytes(this.#end)} in use ` +
        `and ${mebibytes(this.#largest * PAGE)} allowed; use smaller batches, or return less from steps`,
    );
  }

  #refresh(): void {
    const { buffer } = this.wasm;
    this.int32 = new Int32Array(buffer);
    this.float32 = new Float32Array(buffer);
  }
}
