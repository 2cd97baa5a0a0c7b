import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { readCheckpoint } from "../../models/index.ts";
import { resultOf, startKilonet, until } from "./cli.ts";

/** A command that is over in seconds: a few units of LeNet-5, and a checkpoint at every look. */
export function shortMiracle({ data, output }: { readonly data: string; readonly output: string }): string[] {
  const network = ["--model", "lenet5", "--live", "2-3-4", "--bytes", "160", "--bits", "12"];
  const steps = ["--pretraining", "100", "--training", "200", "--refit", "2", "--batch", "20", "--samples", "2"];
  const run = ["--data", data, "--checkpoint-every", "0", "--threads", "1", "-o", output];
  return ["miracle", ...network, ...steps, ...run];
}

/** Steps done, by the checkpoint; -1 while there is none. */
export function savedSteps(checkpoint: string): number {
  if (!existsSync(checkpoint)) return -1;
  return readCheckpoint(readFileSync(checkpoint)).progress.total as number;
}

/**
 * Kills a command as often as there are delays, each time so many milliseconds after it wrote a checkpoint of its own,
 * and lets it go on to its end. Every checkpoint that is left behind must be whole.
 */
export async function killOften(
  { words, output }: { readonly words: readonly string[]; readonly output: string },
  delays: readonly number[],
): Promise<void> {
  const checkpoint = `${output}.ckpt`;
  for (const [i, delay] of delays.entries()) {
    const before = savedSteps(checkpoint);
    const program = startKilonet([...words, ...(i > 0 ? ["--resume"] : []), "--json"]);
    await until("a new checkpoint", () => savedSteps(checkpoint) > before, program);
    await new Promise((resolve) => setTimeout(resolve, delay));
    program.process.kill("SIGKILL");
    const { signal } = await program.ended;
    assert.equal(signal, "SIGKILL", `ended before kill ${i} (waited ${delays.join(", ")} ms)`);
    assert.ok(!existsSync(output));
  }
  await resultOf(...words, "--resume");
}
