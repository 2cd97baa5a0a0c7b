import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { resultOf, workplace, writeSmallData } from "../bin/cli.ts";
import { killOften, shortMiracle } from "../bin/miracleRuns.ts";

// As in test/bin/miracle.test.ts, with a longer run and more kills.
test("kilonet miracle, killed 50 times at any moment, ends with the bytes of an undisturbed run", async () => {
  const folder = workplace();
  const data = join(folder, "data");
  writeSmallData(data);
  const wordsOf = (output: string): string[] => {
    // The last of two numbers holds.
    return [...shortMiracle({ data, output }), "--pretraining", "500", "--training", "2000", "--refit", "50"];
  };
  const [whole, killed] = [join(folder, "whole.knet"), join(folder, "killed.knet")];
  await resultOf(...wordsOf(whole));
  await killOften({ words: wordsOf(killed), output: killed }, Array.from({ length: 50 }, () => randomInt(100)));
  assert.deepEqual(readFileSync(killed), readFileSync(whole));
});
