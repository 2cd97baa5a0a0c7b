// Runs the program on every device of this browser and posts what came out, one message per device.

/* global crossOriginIsolated, document, fetch, location, setTimeout, Worker */
import { createRuntime } from "kilonet";
import { operations } from "./operations.js";
import { distance, run, training } from "./program.js";
import { webgl2 } from "./webgl2.js";

const post = (message) => fetch("/found", { method: "POST", body: JSON.stringify(message) });
const message = (error) => `${error?.name}: ${error?.message}${error?.cause === undefined ? "" : ` (${error.cause})`}`;

/** Posts what `body` gives under `name`, or why it gave nothing. */
async function report(name, body) {
  try {
    await post({ name, found: await body() });
  } catch (error) {
    await post({ name, error: message(error) });
  }
}

const names = ["lenet300-2500.knet", "lenet5-638.knet"];
const files = {};
for (const name of names) {
  files[name] = new Uint8Array(await (await fetch(`/models/zoo/${name}`)).arrayBuffer());
}

const baseline = { device: "wasm", threads: 1 };
/** What `program` gives, with the arrays that `arrays` finds in it as their distance from the baseline's. */
const wanted = new Map();
async function compared(program, options) {
  const found = await program(options);
  if (!wanted.has(program)) wanted.set(program, found);
  return apart(found, wanted.get(program));
}

/** Every array of numbers becomes its distance from the one at its place in `want`. */
function apart(found, want) {
  if (found instanceof Float32Array) return distance(found, want);
  if (found === null || typeof found !== "object") return found;
  const entries = Object.entries(found).map(([name, value]) => [name, apart(value, want[name])]);
  return Array.isArray(found) ? entries.map(([, value]) => value) : Object.fromEntries(entries);
}

/** The program, and how many workers were started for it. */
async function program(options) {
  const own = globalThis.Worker;
  let workers = 0;
  globalThis.Worker = class extends own {
    constructor(...from) {
      super(...from);
      workers += 1;
    }
  };
  try {
    return { ...(await run(options, files)), workers };
  } finally {
    globalThis.Worker = own;
  }
}

await report("isolated", () => crossOriginIsolated);
await report("wasm, 1 thread", () => compared(program, baseline));
await report("wasm, 2 threads", () => compared(program, { device: "wasm", threads: 2 }));
await report("in a worker", async () => {
  const worker = new Worker("worker.js", { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage({ options: { device: "wasm", threads: 2 }, training });
    });
  } finally {
    worker.terminate();
  }
});
for (const mode of ["cpu", "webasm", "webgl2", "webgpu"]) {
  await report(`gpu, ${mode}`, () => compared(program, { device: "gpu", mode }));
}
// The other modes run the same in Node, whose tests try more. What gpu.js takes memory for one by one, a page of
// Chromium has room for only about a hundred of: kernels of the mode webasm.
await compared(operations, baseline);
for (const mode of ["webgl2", "webgpu"]) {
  await report(`operations, ${mode}`, () => compared(operations, { device: "gpu", mode }));
}
await report("webgl2 alone", webgl2);
await report("unknown mode", () => createRuntime({ device: "gpu", mode: "webgl" }).then(() => "opened"));

/** The example, as a visitor sees it. */
await report("example", async () => {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.src = "/examples/browser/index.html";
  await new Promise((resolve) => (frame.onload = resolve));
  while (frame.contentDocument.body.dataset.done !== "true") {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const link = frame.contentDocument.querySelector("#file");
  const bytes = await (await fetch(link.href)).arrayBuffer();
  const { textContent: status } = frame.contentDocument.querySelector("#status");
  return { status, bytes: bytes.byteLength, digits: frame.contentDocument.querySelectorAll("canvas").length };
});

// Headers belong to a page: what is so without them is another one's to find out.
location.href = "/alone/test/browser/alone.html";
