// Every thread gathers what its own element is made of: threads cannot add to a common place.

import type { Geometry } from "../../../ops/convolution.ts";
import type { Epilogue } from "../../../ops/matmul.ts";
import { type Shape, sizeOf, stridesOf } from "../../../shape.ts";
import { noGradient } from "../../../wasm/convolution.ts";
import { address, checkAddresses, type GpuPlan, input, made, nest, type Pass, type Source } from "../plan.ts";
import { poolPasses } from "./maxPool.ts";
import { sumPasses } from "./reduce.ts";

const images = (g: Geometry): Shape => [g.batch, g.height, g.width, g.channels];
const filters = (g: Geometry): Shape => [g.kernelHeight, g.kernelWidth, g.channels, g.filters];
const outputs = (g: Geometry): Shape => [g.batch, g.outHeight, g.outWidth, g.filters];

function checkSizes(name: string, g: Geometry): void {
  for (const shape of [images(g), filters(g), outputs(g)]) checkAddresses(name, sizeOf(shape));
}

/** `line` where `at` lies from 0 to below `length`; without a test where it always does. */
function within(at: string, length: number, always: boolean, line: string): string {
  return always ? line : `if (${at} >= 0 && ${at} < ${length}) {\n${line}\n}`;
}

/** Whether every tap of the kernel meets a pixel, so that none needs a test: down and across. */
const meetsRows = (g: Geometry): boolean =>
  g.top === 0 && (g.outHeight - 1) * g.strideVertical + g.kernelHeight <= g.height;
const meetsColumns = (g: Geometry): boolean =>
  g.left === 0 && (g.outWidth - 1) * g.strideHorizontal + g.kernelWidth <= g.width;

/** Input row (or column) under a tap: output * stride + tap - margin. */
function under(output: string, stride: number, tap: string, margin: number): string {
  const at = address([output, tap], [stride, 1]);
  return margin === 0 ? at : `${at} - ${margin}`;
}

function forward(g: Geometry, activation: Epilogue, bias: boolean): Pass {
  checkSizes("conv2d", g);
  const { threads, counters } = nest("conv2d", outputs(g));
  const [n, oy, ox, f] = counters as readonly [string, string, string, string];
  const [image, filter] = [stridesOf(images(g)), stridesOf(filters(g))];
  const term = `sum += x[${address([n, "y", "z", "c"], image)}] * w[${address(["ky", "kx", "c", f], filter)}];`;
  const channels = `for (let c = 0; c < ${g.channels}; c++) { ${term} }`;
  const body = [
    `let sum = ${bias ? `bias[${f}]` : "0"};`,
    `for (let ky = 0; ky < ${g.kernelHeight}; ky++) {`,
    `const y = ${under(oy, g.strideVertical, "ky", g.top)};`,
    within("y", g.height, meetsRows(g), [
      `for (let kx = 0; kx < ${g.kernelWidth}; kx++) {`,
      `const z = ${under(ox, g.strideHorizontal, "kx", g.left)};`,
      within("z", g.width, meetsColumns(g), channels),
      "}",
    ].join("\n")),
    "}",
    `return ${activation === "relu" ? "sum < 0 ? 0 : sum" : "sum"};`,
  ].join("\n");
  return { threads, reads: { x: input(0), w: input(1), ...(bias ? { bias: input(2) } : {}) }, body };
}

/** Output row (or column) that reads pixel `at` through a tap: (at + margin - tap) / stride, where that is whole. */
function reading(name: string, at: string, margin: number, tap: string, stride: number): string {
  const distance = `${at}${margin === 0 ? "" : ` + ${margin}`} - ${tap}`;
  // Half further, so that a division that is not exact does not fall below a whole number.
  return stride === 1 ? `const ${name} = ${distance};` : `const ${name} = Math.floor((${distance} + 0.5) / ${stride});`;
}

function isReading(name: string, at: string, margin: number, tap: string, stride: number, length: number): string {
  const inside = `${name} >= 0 && ${name} < ${length}`;
  return stride === 1 ? inside : `${inside} && ${name} * ${stride} === ${at} + ${margin} - ${tap}`;
}

function toInput(g: Geometry, dz: Source, w: Source): Pass {
  checkSizes("conv2dInputGradient", g);
  const { threads, counters } = nest("conv2dInputGradient", images(g));
  const [n, y, z, c] = counters as readonly [string, string, string, string];
  const [output, filter] = [stridesOf(outputs(g)), stridesOf(filters(g))];
  const term = `sum += dz[${address([n, "oy", "ox", "f"], output)}] * w[${address(["ky", "kx", c, "f"], filter)}];`;
  const { strideVertical, strideHorizontal, top, left } = g;
  const body = [
    "let sum = 0;",
    `for (let ky = 0; ky < ${g.kernelHeight}; ky++) {`,
    reading("oy", y, top, "ky", strideVertical),
    `if (${isReading("oy", y, top, "ky", strideVertical, g.outHeight)}) {`,
    `for (let kx = 0; kx < ${g.kernelWidth}; kx++) {`,
    reading("ox", z, left, "kx", strideHorizontal),
    `if (${isReading("ox", z, left, "kx", strideHorizontal, g.outWidth)}) {`,
    `for (let f = 0; f < ${g.filters}; f++) { ${term} }`,
    "}",
    "}",
    "}",
    "}",
    "return sum;",
  ].join("\n");
  return { threads, reads: { dz, w }, body };
}

/** As many numbers as the sums of a few images each may take, and as many sums as a second stage adds up at once. */
const [roomForParts, mostParts] = [2 ** 22, 1024];

/** Sums over a few images each first: a filter has few elements, and each is a sum over all pixels of the batch. */
function toFilter(g: Geometry, x: Source, dz: Source, before: number): Pass[] {
  checkSizes("conv2dFilterGradient", g);
  const size = sizeOf(filters(g));
  const share = Math.ceil(g.batch / Math.min(g.batch, mostParts, Math.max(1, Math.floor(roomForParts / size))));
  const parts = Math.ceil(g.batch / share);
  const { threads, counters } = nest("conv2dFilterGradient", [parts, ...filters(g)]);
  const [part, ky, kx, c, f] = counters as readonly [string, string, string, string, string];
  const [image, output] = [stridesOf(images(g)), stridesOf(outputs(g))];
  const n = share === 1 ? part : "n";
  const term = `sum += x[${address([n, "y", "z", c], image)}] * dz[${address([n, "oy", "ox", f], output)}];`;
  const ofImage = [
    `for (let oy = 0; oy < ${g.outHeight}; oy++) {`,
    `const y = ${under("oy", g.strideVertical, ky, g.top)};`,
    within("y", g.height, meetsRows(g), [
      `for (let ox = 0; ox < ${g.outWidth}; ox++) {`,
      `const z = ${under("ox", g.strideHorizontal, kx, g.left)};`,
      within("z", g.width, meetsColumns(g), term),
      "}",
    ].join("\n")),
    "}",
  ].join("\n");
  const ofPart = [
    `for (let i = 0; i < ${share}; i++) {`,
    `const n = ${address([part, "i"], [share, 1])};`,
    within("n", g.batch, parts * share === g.batch, ofImage),
    "}",
  ].join("\n");
  const body = ["let sum = 0;", share === 1 ? ofImage : ofPart, "return sum;"].join("\n");
  const first: Pass = { threads, reads: { x, dz }, body };
  return parts === 1 ? [first] : [first, ...sumPasses([parts, size], [0], made(before), before + 1)];
}

/** `act(x ⋆ w + bias)`. Inputs x, w and, if so, the bias. */
export function convolve(g: Geometry, activation: Epilogue, bias: boolean): GpuPlan {
  return { passes: [forward(g, activation, bias)], results: [0] };
}

/** Inputs dz and w. */
export function inputGradient(g: Geometry): GpuPlan {
  return { passes: [toInput(g, input(0), input(1))], results: [0] };
}

/** Inputs x and dz. */
export function filterGradient(g: Geometry): GpuPlan {
  const passes = toFilter(g, input(0), input(1), 0);
  return { passes, results: [passes.length - 1] };
}

/** The whole convolution, then what is largest of every four, and where. Inputs as for `convolve`. */
export function convolvePooled(g: Geometry, pooled: Shape, activation: Epilogue, bias: boolean): GpuPlan {
  // The rectifier's zeros pass no gradient on.
  const place = activation === "relu" ? `best === 0 ? ${noGradient} : place` : "place";
  const windows = poolPasses("conv2d", outputs(g), pooled, { size: 2, stride: 2 }, made(0), place);
  return { passes: [forward(g, activation, bias), ...windows], results: [1, 2] };
}

/** Gradients of the filter, and if asked for of the bias and of the images. Inputs x, w, dy and the saved places. */
export function pooledGradients(g: Geometry, pooled: Shape, bias: boolean, image: boolean): GpuPlan {
  const passes = [unpooled(g, pooled)];
  const add = (more: readonly Pass[]): number => passes.push(...more) - 1;
  const results = [add(toFilter(g, input(0), made(0), 1))];
  if (bias) results.push(add(sumPasses(outputs(g), [0, 1, 2], made(0), passes.length)));
  if (image) results.push(add([toInput(g, made(0), input(1))]));
  return { passes, results };
}

/** dz of a pooled convolution: dy where the maximum was found, else 0. */
function unpooled(g: Geometry, pooled: Shape): Pass {
  const [, rows, columns] = pooled as readonly [number, number, number, number];
  checkAddresses("conv2dPooledGradients", sizeOf(outputs(g)));
  const { threads, counters } = nest("conv2dPooledGradients", outputs(g));
  const [n, y, x, f] = counters as readonly [string, string, string, string];
  const at = address([n, "row", "column", f], stridesOf(pooled));
  const look = `if (places[${at}] === 2 * (${y} - 2 * row) + (${x} - 2 * column)) { value = dy[${at}]; }`;
  const body = [
    "let value = 0;",
    `const row = Math.floor((${y} + 0.5) / 2);`,
    `const column = Math.floor((${x} + 0.5) / 2);`,
    // An odd edge is under no pooled pixel.
    within("row", rows, 2 * rows === g.outHeight, within("column", columns, 2 * columns === g.outWidth, look)),
    "return value;",
  ].join("\n");
  return { threads, reads: { dy: input(2), places: input(3) }, body };
}
