import assert from "node:assert/strict";
import { resolve } from "node:path";
import { suite, test } from "node:test";
import { ESLint } from "eslint";
import tseslint from "typescript-eslint";

// The import rules of the layout and the ban on inexact arithmetic are worth what they refuse: each is seen to fire,
// and what they should let through is seen to pass. Without type information, which these rules do not use: the files
// named here need not exist.
const eslint = new ESLint({
  overrideConfig: { ...tseslint.configs.disableTypeChecked, files: ["**/*.ts"] } as ESLint.Options["overrideConfig"],
});

async function rulesAgainst(file: string, code: string): Promise<(string | null)[]> {
  const [result] = await eslint.lintText(`${code}\n`, { filePath: resolve(file) });
  return result!.messages.map(({ ruleId, fatal, message }) => (fatal ? `fatal: ${message}` : ruleId));
}

const refused: readonly (readonly [why: string, rule: string, file: string, code: string])[] = [
  ["lib knows no codec", "kilonet/imports", "lib/tensor.ts", 'export { pack } from "../codecs/container.ts";'],
  ["nor a model", "kilonet/imports", "lib/tensor.ts", 'export type { Dataset } from "../models/dataset.ts";'],
  ["nor Node", "kilonet/imports", "lib/tensor.ts", 'import "node:fs";'],
  ["nor Node by its old names", "kilonet/imports", "lib/tensor.ts", 'import "fs";'],
  ["nor a package", "kilonet/imports", "lib/tensor.ts", 'import "commander";'],
  ["nor gpu.js outside of its backend", "kilonet/imports", "lib/tensor.ts", 'await import("gpu.js");'],
  ["which loads it lazily", "kilonet/imports", "lib/backends/gpu/device.ts", 'import "gpu.js";'],
  ["a backend loads Node lazily", "kilonet/imports", "lib/backends/wasm/threads.ts", 'import "node:worker_threads";'],
  ["plain parts stay plain", "kilonet/imports", "lib/random.ts", 'import "./tensor.ts";'],
  ["bytes know no tensor", "kilonet/imports", "codecs/huffman.ts", 'import "../lib/tensor.ts";'],
  ["nor the door of lib", "kilonet/imports", "codecs/container.ts", 'import "../lib/index.ts";'],
  ["nor a method", "kilonet/imports", "codecs/container.ts", 'import "./prune.ts";'],
  ["nor the type of one", "kilonet/imports", "codecs/range.ts", 'export type A = import("./miracle/blocks.ts").A;'],
  ["codecs know no model", "kilonet/imports", "codecs/prune.ts", 'export * from "../models/lenet5.ts";'],
  ["nor files", "kilonet/imports", "codecs/prune.ts", 'import "node:fs";'],
  ["models know no codec", "kilonet/imports", "models/fit.ts", 'import "../codecs/prune.ts";'],
  ["nor files, however late", "kilonet/imports", "models/idx.ts", 'await import("node:fs/promises");'],
  ["nor bin", "kilonet/imports", "models/idx.ts", 'import "../bin/errors.ts";'],
  ["bin takes declared packages only", "kilonet/imports", "bin/main.ts", 'import "fast-check";'],
  ["and nothing of the tests", "kilonet/imports", "bin/main.ts", 'import "../test/laws.ts";'],
  ["no process in lib", "no-restricted-globals", "lib/tensor.ts", "export const a = process.argv;"],
  ["no Buffer in models", "no-restricted-globals", "models/idx.ts", "export const a = Buffer.alloc(1);"],
  ["no network in models", "no-restricted-globals", "models/idx.ts", 'export const a = fetch("a");'],
  ["no clock in codecs", "no-restricted-globals", "codecs/prune.ts", "export const a = Date.now();"],
  ["nor the finer one", "no-restricted-globals", "codecs/container.ts", "export const a = performance.now();"],
  ["nor a locale", "no-restricted-properties", "codecs/container.ts", 'export const a = "a".localeCompare("b");'],
  ["no exp in decoders", "no-restricted-properties", "codecs/range.ts", "export const a = Math.exp(1);"],
  ["under another name", "no-restricted-properties", "codecs/range.ts", "export const { log2 } = Math;"],
  ["no root either", "no-restricted-properties", "codecs/range.ts", "export const a = Math.sqrt(2);"],
  ["no cos in methods", "no-restricted-properties", "codecs/miracle.ts", "export const a = Math.cos(1);"],
  ["nor in models", "no-restricted-properties", "models/glyphs.ts", 'export const a = Math["sin"](1);'],
  ["nor powers in lib", "no-restricted-syntax", "lib/tensor.ts", "export const a = 10 ** -3;"],
  ["by any spelling", "no-restricted-syntax", "lib/tensor.ts", "export let a = 3; a **= 2;"],
  ["no unseeded draw in lib", "no-restricted-properties", "lib/random.ts", "export const a = Math.random();"],
  ["nor in tests", "no-restricted-properties", "test/laws.ts", "export const a = Math.random();"],
  ["no printing in lib", "no-console", "lib/tensor.ts", 'console.log("a");'],
  ["no loose equality", "eqeqeq", "bin/main.ts", "export const a = 1 == Number(2);"],
  ["no line wider than a page", "kilonet/width", "bin/main.ts", `// ${"a".repeat(120)}`],
];

const accepted: readonly (readonly [why: string, file: string, code: string])[] = [
  ["lib knows itself", "lib/ops/sum.ts", 'import "../tensor.ts";'],
  ["plain parts know each other", "lib/weights.ts", 'import "./shape.ts";'],
  ["a backend loads threads lazily", "lib/backends/wasm/threads.ts", 'await import("node:worker_threads");'],
  ["the GPU backend loads gpu.js lazily", "lib/backends/gpu/device.ts", 'await import("gpu.js");'],
  ["bytes know weights and bytes", "codecs/container.ts", 'import "../lib/weights.ts"; import "./bytes.ts";'],
  ["methods know all of lib and codecs", "codecs/prune.ts", 'import "../lib/tensor.ts"; import "./huffman.ts";'],
  ["a method may be a folder", "codecs/miracle/train.ts", 'import "../../lib/tensor.ts";'],
  ["the door of codecs knows the methods", "codecs/index.ts", 'export * from "./prune.ts";'],
  ["models know lib", "models/fit.ts", 'import "../lib/index.ts";'],
  ["bin knows the rooms", "bin/a.ts", 'import "../lib/a.ts"; import "../codecs/a.ts"; import "../models/a.ts";'],
  ["and the machine", "bin/a.ts", 'import "node:fs"; import "commander";'],
  ["tests know all", "test/a.test.ts", 'import "../codecs/a.ts"; import "../models/a.ts"; import "fast-check";'],
  ["exact arithmetic", "codecs/range.ts", "export const a = Math.imul(2, 3) + Math.fround(1.5) + 2 ** 26;"],
  ["a root in a method", "codecs/quantize.ts", "export const a = Math.sqrt(2);"],
];

suite("lint refuses", () => {
  for (const [why, rule, file, code] of refused) {
    test(`${why} (${file})`, async () => assert.deepEqual(await rulesAgainst(file, code), [rule]));
  }
});

suite("lint accepts", () => {
  for (const [why, file, code] of accepted) {
    test(`${why} (${file})`, async () => assert.deepEqual(await rulesAgainst(file, code), []));
  }
});
