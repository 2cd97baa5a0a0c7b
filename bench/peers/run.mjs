// Every peer that is here, over all works, in one run: the sides take turns, so that whatever else the machine does
// meets them alike. Prints a Markdown table per work.
//
//   node run.mjs [--works lenet5-step-64,gemm-512] [--peers pytorch,jax-js] [--rounds 5] [--milliseconds 500]

import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { missing, open, peers, works } from "./client.mjs";

const options = parseArgs({
  options: {
    works: { type: "string", default: Object.keys(works).join() },
    peers: { type: "string", default: Object.keys(peers).join() },
    rounds: { type: "string", default: "5" },
    milliseconds: { type: "string", default: "500" }, // about so long is each side's turn
  },
}).values;

function chosen(list, from, what) {
  const names = list.split(",");
  const strange = names.find((name) => !(name in from));
  if (strange !== undefined) throw new RangeError(`${what}: expected some of ${Object.keys(from)}, got ${strange}`);
  return names;
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const shown = (milliseconds) => milliseconds.toPrecision(milliseconds < 1000 ? 3 : 4);

async function compare(work, sides) {
  const results = [];
  for (const side of sides) {
    const answer = await side.ask(work, { repetitions: 3, warmup: 2 });
    const fitting = Math.round(options.milliseconds / median(answer.milliseconds ?? [1]));
    const repetitions = Math.min(300, Math.max(1, fitting));
    results.push({ side, answer, repetitions, milliseconds: [], processor: 0 });
  }
  const timed = results.filter(({ answer }) => answer.milliseconds && !answer.failed);
  for (let round = 0; round < Number(options.rounds); round++) {
    // Each round starts with another side, so that none always follows the same neighbour.
    for (let i = 0; i < timed.length; i++) {
      const result = timed[(i + round) % timed.length];
      const answer = await result.side.ask(work, { repetitions: result.repetitions, warmup: 1 });
      if (answer.failed) {
        result.answer.failed = answer.failed;
        continue;
      }
      const wall = answer.milliseconds.reduce((sum, value) => sum + value, 0);
      result.milliseconds.push(...answer.milliseconds);
      result.processor += answer.cores * wall;
    }
  }
  return results;
}

function table(work, results) {
  const { kind, m, k, n } = works[work];
  const gemm = kind === "gemm";
  const heads = ["peer", "version", "threads", "median ms", "min", "max", "cores", ...(gemm ? ["GFLOP/s"] : [])];
  const rule = heads.map((_, i) => (i < 2 ? "---" : "---:"));
  const lines = [`### ${work}`, "", `| ${heads.join(" | ")} |`, `| ${rule.join(" | ")} |`];
  const ranked = results.filter(({ answer }) => !answer.skipped && !answer.failed);
  ranked.sort((a, b) => median(a.milliseconds) - median(b.milliseconds));
  for (const { answer, side, milliseconds, processor } of ranked) {
    const middle = median(milliseconds);
    const cores = processor / milliseconds.reduce((sum, value) => sum + value, 0);
    const cells = [side.name, answer.version, side.threads, shown(middle)];
    cells.push(shown(Math.min(...milliseconds)), shown(Math.max(...milliseconds)), cores.toFixed(2));
    if (gemm) cells.push(((2 * m * k * n) / middle / 1e6).toFixed(1));
    lines.push(`| ${cells.join(" | ")} |`);
  }
  for (const { answer, side } of results) {
    if (answer.failed) lines.push("", `${side.name}, threads ${side.threads}, failed: ${answer.failed}`);
  }
  return lines.join("\n");
}

const load = () => loadavg().map((value) => value.toFixed(1)).join(" ");

const today = new Date().toISOString().slice(0, 10);
console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}, ${today}.`);
console.log(`Load before: ${load()}.\n`);
const sides = [];
for (const name of chosen(options.peers, peers, "--peers")) {
  const reason = missing(name);
  if (reason) console.log(`${name} skipped: ${reason}.\n`);
  else sides.push(...peers[name].threads.map((threads) => open(name, threads)));
}
for (const work of chosen(options.works, works, "--works")) {
  console.log(table(work, await compare(work, sides)) + "\n");
}
console.log(`Load after: ${load()}.`);
for (const side of sides) side.close();
