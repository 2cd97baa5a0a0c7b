import fc from "fast-check";
import { chooseSparse } from "../../codecs/sparse.ts";
import { type Coded, methodOf } from "../../codecs/coded.ts";
import type { ModelFile } from "../../codecs/container.ts";
import type { Metadata } from "../../codecs/metadata.ts";
import { countOf } from "../../codecs/method.ts";
import { largestLevel } from "../../codecs/levels.ts";
import { type Group, scalarsOf } from "../../codecs/scalars.ts";
import { chooseSymbols, type Symbols } from "../../codecs/symbols.ts";
import { type Parameter, parametersOf, shapesOf } from "../../lib/architectures.ts";
import type { Activation, Dense, Layer, Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import { legacyCodes } from "./legacyCodes.ts";

/** Numbers on an even grid: what arithmetic is tested with. */
export const gridNumber: fc.Arbitrary<number> = fc.integer({ min: -300, max: 300 }).map((n) => Math.fround(n / 100));

/** Any float32 bit pattern: NaNs with payloads, both zeros, subnormals, infinities. */
export const floatBits: fc.Arbitrary<number> = fc.oneof(
  fc.nat(2 ** 32 - 1),
  fc.constantFrom(0, 0x80000000, 1, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff, 0x3f800000),
);

export function floats(
  options: { minLength?: number; maxLength?: number },
  number = gridNumber,
): fc.Arbitrary<Float32Array> {
  return fc.array(number, options).map((numbers) => Float32Array.from(numbers));
}

/** Values of which many are zero and most are among few: what pruning and sharing leave. */
export function fewDistinct(options: { minLength?: number; maxLength?: number }): fc.Arbitrary<Float32Array> {
  return fc
    .tuple(fc.uniqueArray(gridNumber, { minLength: 1, maxLength: 12 }), fc.nat(4))
    .chain(([numbers, zeros]) =>
      floats(
        options,
        fc.constantFrom(...numbers.map((n) => (Object.is(n, -0) ? 0 : n)), ...new Array<number>(4 * zeros).fill(0)),
      ),
    );
}

/** A matrix and a bias, twice. */
export const smallWeights: fc.Arbitrary<Weights> = fc
  .tuple(
    floats({ minLength: 6, maxLength: 6 }),
    floats({ minLength: 2, maxLength: 2 }),
    floats({ minLength: 20, maxLength: 20 }),
  )
  .map(([a, b, c]) => [
    { name: "fc1.weight", shape: [3, 2], values: a },
    { name: "fc1.bias", shape: [2], values: b },
    { name: "fc2.weight", shape: [2, 10], values: c },
  ]);

const activation = fc.constantFrom<Activation>("none", "relu", "leakyRelu", "sigmoid", "tanh");
const size = fc.integer({ min: 1, max: 4 });
const layerName = fc.option(fc.stringMatching(/^[a-z][a-z0-9._-]{0,6}$/), { nil: undefined });
const text = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 5 })
  .filter((s) => !/[\p{Cc}\p{Cf}\u2028\u2029]|\p{Surrogate}/u.test(s));

/** Networks that can be run: convolutions and pools while there is an image, then dense layers. */
export const networks: fc.Arbitrary<Network> = fc
  .record({
    name: text,
    height: fc.integer({ min: 4, max: 9 }),
    width: fc.integer({ min: 4, max: 9 }),
    channels: size,
    pixels: fc.constantFrom([1 / 255, 0], [1, 128], [0.5, -1.25]),
    front: fc.array(
      fc.oneof(
        fc.record({
          type: fc.constant("convolution" as const),
          name: layerName,
          filters: size,
          kernel: fc.tuple(size, size),
          stride: fc.tuple(size, size),
          padding: fc.constantFrom("valid" as const, "same" as const),
          bias: fc.boolean(),
          activation,
        }),
        fc.record({ type: fc.constant("maxPool" as const), size, stride: size }),
        fc.record({ type: fc.constant("dropout" as const), keep: fc.constantFrom(0.5, 0.75, 1) }),
      ),
      { maxLength: 3 },
    ),
    back: fc.array(
      fc.oneof(
        fc.record({
          type: fc.constant("dense" as const),
          name: layerName,
          units: fc.integer({ min: 1, max: 12 }),
          bias: fc.boolean(),
          activation,
        }),
        fc.record({ type: fc.constant("dropout" as const), keep: fc.constantFrom(0.5, 0.75, 1) }),
      ),
      { maxLength: 2 },
    ),
    outputs: fc.integer({ min: 1, max: 5 }),
    named: fc.boolean(),
  })
  .map(({ name, height, width, channels, pixels, front, back, outputs, named }) => {
    let convolutions = 0;
    let denses = 0;
    const layers: Layer[] = [];
    const input = { height, width, channels, scale: pixels[0]!, offset: pixels[1]! };
    const last: Dense = {
      type: "dense",
      name: `fc${back.filter(({ type }) => type === "dense").length + 1}`,
      units: outputs,
      bias: true,
      activation: "none",
    };
    const network = (): Network => ({
      name,
      input,
      layers,
      classes: Array.from({ length: outputs }, (_, i) => (named ? `class ${i}` : String(i))),
    });
    for (const layer of [...front, { type: "flatten" } as const, ...back, last]) {
      if (layer.type === "convolution") layers.push({ ...layer, name: layer.name ?? `conv${++convolutions}` });
      else if (layer.type === "dense") layers.push({ ...layer, name: layer.name ?? `fc${++denses}` });
      else layers.push({ ...layer });
      // A layer that does not fit what came before it is left out.
      try {
        shapesOf(network());
      } catch {
        layers.pop();
      }
    }
    return network();
  })
  .filter((network) => {
    try {
      return parametersOf(network).length > 0;
    } catch {
      return false;
    }
  });

/** Symbols below an alphabet with a coder that may or may not be the best. */
export function codedSymbols(count: number, alphabet: number): fc.Arbitrary<Symbols> {
  const last = alphabet - 1;
  // Few of many, as in trained networks: what codes of different lengths are for.
  const skewed = fc.oneof(
    { weight: 40, arbitrary: fc.constant(0) },
    { weight: 8, arbitrary: fc.nat(Math.min(1, last)) },
    { weight: 1, arbitrary: fc.nat(last) },
  );
  const lengths = { minLength: count, maxLength: count };
  // Every symbol is used when there are enough places, as codebooks want it.
  const values = fc
    .oneof(fc.array(fc.nat(last), lengths), fc.array(skewed, lengths))
    .map((list) => Uint16Array.from(list, (symbol, i) => (i < alphabet ? i : symbol)));
  return fc
    .tuple(values, fc.constantFrom<Symbols["coder"]>("fixed", "huffman", "rans"))
    .map(([symbols, coder]) => chooseSymbols(symbols, alphabet, [coder]));
}

const entry = gridNumber.filter((n) => n !== 0);

/** Any choice that fits `count` numbers, good or bad. */
export function codedNumbers(count: number): fc.Arbitrary<Coded> {
  const raw = fc
    .array(floatBits, { minLength: count, maxLength: count })
    .map((bits): Coded => ({ method: "float32", values: new Float32Array(Uint32Array.from(bits).buffer) }));
  const sorted = (zero: boolean, most: number): fc.Arbitrary<Float32Array> =>
    fc
      .uniqueArray(zero ? gridNumber.map((n) => n + 0) : entry, { minLength: 1, maxLength: Math.min(most, 6) })
      .map((list) => Float32Array.from(list).sort());
  const dense = sorted(true, count).chain((entries) =>
    codedSymbols(count, entries.length).map((indices): Coded => ({ method: "codebook", entries, indices })),
  );
  const taken = fc
    .array(fc.boolean(), { minLength: count, maxLength: count })
    .map((taken) => Uint32Array.from([...taken.keys()].filter((i) => taken[i])));
  const bare = taken.chain((positions) =>
    fc
      .array(floatBits.filter((word) => word !== 0), { minLength: positions.length, maxLength: positions.length })
      .map((bits): Coded => {
        const values = new Float32Array(Uint32Array.from(bits).buffer);
        return { method: "sparse float32", length: count, places: chooseSparse(positions, count), values };
      }),
  );
  const sparse = taken.chain((positions) => {
    const places = chooseSparse(positions, count);
    const empty: Coded = {
      method: "sparse codebook",
      length: count,
      places,
      entries: new Float32Array(0),
      indices: { coder: "fixed", symbols: new Uint16Array(0) },
    };
    if (positions.length === 0) return fc.constant(empty);
    return sorted(false, positions.length).chain((entries) =>
      codedSymbols(positions.length, entries.length).map((indices): Coded => ({ ...empty, entries, indices })),
    );
  });
  return fc.oneof(raw, dense, sparse, bare);
}

const byte = fc.nat(255);
const smallLevel = fc.integer({ min: -3, max: 3 });
const level = fc.oneof(
  { weight: 30, arbitrary: fc.constant(0) },
  { weight: 12, arbitrary: smallLevel },
  { weight: 1, arbitrary: fc.integer({ min: -largestLevel, max: largestLevel }) },
);

/** Levels of these tensors, with inputs and outputs that are dead. */
export function codedLevels(tensors: readonly Parameter[]): fc.Arbitrary<Coded> {
  const levels = fc.tuple(
    ...tensors.map(({ shape }) => {
      const size = sizeOf(shape);
      const outputs = shape.at(-1)!;
      const dead = fc.array(fc.nat(outputs - 1), { maxLength: 3 });
      return fc
        .tuple(fc.array(level, { minLength: size, maxLength: size }), dead, fc.option(fc.nat(size)))
        .map(([list, dead, most]) =>
          Int32Array.from(list, (n, i) => (dead.includes(i % outputs) || (most !== null && i >= most) ? 0 : n)),
        );
    }),
  );
  const scales = fc.array(byte, { minLength: tensors.length, maxLength: tensors.length });
  return fc.tuple(levels, scales).map(([levels, scales]): Coded => {
    const ofZeros = levels.map((tensor) => tensor.every((n) => n === 0));
    return { method: "levels", scales: Uint8Array.from(scales, (k, t) => (ofZeros[t] ? 0 : k)), levels };
  });
}

/** What MIRACLE may choose for these tensors: live units, groups and blocks of any size. */
export function randomCodes(tensors: readonly Parameter[]): fc.Arbitrary<Coded> {
  const shapes = tensors.map(({ shape }) => shape);
  const counted = shapes.filter(({ length }) => length > 1).slice(0, -1);
  const lives = fc
    .tuple(...counted.map((shape) => fc.integer({ min: 1, max: shape.at(-1)! })))
    .map((counts) => (counts.every((count, i) => count === counted[i]!.at(-1)) ? undefined : counts));
  return fc
    .tuple(lives, fc.array(fc.tuple(fc.nat(9), fc.boolean()), { minLength: shapes.length, maxLength: shapes.length }))
    .chain(([live, wishes]) => {
      const groups = scalarsOf(shapes, { live }).map(({ weights }, t): Group => {
        const [size, hashed] = [Math.min(weights, Math.max(1, wishes[t]![0] - 4)), wishes[t]![1]];
        return { size, hashed: hashed && size > 1 };
      });
      const some = groups.every(({ size }) => size === 1) ? {} : { groups };
      const units = live === undefined ? {} : { live };
      const total = scalarsOf(shapes, { ...units, ...some }).reduce((sum, { scalars }) => sum + scalars, 0);
      return fc
        .record({
          bits: fc.integer({ min: 4, max: 20 }),
          seed: fc.nat(2 ** 32 - 1),
          scales: fc.array(byte, { minLength: shapes.length, maxLength: shapes.length }),
          // Where blocks end: 8,191 scalars are more than there are here.
          cuts: fc.uniqueArray(fc.integer({ min: 1, max: Math.max(1, total - 1) }), { maxLength: 20 }),
          sized: fc.boolean(),
          draws: fc.infiniteStream(fc.nat(2 ** 20 - 1)),
        })
        .map(({ bits, seed, scales, cuts, sized, draws }): Coded => {
          const ends = [...cuts.filter((cut) => cut < total).sort((a, b) => a - b), total];
          const sizes = Uint16Array.from(ends, (end, b) => end - (ends[b - 1] ?? 0));
          return {
            method: "miracle",
            shapes,
            bits,
            seed,
            ...units,
            ...some,
            scales: Uint8Array.from(scales),
            ...(sized ? { sizes } : {}),
            indices: Uint32Array.from(ends, () => draws.next().value % 2 ** bits),
          };
        });
    });
}

/** Any choice for the tensors of a section. */
export function codedTensors(tensors: readonly Parameter[]): fc.Arbitrary<Coded> {
  return fc.oneof(
    { weight: 3, arbitrary: codedNumbers(countOf(tensors)) },
    { weight: 1, arbitrary: codedLevels(tensors) },
    { weight: 1, arbitrary: randomCodes(tensors) },
    { weight: 1, arbitrary: legacyCodes(tensors.map(({ shape }) => shape)) },
  );
}

const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
export const someMetadata: fc.Arbitrary<Metadata> = fc
  .uniqueArray(fc.tuple(word, text), { selector: ([key]) => key, minLength: 1, maxLength: 3 })
  .map((lines) => lines.sort(([a], [b]) => (a < b ? -1 : 1)));

/** Whole files of small networks: sections of one or more tensors, every method, with and without the rest. */
export const files: fc.Arbitrary<ModelFile> = networks
  .filter((network) => parametersOf(network).every(({ shape }) => sizeOf(shape) <= 300))
  .chain((network) => {
    const parameters = parametersOf(network);
    // Each tensor goes to one of three sections.
    const groups = fc.array(fc.nat(2), { minLength: parameters.length, maxLength: parameters.length });
    const sections = groups.chain((numbers) => {
      const kinds = [...new Set(numbers)];
      return fc.tuple(
        ...kinds.map((kind) => {
          const tensors = parameters.filter((_, i) => numbers[i] === kind);
          return codedTensors(tensors).map((coded) => ({ tensors: tensors.map(({ name }) => name), coded }));
        }),
      );
    });
    const places = new Map(parameters.map(({ name }, i) => [name, i]));
    return fc
      .record({
        network: fc.constant(network),
        sections,
        metadata: fc.option(someMetadata, { nil: undefined }),
        framed: fc.boolean(),
      })
      .map((file): ModelFile => {
        // What has no length needs frames before another section.
        const last = Math.max(...file.sections.map(({ tensors }) => places.get(tensors[0]!)!));
        const early = file.sections.some(
          ({ tensors, coded }) => methodOf(coded.method).takesRest === true && places.get(tensors[0]!)! < last,
        );
        return early ? { ...file, framed: true } : file;
      });
  });
