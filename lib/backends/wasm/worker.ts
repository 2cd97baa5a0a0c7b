// What a worker thread runs, and the block of shared words through which it is spoken to: a thread that sleeps in
// `Atomics.wait` receives no messages.
//
// A *job* is one kernel over a number of tiles. Its words are guarded by `sequence`, odd while the main thread writes
// them, two higher once a new job can be read. Tiles are claimed as tickets: `next` only ever rises, each job owns the
// tickets `first` to `first + tiles - 1`, so a late worker that still holds an old job's words cannot claim a new job's
// tile by mistake (tickets wrap at 2^32; comparisons are differences).

/** Word offsets of the control block. What different threads write at a high rate lies on different cache lines. */
export const control = {
  sequence: 0,
  /** Workers asleep on `sequence`. */
  sleepers: 1,
  next: 16,
  /** Tiles of the job that are done. */
  done: 32,
  /** 1 while the main thread sleeps on `done`. */
  awaited: 33,
  first: 48,
  tiles: 49,
  /** Number of the kernel, and where the bytes of its module lie. */
  kernel: 50,
  code: 51,
  codeBytes: 52,
  /** Byte address of the kernel's arguments. */
  args: 53,
  /** Number of the first worker that failed, 0 for none, -1 while it writes its message: length, then characters. */
  failed: 64,
  message: 65,
  messageLimit: 255,
  /** Per worker, from here on, in steps of `workerWords`: */
  workers: 384,
  workerWords: 16,
  /** Rises with every tile that the worker claims. */
  heartbeat: 0,
  /** 1 while the worker may hold a tile. */
  busy: 1,
  /** 1 once the worker has started. */
  joined: 2,
} as const;

/**
 * Rounds that an idle thread looks for work before it sleeps: 26 microseconds on a 2.1 GHz Xeon (Node 20), longer than
 * the pauses between the kernels of a step. Five and twenty times as many made a LeNet-5 step slower there with all
 * cores busy (16.1 ms became 18.6 and 22.6, two threads): a thread that looks keeps the core from one that works.
 */
export const SPIN = 4000;

/**
 * A script, the same for `node:worker_threads` and for the web's `Worker`. It is text because a bundler would neither
 * find nor place a file for it. It is handed `{ memory, worker }`, the worker's number from 1 up.
 */
export const workerSource = `"use strict";
const run = ({ memory, worker }) => {
  const words = new Int32Array(memory.buffer, 0, ${control.workers} + ${control.workerWords} * (worker + 1));
  const own = ${control.workers} + ${control.workerWords} * worker;
  const kernels = [];

  const load = (code, bytes) => {
    // After another thread grew the memory, this one learns of it at its next interrupt check: a loop has one.
    while (memory.buffer.byteLength < code + bytes);
    const copy = new Uint8Array(memory.buffer, code, bytes).slice();
    return new WebAssembly.Instance(new WebAssembly.Module(copy), { env: { memory } }).exports.run;
  };

  const work = (sequence) => {
    const first = Atomics.load(words, ${control.first});
    const tiles = Atomics.load(words, ${control.tiles});
    const kernel = Atomics.load(words, ${control.kernel});
    const code = Atomics.load(words, ${control.code});
    const bytes = Atomics.load(words, ${control.codeBytes});
    const args = Atomics.load(words, ${control.args});
    if (Atomics.load(words, ${control.sequence}) !== sequence) return;
    const execute = (kernels[kernel] ??= load(code, bytes));
    let done = 0;
    for (;;) {
      const ticket = Atomics.load(words, ${control.next});
      const tile = (ticket - first) >>> 0;
      if (tile >= tiles) break;
      if (Atomics.compareExchange(words, ${control.next}, ticket, (ticket + 1) | 0) !== ticket) continue;
      Atomics.add(words, own + ${control.heartbeat}, 1);
      execute(args, tile);
      done++;
    }
    if (done > 0) {
      Atomics.add(words, ${control.done}, done);
      if (Atomics.load(words, ${control.awaited}) === 1) Atomics.notify(words, ${control.done});
    }
  };

  const fail = (error) => {
    if (Atomics.compareExchange(words, ${control.failed}, 0, -1) === 0) {
      const text = String((error && error.message) || error).slice(0, ${control.messageLimit});
      words[${control.message}] = text.length;
      for (let i = 0; i < text.length; i++) words[${control.message} + 1 + i] = text.charCodeAt(i);
      Atomics.store(words, ${control.failed}, worker);
    }
    Atomics.notify(words, ${control.done});
  };

  Atomics.store(words, own + ${control.joined}, 1);
  let seen = 0;
  try {
    for (;;) {
      let sequence = seen;
      for (let spin = 0; sequence === seen && spin < ${SPIN}; spin++) {
        sequence = Atomics.load(words, ${control.sequence});
      }
      if (sequence === seen) {
        Atomics.add(words, ${control.sleepers}, 1);
        Atomics.wait(words, ${control.sequence}, seen);
        Atomics.sub(words, ${control.sleepers}, 1);
      } else if ((sequence & 1) === 0) {
        Atomics.store(words, own + ${control.busy}, 1);
        work(sequence);
        Atomics.store(words, own + ${control.busy}, 0);
        seen = sequence;
      }
    }
  } catch (error) {
    fail(error);
  }
};
if (typeof WorkerGlobalScope === "undefined") {
  run(require("node:worker_threads").workerData);
} else {
  onmessage = ({ data }) => {
    postMessage("joined");
    run(data);
  };
}
`;
