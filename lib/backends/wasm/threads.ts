import { workerSource } from "./worker.ts";

/** What a worker is handed at its start. */
export interface WorkerData {
  readonly memory: WebAssembly.Memory;
  /** Its number, from 1 up; the main thread is 0. */
  readonly worker: number;
}

export interface WorkerHandle {
  end(): Promise<unknown>;
  /** Settles when the worker runs; at once where workers start without the main thread's help. */
  readonly joined: Promise<unknown>;
}

/** Starts a worker. `failed` is told why it ended, when the event loop next turns. */
export type Spawn = (data: WorkerData, failed: (reason: string) => void) => WorkerHandle;

export interface Threads {
  readonly cores: number;
  readonly spawn: Spawn;
  /**
   * Whether workers come up while the main thread is busy, as in Node. Then they are started once there was work for
   * them, so that a short program never pays for them; elsewhere they are started, and waited for, with the backend.
   */
  readonly lazy: boolean;
}

/**
 * A module of Node, loaded when it is first asked for (`process.getBuiltinModule`) or, in an older Node, now. Bundlers
 * for the web see neither name.
 */
async function nodeModule<Module>(name: string): Promise<() => Module> {
  const builtin = `node:${name}`;
  const get = (process as { getBuiltinModule?: (name: string) => unknown }).getBuiltinModule;
  if (get !== undefined) return () => get(builtin) as Module;
  const module = (await import(/* @vite-ignore */ builtin)) as Module;
  return () => module;
}

function nodeSpawn(threads: () => typeof import("node:worker_threads"), source: string): Spawn {
  return (workerData, failed) => {
    const { Worker } = threads();
    // No flags of the parent: a loader given there would be loaded once more by each worker.
    const worker = new Worker(source, { eval: true, workerData, execArgv: [], name: `kilonet ${workerData.worker}` });
    worker.on("error", (error) => failed(error.message));
    worker.on("exit", (code) => failed(`it exited with code ${code}`));
    worker.unref();
    return { end: () => worker.terminate(), joined: Promise.resolve() };
  };
}

function webSpawn(source: string): Spawn {
  return (data, failed) => {
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(address, { name: `kilonet ${data.worker}` });
    const joined = new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = (event) => {
        failed(event.message);
        reject(new Error(event.message));
      };
    }).finally(() => URL.revokeObjectURL(address));
    worker.postMessage(data);
    return { end: async () => worker.terminate(), joined };
  };
}

/** How threads are made here, or `null` where there are none: no shared memory, or no workers. */
export async function findThreads(source = workerSource): Promise<Threads | null> {
  if (typeof SharedArrayBuffer === "undefined") return null;
  if (typeof process === "object" && process.versions?.node !== undefined) {
    const os = await nodeModule<typeof import("node:os")>("os");
    const threads = await nodeModule<typeof import("node:worker_threads")>("worker_threads");
    return { cores: os().availableParallelism(), spawn: nodeSpawn(threads, source), lazy: true };
  }
  if (typeof Worker === "undefined" || globalThis.crossOriginIsolated !== true) return null;
  return { cores: navigator.hardwareConcurrency, spawn: webSpawn(source), lazy: false };
}

/** Whether this thread may sleep in `Atomics.wait`: not the main thread of a browser. */
export function canSleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}
