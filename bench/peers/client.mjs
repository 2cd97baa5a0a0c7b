// The driver's half of the protocol: starts a peer in a process of its own, asks it, and believes no time before the
// oracle has seen the evidence.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { complaint } from "./oracle.mjs";

export { works } from "./works.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const node = (script, ...rest) => ({
  command: () => [process.execPath, here(script), ...rest],
  missing: () => (existsSync(here("node_modules")) ? undefined : "run `npm ci` in bench/peers first"),
});

/** The first Python with torch among `$PYTHON`, `python3` and the system's own. */
function pythonWithTorch() {
  return [process.env.PYTHON, "python3", "/usr/bin/python3"].find(
    (python) => python && spawnSync(python, ["-c", "import torch"], { stdio: "ignore" }).status === 0,
  );
}

let python;
const torch = {
  command: () => [python, here("torch_peer.py")],
  missing: () => ((python ??= pythonWithTorch()) ? undefined : "no Python with torch found; set PYTHON to one"),
};

/** Our own side, from source. */
const own = (...rest) => ({
  command: () => [process.execPath, "--import", "tsx", here("../kilonet.ts"), ...rest],
  missing: () => undefined,
});

/** Every peer by name: how to start it, and with how many threads it can run. */
export const peers = {
  kilonet: { ...own(), threads: [1, 2] },
  "kilonet-fast": { ...own("--form", "fast"), threads: [1, 2] },
  "jax-js": { ...node("jax.mjs", "--form", "tuned"), threads: [1, 2] },
  "jax-js-plain": { ...node("jax.mjs", "--form", "plain"), threads: [1] },
  "tfjs-wasm": { ...node("tfjs.mjs"), threads: [1] },
  "onnxruntime-web": { ...node("onnx.mjs", "--form", "web"), threads: [1, 2] },
  "onnxruntime-node": { ...node("onnx.mjs", "--form", "node"), threads: [1, 2] },
  pytorch: { ...torch, threads: [1, 2] },
};

/** Why a peer cannot run here, or `undefined` where it can. */
export function missing(name) {
  return peers[name].missing();
}

/** Milliseconds that all processors together have worked since the machine started. */
function worked() {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

/** The line of an error message among what a process printed, or its last line. */
function lastWords(printed) {
  const lines = printed.trim().split("\n");
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1);
}

/**
 * Starts a peer. `ask(work, { repetitions, warmup })` gives its answer as serve.mjs describes it, with `failed` set
 * where it died, hung or gave wrong numbers, and `others`, the cores that other programs kept busy meanwhile;
 * `close()` ends it. Throws where the peer is missing.
 */
export function open(name, threads, { patience = 120_000 } = {}) {
  const reason = missing(name);
  if (reason) throw new Error(`${name} cannot run here: ${reason}`);
  const [command, ...rest] = peers[name].command();
  const child = spawn(command, [...rest, "--threads", String(threads)], { stdio: ["pipe", "pipe", "pipe"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const firstLosses = new Map(); // by work
  let printed = "";
  child.stderr.on("data", (text) => (printed = (printed + text).slice(-4000)));
  child.on("error", (error) => (printed += error.message));
  child.stdin.on("error", () => {}); // a dead peer shows as the end of its output

  async function ask(work, { repetitions, warmup } = {}) {
    let hung = false;
    const [before, start] = [worked(), performance.now()];
    const timer = setTimeout(() => (hung = child.kill("SIGKILL")), patience);
    child.stdin.write(JSON.stringify({ work, repetitions, warmup }) + "\n");
    const { value, done } = await lines.next();
    clearTimeout(timer);
    const failed = hung ? `no answer within ${patience} ms` : `the process ended: ${lastWords(printed)}`;
    const answer = done ? { peer: name, work, threads, failed } : JSON.parse(value);
    if (!done) answer.others = Math.max(0, (worked() - before - answer.processor) / (performance.now() - start));
    if (answer.evidence) {
      answer.failed ??= complaint(work, answer.evidence);
      firstLosses.set(work, answer.evidence[0]);
    }
    // A number that is not finite arrives as null.
    if ("loss" in answer && !(answer.loss !== null && answer.loss < firstLosses.get(work))) {
      answer.failed ??= `the loss did not fall: from ${firstLosses.get(work)} to ${answer.loss}`;
    }
    return answer;
  }

  return { name, threads, ask, close: () => child.stdin.end() };
}
