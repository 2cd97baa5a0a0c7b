/**
 * `npm run fuzz -- --seconds 60 --seed 1`: reads damaged files for so long and holds what happens against what the
 * format promises (docs/format.md, and judge.ts for how). Ends with what it tried and found; exit code 1 if anything
 * was violated, 2 if it was called wrongly. The inputs of violations are kept in a folder, and
 * `npm run fuzz -- --replay file` tries one of them again. Inputs follow from the seed; how many there are, from time.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { crc32 } from "../../codecs/crc32.ts";
import { parseVector, vectorText } from "../vectors/vectors.ts";
import type { Findings, Violation } from "./campaign.ts";
import { Draws } from "./draws.ts";
import { judge } from "./judge.ts";
import { reportOf } from "./report.ts";
import { supervise } from "./supervise.ts";

const usage = "fuzz [--seconds 60] [--seed 1] [--folder .cache/fuzz] | --replay file";
/** More of the same helps nobody. */
const mostKept = 50;

async function main(): Promise<number> {
  const options = {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    folder: { type: "string", default: ".cache/fuzz" },
    replay: { type: "string" },
  } as const;
  let values;
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    console.error(`fuzz: ${(error as Error).message}\n${usage}`);
    return 2;
  }
  if (values.replay !== undefined) return replay(values.replay);
  const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
  if (!(seconds > 0 && seconds <= 1e6) || !(Number.isSafeInteger(seed) && seed >= 0)) {
    console.error(`fuzz: --seconds must be above 0, --seed a whole number from 0 up\n${usage}`);
    return 2;
  }
  return run(seconds, seed, values.folder);
}

async function run(seconds: number, seed: number, folder: string): Promise<number> {
  let findings: Findings | undefined;
  let violations = 0;
  let shown = performance.now();
  const start = shown;
  console.log(`seed ${seed}, ${seconds} s`);
  await supervise({
    program: fileURLToPath(new URL("process.ts", import.meta.url)),
    args: [String(seconds), String(seed)],
    patience: 30,
    told(told) {
      if ("findings" in told) {
        findings = told.findings;
        if (performance.now() - shown < 60_000) return;
        shown = performance.now();
        const after = Math.round((shown - start) / 1000);
        console.log(`${findings.inputs} inputs, ${violations} violations after ${after} s`);
        return;
      }
      violations += 1;
      if (violations <= mostKept) keep(folder, told.violation);
    },
  });
  const after = (performance.now() - start) / 1000;
  if (findings !== undefined) console.log(`\n${reportOf({ ...findings, violations }, after)}`);
  if (violations > mostKept) console.log(`the first ${mostKept} violations were kept in ${folder}`);
  // A campaign without inputs shows nothing.
  return violations === 0 && findings !== undefined && findings.inputs > 0 ? 0 : 1;
}

function keep(folder: string, { kind, message, bytes }: Violation): void {
  const name = `${crc32(bytes).toString(16).padStart(8, "0")}.txt`;
  const path = join(folder, name);
  mkdirSync(folder, { recursive: true });
  const shows = `${kind}: ${message}`.replaceAll(/\s+/g, " ").slice(0, 1000);
  writeFileSync(path, vectorText({ name, shows, bytes, code: "violation" }));
  console.log(`violation, ${path}: ${shows.slice(0, 300)}`);
}

async function replay(path: string): Promise<number> {
  const { bytes, shows } = parseVector(path, readFileSync(path, "utf8"));
  console.log(`${bytes.length} bytes, ${shows.slice(0, 300)}`);
  // A violation may depend on how the bytes are cut into chunks.
  for (let seed = 0; seed < 32; seed++) {
    const { verdict, violation } = await judge(bytes, new Draws(seed));
    if (violation !== undefined) {
      console.log(`violation: ${violation}`);
      return 1;
    }
    if (seed === 31) console.log(`no violation: ${verdict}`);
  }
  return 0;
}

process.exitCode = await main();
