import { DeviceError } from "../../errors.ts";
import type { Kernel } from "../../wasm/kernel.ts";
import type { Memory } from "./memory.ts";
import { canSleep, type Threads, type WorkerHandle } from "./threads.ts";
import { control, SPIN } from "./worker.ts";

/** Bytes at the start of the memory through which the pool speaks to so many threads. */
export function controlBytes(threads: number): number {
  return 4 * (control.workers + control.workerWords * threads);
}

/** A kernel's module, ready to run on every thread. */
export interface LoadedKernel {
  readonly key: string;
  readonly number: number;
  readonly run: (args: number, tile: number) => void;
  /** Where the module's bytes lie, for the workers. */
  readonly code: number;
  readonly codeBytes: number;
}

/** A wait is cut into slices; after each one the workers' heartbeats are looked at. */
const SLICE_MILLISECONDS = 50;
const PATIENCE_MILLISECONDS = 10_000;

/**
 * How long tiles that others could have run are run alone before workers are started: about what that costs. One worker
 * added 15 ms to a process of one inference of LeNet-5, whose tiles take 2 (Node 20, two cores of a 2.1 GHz Xeon).
 */
const ALONE_MILLISECONDS = 10;

/**
 * Runs kernels on the main thread and, when there is more than one tile, on workers beside it. All threads claim tiles
 * one by one, because the system may keep two of them on one core for seconds: halves fixed beforehand would wait for
 * the slower one. A job ends when all its tiles are done.
 *
 * While others finish their last tiles the main thread sleeps; on the main thread of a browser, where that is
 * forbidden, it polls. A worker that fails, ends, or shows no sign of life for `patience` milliseconds while a job
 * waits for it breaks the pool: this and every later job throw a `DeviceError` that names it.
 */
export class Pool {
  readonly threads: number;
  readonly #memory: Memory;
  readonly #words: Int32Array;
  readonly #system: Threads | null;
  readonly #relaxed: boolean;
  readonly #patience: number;
  readonly #sleeps: boolean;
  readonly #kernels = new Map<string, LoadedKernel>();
  #workers: WorkerHandle[] | null = null;
  #aloneMilliseconds = 0;
  #broken: DeviceError | null = null;

  /** `memory` is shared if there is more than one thread, and starts with `controlBytes(threads)` of zeros. */
  constructor(
    memory: Memory,
    options: { threads: number; system: Threads | null; relaxed: boolean; patience?: number },
  ) {
    this.#memory = memory;
    this.#words = new Int32Array(memory.wasm.buffer, 0, controlBytes(options.threads) / 4);
    this.threads = options.threads;
    this.#system = options.system;
    this.#relaxed = options.relaxed;
    this.#patience = options.patience ?? PATIENCE_MILLISECONDS;
    this.#sleeps = options.threads > 1 && canSleep();
  }

  /** Starts the workers; the promise settles when they have come up. Without it jobs start them, once that pays. */
  start(): Promise<unknown> {
    this.#workers ??= Array.from({ length: this.threads - 1 }, (_, i) => this.#spawn(i + 1));
    return Promise.all(this.#workers.map(({ joined }) => joined)).catch((error: unknown) => {
      throw this.#broken ?? error;
    });
  }

  #spawn(worker: number): WorkerHandle {
    try {
      return this.#system!.spawn({ memory: this.#memory.wasm, worker }, (reason) => this.#break(worker, reason));
    } catch (error) {
      throw new DeviceError(`wasm: worker ${worker} cannot be started, ${(error as Error).message}; try 1 thread`);
    }
  }

  /** Workers that have come up so far. */
  get joined(): number {
    let joined = 0;
    for (let worker = 1; worker < this.threads; worker++) joined += this.#own(worker, control.joined);
    return joined;
  }

  load(kernel: Kernel): LoadedKernel {
    let loaded = this.#kernels.get(kernel.key);
    if (loaded !== undefined) return loaded;
    const bytes = kernel.emit({ shared: this.#memory.shared, relaxed: this.#relaxed });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory: this.#memory.wasm } });
    let code = 0;
    if (this.threads > 1) {
      code = this.#memory.lasting(bytes.length);
      new Uint8Array(this.#memory.wasm.buffer).set(bytes, code);
    }
    const run = instance.exports["run"] as LoadedKernel["run"];
    loaded = { key: kernel.key, number: this.#kernels.size, run, code, codeBytes: bytes.length };
    this.#kernels.set(kernel.key, loaded);
    return loaded;
  }

  /** Runs all tiles and returns when they are done. `args` is the byte address of the kernel's words. */
  run(kernel: LoadedKernel, args: number, tiles: number): void {
    if (this.#broken !== null) throw this.#broken;
    if (tiles === 1 || this.threads === 1) {
      for (let tile = 0; tile < tiles; tile++) kernel.run(args, tile);
      return;
    }
    const words = this.#words;
    const first = Atomics.load(words, control.next);
    Atomics.add(words, control.sequence, 1);
    Atomics.store(words, control.first, first);
    Atomics.store(words, control.tiles, tiles);
    Atomics.store(words, control.kernel, kernel.number);
    Atomics.store(words, control.code, kernel.code);
    Atomics.store(words, control.codeBytes, kernel.codeBytes);
    Atomics.store(words, control.args, args);
    Atomics.store(words, control.done, 0);
    Atomics.add(words, control.sequence, 1);
    if (Atomics.load(words, control.sleepers) > 0) Atomics.notify(words, control.sequence, tiles - 1);

    const mine = this.#claim(kernel, args, first, tiles);
    this.#finish(kernel, tiles - mine);
  }

  /** Works until no tile is left to claim, and returns how many were this thread's. */
  #claim(kernel: LoadedKernel, args: number, first: number, tiles: number): number {
    const words = this.#words;
    let mine = 0;
    for (;;) {
      const ticket = Atomics.load(words, control.next);
      const tile = (ticket - first) >>> 0;
      if (tile >= tiles) return mine;
      // Workers that come up in the middle of a job take part in it.
      if (this.#workers === null && this.#aloneMilliseconds >= ALONE_MILLISECONDS) void this.start();
      if (Atomics.compareExchange(words, control.next, ticket, (ticket + 1) | 0) !== ticket) continue;
      this.#runTile(kernel, args, tile);
      mine += 1;
    }
  }

  #runTile(kernel: LoadedKernel, args: number, tile: number): void {
    const start = this.#workers === null ? performance.now() : null;
    try {
      kernel.run(args, tile);
    } catch (error) {
      throw this.#break(0, `${kernel.key}: ${(error as Error).message}`);
    }
    if (start !== null) this.#aloneMilliseconds += performance.now() - start;
  }

  /** Waits until the workers have done `tiles` tiles. */
  #finish(kernel: LoadedKernel, tiles: number): void {
    const words = this.#words;
    for (let spin = 0; spin < SPIN; spin++) {
      if (Atomics.load(words, control.done) === tiles) return this.#checkFailures(kernel);
    }
    let life = "";
    let silent = 0;
    Atomics.store(words, control.awaited, 1);
    for (;;) {
      const done = Atomics.load(words, control.done);
      this.#checkFailures(kernel);
      if (done === tiles) break;
      // Time is counted in slices, not read from a clock: while the whole process is stopped, nobody is late.
      if (!this.#sleep(done)) continue;
      const beats = this.#life();
      silent = beats === life ? silent + SLICE_MILLISECONDS : 0;
      life = beats;
      if (silent >= this.#patience) this.#nameTheDead(kernel);
    }
    Atomics.store(words, control.awaited, 0);
  }

  /** Waits for a change of `done`; true when a whole slice went by. */
  #sleep(done: number): boolean {
    const words = this.#words;
    if (this.#sleeps) return Atomics.wait(words, control.done, done, SLICE_MILLISECONDS) === "timed-out";
    const until = performance.now() + SLICE_MILLISECONDS;
    while (Atomics.load(words, control.done) === done && Atomics.load(words, control.failed) === 0) {
      if (performance.now() >= until) return true;
    }
    return false;
  }

  #own(worker: number, word: number): number {
    return Atomics.load(this.#words, control.workers + control.workerWords * worker + word);
  }

  /** All heartbeats, to see whether any of them has changed. */
  #life(): string {
    let life = "";
    for (let worker = 1; worker < this.threads; worker++) life += `${this.#own(worker, control.heartbeat)} `;
    return life;
  }

  #checkFailures(kernel: LoadedKernel): void {
    const failed = Atomics.load(this.#words, control.failed);
    if (failed <= 0) return;
    const { message } = control;
    const text = String.fromCharCode(...this.#words.subarray(message + 1, message + 1 + this.#words[message]!));
    throw this.#break(failed, `${kernel.key}: ${text}`);
  }

  #nameTheDead(kernel: LoadedKernel): never {
    let worker = 1;
    while (worker < this.threads - 1 && this.#own(worker, control.busy) === 0) worker += 1;
    throw this.#break(worker, `${kernel.key}: no sign of life for ${this.#patience / 1000} s`);
  }

  /** The pool is of no use any more: some tiles may never be done. */
  #break(worker: number, reason: string): DeviceError {
    if (this.#broken === null) {
      const who = worker === 0 ? "the main thread" : `worker ${worker} of ${this.threads - 1}`;
      this.#broken = new DeviceError(`wasm: ${who} failed, ${reason}; the backend cannot be used any more`);
      void this.#end();
    }
    return this.#broken;
  }

  async #end(): Promise<void> {
    await Promise.all((this.#workers ?? []).map((worker) => worker.end()));
  }

  /** Ends the workers. */
  async close(): Promise<void> {
    this.#broken ??= new DeviceError("wasm: the backend was closed");
    await this.#end();
  }
}
