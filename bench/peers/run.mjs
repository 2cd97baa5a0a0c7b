// Every peer that is here, over all works, in one run: the sides take turns, so that whatever else the machine does
// meets them alike. Prints a Markdown table per work.
//
//   node run.mjs [--works lenet5-step-64,gemm-512] [--peers pytorch,jax-js] [--rounds 5] [--milliseconds 500]
//                [--tries 3]

import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { missing, open, peers, works } from "./client.mjs";

const options = parseArgs({
  options: {
    works: { type: "string", default: Object.keys(works).join() },
    peers: { type: "string", default: Object.keys(peers).join() },
    rounds: { type: "string", default: "5" },
    milliseconds: { type: "string", default: "500" }, // about so long is each side's turn
    tries: { type: "string", default: "3" }, // turns in which other programs were busy are repeated so often at most
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

/** A side's turn: of several tries the one that other programs disturbed least, the first that is quiet enough. */
async function turn({ side, repetitions }, work) {
  let best;
  for (let i = 0; i < Number(options.tries) && !(best?.others < 0.1); i++) {
    const answer = await side.ask(work, { repetitions, warmup: 1 });
    if (answer.failed) return answer;
    if (!(best?.others <= answer.others)) best = answer;
  }
  return best;
}

async function compare(work, sides) {
  const results = [];
  for (const side of sides) {
    const answer = await side.ask(work, { repetitions: 3, warmup: 2 });
    const fitting = Math.round(options.milliseconds / median(answer.milliseconds ?? [1]));
    results.push({ side, answer, repetitions: Math.min(300, Math.max(1, fitting)), turns: [] });
  }
  const timed = results.filter(({ answer }) => answer.milliseconds && !answer.failed);
  for (let round = 0; round < Number(options.rounds); round++) {
    // Each round starts with another side, so that none always follows the same neighbour.
    for (let i = 0; i < timed.length; i++) {
      const result = timed[(i + round) % timed.length];
      const answer = await turn(result, work);
      result.answer.failed ??= answer.failed;
      result.turns.push(answer);
    }
  }
  return results;
}

function table(work, results) {
  const { kind, m, k, n } = works[work];
  const gemm = kind === "gemm";
  const heads = ["peer", "version", "threads", "median ms", "min", "max", "cores", "others"];
  if (gemm) heads.push("GFLOP/s");
  const rule = heads.map((_, i) => (i < 2 ? "---" : "---:"));
  const lines = [`### ${work}`, "", `| ${heads.join(" | ")} |`, `| ${rule.join(" | ")} |`];
  const rows = results
    .filter(({ answer }) => !answer.skipped && !answer.failed)
    .map(({ answer, side, turns }) => {
      const milliseconds = turns.flatMap((turn) => turn.milliseconds);
      const mean = (of) => turns.reduce((sum, turn) => sum + of(turn), 0) / turns.length;
      return { answer, side, milliseconds, middle: median(milliseconds), mean };
    });
  rows.sort((a, b) => a.middle - b.middle);
  for (const { answer, side, milliseconds, middle, mean } of rows) {
    const cells = [side.name, answer.version, side.threads, shown(middle)];
    cells.push(shown(Math.min(...milliseconds)), shown(Math.max(...milliseconds)));
    cells.push(mean(({ cores }) => cores).toFixed(2), mean(({ others }) => others).toFixed(2));
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
