// A peer's half of the protocol: one JSON request per line in, one JSON answer per line out.
//
//   { "work": "lenet5-step-64", "repetitions": 20, "warmup": 2 }
//   { "peer": "jax-js", "version": "0.1.25", "work": "lenet5-step-64", "threads": 1,
//     "milliseconds": [96.1, ...], "cores": 1.0, "processor": 2110, "evidence": [4.344, 3.050, 2.697] }
//
// `cores` is processor time over wall time while the clock ran, `processor` the milliseconds for the whole request;
// both count all threads. `evidence` comes with a work's first answer, see oracle.mjs; `loss` with every answer to a
// step.
// Instead of `milliseconds` there may be `skipped`, the reason why this peer does not do this work.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { places, works } from "./works.mjs";

// Whatever a library prints must not stand between two answers.
console.log = console.info = console.warn = console.error;

const { threads, form } = parseArgs({
  options: { threads: { type: "string", default: "1" }, form: { type: "string" } },
}).values;

/** What the command line asked for: `--threads 2 --form plain`. */
export const asked = { threads: Number(threads), form };

/** The installed version of a package. */
export function version(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8")).version;
}

/**
 * Answers requests until the input ends.
 *
 * `prepare(work)` sets one work up, outside all timing, and gives an object with `run()`, timed until its promise
 * settles. A step's `run` ends with the loss as a number, an inference's goes from the images in a `Float32Array` to
 * the logits in another; a gemm's may leave the product in the library's own memory, from where `read(product)` and
 * `free(product)` get it, untimed. A string in place of the object is the reason for not doing this work.
 */
export async function serve({ peer, version, prepare }) {
  const ready = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const work = works[request.work];
    const answer = { peer, version, work: request.work, threads: asked.threads };
    const usage = process.cpuUsage();
    try {
      const first = !ready.has(work);
      if (first) ready.set(work, await prepare(work));
      const job = ready.get(work);
      if (typeof job === "string") answer.skipped = job;
      else {
        if (first) answer.evidence = await gather(job, work);
        Object.assign(answer, await measure(job, work, request));
      }
    } catch (error) {
      answer.failed = String(error?.message ?? error);
    }
    answer.processor = spent(usage);
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  process.exit(); // a library's own workers would keep the process alive
}

/** Processor time of all threads since `usage`, in milliseconds. */
function spent(usage) {
  const { user, system } = process.cpuUsage(usage);
  return (user + system) / 1000;
}

/** What the oracle wants to see: the first three losses, the first and last logits, or elements of the product. */
async function gather(job, work) {
  if (work.kind === "step") return [await job.run(), await job.run(), await job.run()];
  const result = await job.run();
  if (work.kind === "inference") return [...result.subarray(0, 10), ...result.subarray(-10)];
  const product = await job.read(result);
  job.free?.(result);
  return places(work).map((place) => product[place]);
}

async function measure(job, work, { repetitions = 10, warmup = 1 }) {
  const milliseconds = [];
  let result;
  let usage;
  let begin;
  for (let i = -warmup; i < repetitions; i++) {
    if (i === 0) [usage, begin] = [process.cpuUsage(), performance.now()];
    const start = performance.now();
    result = await job.run();
    if (i >= 0) milliseconds.push(performance.now() - start);
    job.free?.(result);
  }
  const cores = spent(usage) / (performance.now() - begin);
  return { milliseconds, cores, ...(work.kind === "step" && { loss: result }) };
}
