import { after, test } from "node:test";
import assert from "node:assert/strict";
import { resolveObjectURL } from "node:buffer";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker as NodeWorker } from "node:worker_threads";
import { DeviceError } from "../../../../lib/errors.ts";
import { Memory } from "../../../../lib/backends/wasm/memory.ts";
import { controlBytes, Pool } from "../../../../lib/backends/wasm/pool.ts";
import { findThreads, type Threads } from "../../../../lib/backends/wasm/threads.ts";
import { workerSource } from "../../../../lib/backends/wasm/worker.ts";
import { i32 } from "../../../../lib/wasm/assembler.ts";
import { emitRun, type Kernel } from "../../../../lib/wasm/kernel.ts";

const most = 300;

/** Adds to word `tile` of a list, after some rounds of a loop; the address of the list is its argument. */
function counting(name: string, rounds: number, by = 1): Kernel {
  return {
    key: name,
    arguments: ["list"],
    tiles: 1,
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = f.let(i32.add(i32.load(args), i32.mul(tile, 4)));
        const spent = f.let(i32.const(0));
        f.loop(0, rounds, 1, (i) => f.set(spent, i32.xor(i32.mul(spent, 3), i)));
        f.do(i32.store(word, i32.add(i32.load(word), i32.add(i32.and(spent, 0), by))));
      }),
  };
}

/** A worker whose kernels never end. */
const stuckSource = `WebAssembly.Instance = class { exports = { run() { for (;;); } } };${workerSource}`;

const pools: Pool[] = [];
after(() => Promise.all(pools.map((pool) => pool.close())));

interface PoolOptions {
  readonly source?: string;
  readonly patience?: number;
  readonly system?: Threads | null;
}

async function poolOf(threads: number, options: PoolOptions = {}) {
  const args = Math.ceil(controlBytes(threads) / 64) * 64;
  const memory = new Memory({ shared: threads > 1, reserved: args + 64 });
  const system = threads > 1 ? await findThreads(options.source ?? workerSource) : null;
  const pool = new Pool(memory, { threads, system, relaxed: false, ...options });
  pools.push(pool);
  const list = memory.lasting(4 * most);
  memory.int32[args / 4] = list;
  return { pool, memory, args, list };
}

/** Runs jobs until the pool breaks, which takes as long as its workers need to come up. */
function untilBroken(pool: Pool, args: number): unknown {
  const kernel = pool.load(counting("doomed", 20_000));
  const deadline = performance.now() + 20_000;
  while (performance.now() < deadline) {
    try {
      pool.run(kernel, args, 64);
    } catch (error) {
      return error;
    }
  }
  return assert.fail("the pool did not break within 20 s");
}

/** Jobs of many sizes; kernels appear as the jobs go by, and the memory grows under the workers. */
function countTiles({ pool, memory, args, list }: Awaited<ReturnType<typeof poolOf>>, jobs: number): void {
  const expected = new Int32Array(most);
  for (let job = 0; job < jobs; job++) {
    const tiles = 1 + ((job * 7919) % (job % 10 === 0 ? most : 9));
    const by = 1 + (job % 3);
    const kernel = pool.load(counting(`counting ${by} ${job >> 9}`, 100 * (job >> 9), by));
    if (job % 500 === 0) memory.lasting(3 << 20);
    pool.run(kernel, args, tiles);
    for (let tile = 0; tile < tiles; tile++) expected[tile]! += by;
  }
  assert.deepEqual(memory.int32.slice(list / 4, list / 4 + most), expected);
}

/** Runs jobs until all workers have come up and taken part. */
function untilJoined({ pool, args }: Awaited<ReturnType<typeof poolOf>>): void {
  const kernel = pool.load(counting("slow", 100_000));
  const deadline = performance.now() + 20_000;
  while (pool.joined < pool.threads - 1 && performance.now() < deadline) pool.run(kernel, args, 64);
  assert.equal(pool.joined, pool.threads - 1);
}

for (const threads of [1, 2, 8]) {
  test(`every tile of every job is done once, ${threads} threads`, async () => {
    const made = await poolOf(threads);
    countTiles(made, 1000);
    untilJoined(made);
    made.memory.int32.fill(0, made.list / 4, made.list / 4 + most);
    countTiles(made, 1000);
  });
}

test("where the main thread may not sleep it polls", async (t) => {
  t.mock.method(Atomics, "wait", () => {
    throw new TypeError("Atomics.wait cannot be called in this context");
  });
  const made = await poolOf(3);
  untilJoined(made);
  made.memory.int32.fill(0, made.list / 4, made.list / 4 + most);
  countTiles(made, 1000);
  const stuck = await poolOf(2, { source: stuckSource, patience: 200 });
  assert.match((untilBroken(stuck.pool, stuck.args) as Error).message, /no sign of life/);
});

test("the workers of a browser", async (t) => {
  // Stand-ins for what a page with cross-origin isolation has, over Node's own threads.
  const scope = `globalThis.WorkerGlobalScope = class {};
    globalThis.onmessage = null;
    const { parentPort } = require("node:worker_threads");
    globalThis.postMessage = (message) => parentPort.postMessage(message);
    parentPort.on("message", (data) => globalThis.onmessage({ data }));`;
  class PageWorker {
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onerror: ((event: { message: string }) => void) | null = null;
    readonly #worker: Promise<NodeWorker>;

    constructor(address: string) {
      this.#worker = (resolveObjectURL(address) as Blob).text().then((source) => {
        const worker = new NodeWorker(scope + source, { eval: true, execArgv: [] });
        worker.on("message", (data) => {
          this.onmessage!({ data });
          worker.unref();
        });
        worker.on("error", (error) => this.onerror!(error));
        return worker;
      });
    }

    postMessage(data: unknown): void {
      void this.#worker.then((worker) => worker.postMessage(data));
    }

    terminate(): void {
      void this.#worker.then((worker) => worker.terminate());
    }
  }
  const navigator = { hardwareConcurrency: 3 };
  const page = { Worker: PageWorker, crossOriginIsolated: true, navigator, process: undefined };
  const before = Object.keys(page).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  t.after(() => {
    for (const [name, descriptor] of before) {
      if (descriptor === undefined) delete (globalThis as Record<string, unknown>)[name];
      else Object.defineProperty(globalThis, name, descriptor);
    }
  });
  for (const [name, value] of Object.entries(page)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  const [system, broken] = [await findThreads(), await findThreads("throw new Error('no such page')")];
  Object.defineProperty(globalThis, "process", before.at(-1)![1]!);
  assert.deepEqual([system!.cores, system!.lazy], [3, false]);
  const made = await poolOf(3, { system });
  await made.pool.start();
  untilJoined(made);
  const failing = await poolOf(2, { system: broken });
  await assert.rejects(failing.pool.start(), /^DeviceError: wasm: worker 1 of 1 failed, no such page/);

  Object.defineProperty(globalThis, "crossOriginIsolated", { value: false });
  Object.defineProperty(globalThis, "process", { value: undefined, configurable: true });
  const alone = await findThreads();
  Object.defineProperty(globalThis, "process", before.at(-1)![1]!);
  assert.equal(alone, null);
});

test("a worker that dies while it holds a tile is an error that names it, now and later", async () => {
  const source = `const exit = () => process.exit(7);
    WebAssembly.Instance = class { exports = { run: exit } };${workerSource}`;
  const { pool, args } = await poolOf(2, { source, patience: 200 });
  const error = untilBroken(pool, args);
  assert.ok(error instanceof DeviceError);
  assert.match(error.message, /worker 1 of 1 failed, doomed: no sign of life for 0.2 s/);
  assert.throws(() => pool.run(pool.load(counting("later", 1)), args, 1), error);
});

test("a worker that gets stuck is an error that names it", async () => {
  const { pool, args } = await poolOf(3, { source: stuckSource, patience: 200 });
  assert.match((untilBroken(pool, args) as Error).message, /worker [12] of 2 failed, doomed: no sign of life/);
});

test("what goes wrong inside a worker is told at once", async () => {
  const broken = 'class { exports = { run() { throw new Error("no such luck"); } } }';
  const source = `WebAssembly.Instance = ${broken};${workerSource}`;
  const { pool, args } = await poolOf(2, { source });
  assert.match((untilBroken(pool, args) as Error).message, /worker 1 of 1 failed, doomed: no such luck/);
});

test("a worker that ends between jobs is an error", async () => {
  const source = `setTimeout(() => process.exit(3), 0);${workerSource.replace("run(require", "void (require")}`;
  const { pool, args } = await poolOf(2, { source });
  const kernel = pool.load(counting("patient", 1));
  pool.run(kernel, args, 8);
  await assert.rejects(async () => {
    for (;;) {
      pool.run(kernel, args, 8);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }, /worker 1 of 1 failed, it exited with code 3/);
});

test("workers that cannot be started are an error", async () => {
  const spawn = (): never => {
    throw new Error("this place allows none");
  };
  const { pool, args } = await poolOf(2, { system: { cores: 2, spawn, lazy: true } });
  const message = /wasm: worker 1 cannot be started, this place allows none; try 1 thread/;
  assert.match((untilBroken(pool, args) as Error).message, message);
});

test("workers are started once they pay, and not by jobs of one tile", async (t) => {
  let [started, clock, tick] = [0, 0, 0.25];
  t.mock.method(performance, "now", () => (clock += tick));
  const handle = { end: async () => {}, joined: Promise.resolve() };
  const spawn = () => ((started += 1), handle);
  const made = await poolOf(3, { system: { cores: 3, spawn, lazy: true } });
  const kernel = made.pool.load(counting("patient", 1));
  made.pool.run(kernel, made.args, 20);
  tick = 1000;
  for (let job = 0; job < 50; job++) made.pool.run(kernel, made.args, 1);
  assert.equal(started, 0);
  made.pool.run(kernel, made.args, 20);
  assert.equal(started, 2);
  // These never work; what was left of the job in whose middle they were started is done without them.
  const list = made.memory.int32.slice(made.list / 4, made.list / 4 + 21);
  assert.deepEqual([...list], [52, ...Array<number>(19).fill(2), 0]);
});

test("a closed pool refuses to run", async () => {
  const { pool, args } = await poolOf(2);
  const kernel = pool.load(counting("closing", 1));
  pool.run(kernel, args, 8);
  await pool.close();
  assert.throws(() => pool.run(kernel, args, 8), /the backend was closed/);
});

test("a program ends by itself, its workers with it", { timeout: 60_000 }, async () => {
  const backend = fileURLToPath(new URL("../../../../lib/backends/wasm/backend.ts", import.meta.url));
  const expression = fileURLToPath(new URL("../../../../lib/expression.ts", import.meta.url));
  const program = `
    import { createWasmBackend } from ${JSON.stringify(backend)};
    import { exp, input } from ${JSON.stringify(expression)};
    const backend = await createWasmBackend({ threads: 3 });
    const x = backend.variable("float", new Float32Array(100000));
    while (backend.pool.joined < 2) {
      const output = backend.allocate("float", 100000);
      const call = { expression: exp(input(0)), shape: [100000], inputs: [x], inputShapes: [[100000]] };
      backend.elementwise({ ...call, scalars: [], output });
      backend.reset();
    }
    console.log("done");
  `;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "--eval", program],
    { timeout: 30_000 },
  );
  assert.equal(stdout, "done\n");
});
